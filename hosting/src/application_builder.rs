use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use server_abstractions::{App, Body, BoxError, FeatureCollection, IntoService, take_path_base};
use tower_layer::Layer;
use tower_service::Service;

/// Builds the pipeline of an application: layers and branches before a service, in the order in which a request
/// meets them.
///
/// ```
/// use hosting::{App, ApplicationBuilder, Body, Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let api = async |_: Request<Body>| Response::new(Body::from("api"));
/// let site = async |_: Request<Body>| Response::new(Body::from("site"));
/// let app: App = ApplicationBuilder::new().map("/api", api).build(site);
///
/// let response = app.handle(Request::get("/API/orders").body(Body::empty()).unwrap()).await;
/// assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(3));
/// # }
/// ```
///
/// Every step costs a request one boxed future. Several tower layers are best given as one, by way of
/// `tower::ServiceBuilder`.
#[doc(alias = "IApplicationBuilder")]
#[must_use = "a pipeline is made by `build`"]
#[derive(Default)]
pub struct ApplicationBuilder {
    steps: Vec<Box<dyn FnOnce(App) -> App + Send>>,
    server_features: FeatureCollection,
}

impl ApplicationBuilder {
    /// A pipeline without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the server offers, for steps that ask for it.
    pub fn with_server_features(mut self, features: FeatureCollection) -> Self {
        self.server_features = features;
        self
    }

    /// The features of the server that the application will run on; empty if it is not known.
    #[doc(alias = "ServerFeatures")]
    pub fn server_features(&self) -> &FeatureCollection {
        &self.server_features
    }

    fn step(mut self, step: impl FnOnce(App) -> App + Send + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// Adds a tower layer.
    ///
    /// The layered service must not fail: take layers that answer with a response, as those of `tower-http` do. Layers
    /// that are bound to another body type, such as `axum::middleware::from_fn`, belong on the service itself.
    #[doc(alias = "Use")]
    pub fn layer<L, B>(self, layer: L) -> Self
    where
        L: Layer<App> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.step(move |next| App::new(layer.layer(next)))
    }

    /// Adds a layer from an async function; `next` is the rest of the pipeline.
    ///
    /// ```
    /// use hosting::{App, ApplicationBuilder, Body, HeaderValue, Request, Response};
    ///
    /// async fn powered(request: Request<Body>, next: App) -> Response<Body> {
    ///     let mut response = next.handle(request).await;
    ///     response.headers_mut().insert("x-powered-by", HeaderValue::from_static("Rust"));
    ///     response
    /// }
    ///
    /// let app = ApplicationBuilder::new().layer_fn(powered).build_not_found();
    /// # let _ = app;
    /// ```
    #[doc(alias = "Use")]
    pub fn layer_fn<F, Fut, B>(self, function: F) -> Self
    where
        F: Fn(Request<Body>, App) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.step(move |next| App::new(move |request: Request<Body>| function(request, next.clone())))
    }

    /// Sends requests below a path to a branch of their own. They do not come back.
    ///
    /// The prefix is compared with the decoded path, whole segments only and regardless of case. In the branch it is
    /// a part of the path base and no longer of the path.
    ///
    /// # Panics
    /// If the prefix does not begin with `/`, or ends with it.
    #[doc(alias = "Map")]
    pub fn map<M>(self, prefix: impl Into<String>, branch: impl IntoService<M>) -> Self {
        let prefix = prefix.into();
        assert!(
            prefix.starts_with('/') && !prefix.ends_with('/'),
            "the prefix {prefix:?} must begin with / and not end with it"
        );
        let (prefix, branch) = (Arc::<str>::from(prefix), App::new(branch));
        self.step(move |next| {
            App::new(move |mut request: Request<Body>| {
                if take_path_base(&mut request, &prefix) {
                    branch.handle(request)
                } else {
                    next.handle(request)
                }
            })
        })
    }

    /// Sends requests that meet a condition to a branch of their own. They do not come back.
    #[doc(alias = "MapWhen")]
    pub fn map_when<M>(
        self,
        condition: impl Fn(&Request<Body>) -> bool + Send + Sync + 'static,
        branch: impl IntoService<M>,
    ) -> Self {
        let branch = App::new(branch);
        self.step(move |next| choose(condition, branch, next))
    }

    /// Sends requests that meet a condition through a layer; they go on with the rest of the pipeline behind it.
    #[doc(alias = "UseWhen")]
    pub fn use_when<L, B>(
        self,
        condition: impl Fn(&Request<Body>) -> bool + Send + Sync + 'static,
        layer: L,
    ) -> Self
    where
        L: Layer<App> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.step(move |next| choose(condition, App::new(layer.layer(next.clone())), next))
    }

    /// Ends the pipeline with a service or a closure.
    #[doc(alias = "Run")]
    pub fn build<M>(self, service: impl IntoService<M>) -> App {
        self.steps.into_iter().rev().fold(App::new(service), |next, step| step(next))
    }

    /// Ends the pipeline with 404 for whatever no branch has taken.
    pub fn build_not_found(self) -> App {
        self.build(async |_: Request<Body>| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        })
    }
}

impl fmt::Debug for ApplicationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationBuilder").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

fn choose(condition: impl Fn(&Request<Body>) -> bool + Send + Sync + 'static, yes: App, no: App) -> App {
    let condition = Arc::new(condition);
    App::new(
        move |request: Request<Body>| {
            if condition(&request) { yes.handle(request) } else { no.handle(request) }
        },
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use server_abstractions::HttpRequestFeature;

    use super::*;

    async fn answer(app: &App, uri: &str) -> String {
        let response = app.handle(Request::get(uri).body(Body::empty()).unwrap()).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        format!("{status} {}", String::from_utf8_lossy(&body))
    }

    fn named(name: &'static str) -> App {
        App::new(async move |request: Request<Body>| {
            let (base, path, target) =
                (request.path_base(), request.path().into_owned(), request.raw_target());
            Response::new(Body::from(format!("{name} {base}|{path}|{target}")))
        })
    }

    #[tokio::test]
    async fn branches_nest_and_keep_the_raw_target() {
        let inner = ApplicationBuilder::new().map("/b", named("b")).build(named("a"));
        let app = ApplicationBuilder::new()
            .map("/a", inner)
            .map_when(|request| request.uri().query() == Some("special"), named("special"))
            .build_not_found();
        assert_eq!(answer(&app, "/a/b/c?x").await, "200 b /a/b|/c|/a/b/c?x");
        assert_eq!(answer(&app, "/a/c").await, "200 a /a|/c|/a/c");
        assert_eq!(answer(&app, "/c?special").await, "200 special |/c|/c?special");
        assert_eq!(answer(&app, "/c").await, "404 ");
    }

    #[derive(Clone)]
    struct Teapot;

    impl Layer<App> for Teapot {
        type Service = App;

        fn layer(&self, inner: App) -> App {
            App::new(move |request: Request<Body>| {
                let inner = inner.clone();
                async move {
                    let mut response = inner.handle(request).await;
                    *response.status_mut() = StatusCode::IM_A_TEAPOT;
                    response
                }
            })
        }
    }

    #[tokio::test]
    async fn a_conditional_layer_rejoins() {
        let app = ApplicationBuilder::new()
            .use_when(|request| request.uri().path() == "/tea", Teapot)
            .build(named("end"));
        assert_eq!(answer(&app, "/tea").await, "418 end |/tea|/tea");
        assert_eq!(answer(&app, "/coffee").await, "200 end |/coffee|/coffee");
    }
}
