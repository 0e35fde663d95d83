use std::sync::Arc;

/// The route that a request has met, such as `/orders/{id}`, for metrics and traces: put into the extensions of the response by
/// whoever chooses the route.
///
/// Layers around a router cannot see what it chose. With the cargo feature `axum` the layer
#[cfg_attr(feature = "axum", doc = "[`MatchedRouteLayer`]")]
#[cfg_attr(not(feature = "axum"), doc = "`MatchedRouteLayer`")]
/// tells it for an `axum::Router`.
///
/// ```
/// use hosting::{Body, HttpRoute, Request, Response};
///
/// async fn order(_: Request<Body>) -> Response<Body> {
///     let mut response = Response::new(Body::from("one order"));
///     response.extensions_mut().insert(HttpRoute::new("/orders/{id}"));
///     response
/// }
/// # let _ = order;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "RouteEndpoint")]
pub struct HttpRoute(Arc<str>);

impl HttpRoute {
    /// A route as it is written where routes are made. There must be few of them: what comes from the request is none.
    pub fn new(route: impl Into<Arc<str>>) -> Self {
        Self(route.into())
    }

    /// The route.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

#[cfg(feature = "axum")]
pub use matched::{MatchedRoute, MatchedRouteFuture, MatchedRouteLayer};

#[cfg(feature = "axum")]
mod matched {
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use axum::extract::MatchedPath;
    use http::{Request, Response};
    use pin_project_lite::pin_project;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::HttpRoute;

    /// Tells layers further out which route of an `axum::Router` a request has met, as an [`HttpRoute`] in the extensions of
    /// the response. To be added by `Router::layer` or `Router::route_layer`, behind the routes.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use hosting::MatchedRouteLayer;
    ///
    /// let router: Router =
    ///     Router::new().route("/orders/{id}", get(async || "one order")).layer(MatchedRouteLayer::new());
    /// # let _ = router;
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    pub struct MatchedRouteLayer(());

    impl MatchedRouteLayer {
        /// The layer.
        pub fn new() -> Self {
            Self::default()
        }
    }

    impl<S> Layer<S> for MatchedRouteLayer {
        type Service = MatchedRoute<S>;

        fn layer(&self, inner: S) -> MatchedRoute<S> {
            MatchedRoute(inner)
        }
    }

    /// The service of [`MatchedRouteLayer`].
    #[derive(Clone, Debug)]
    pub struct MatchedRoute<S>(S);

    impl<S, B, R> Service<Request<B>> for MatchedRoute<S>
    where
        S: Service<Request<B>, Response = Response<R>>,
    {
        type Response = Response<R>;
        type Error = S::Error;
        type Future = MatchedRouteFuture<S::Future>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, request: Request<B>) -> Self::Future {
            let route = request.extensions().get::<MatchedPath>().cloned();
            MatchedRouteFuture { future: self.0.call(request), route }
        }
    }

    pin_project! {
        /// The future of [`MatchedRoute`].
        #[derive(Debug)]
        pub struct MatchedRouteFuture<F> {
            #[pin]
            future: F,
            route: Option<MatchedPath>,
        }
    }

    impl<F, R, E> Future for MatchedRouteFuture<F>
    where
        F: Future<Output = Result<Response<R>, E>>,
    {
        type Output = F::Output;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            let this = self.project();
            let mut response = ready!(this.future.poll(cx))?;
            if let Some(route) = this.route.take() {
                response.extensions_mut().insert(HttpRoute::new(route.as_str()));
            }
            Poll::Ready(Ok(response))
        }
    }
}
