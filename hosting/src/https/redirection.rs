use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use pin_project_lite::pin_project;
use server_abstractions::{Address, HttpPathBaseFeature, RequestFeatures, ServerAddressesFeature};
use tower_layer::Layer;
use tower_service::Service;

use super::{host_name, is_https};
use crate::{Configuration, ConfigurationError};

/// What a [`HttpsRedirectionLayer`] answers, and where it sends clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpsRedirectionOptions {
    /// The status of the answer, one of 3xx. Default is 307, with which a client repeats method and body; 308 is the
    /// one that clients also remember.
    #[doc(alias = "RedirectStatusCode")]
    pub status: StatusCode,
    /// The port to send clients to, as they see it: behind a proxy that is the proxy's. Default is `None`, the port
    /// of the server's https addresses.
    pub https_port: Option<u16>,
}

impl Default for HttpsRedirectionOptions {
    fn default() -> Self {
        Self { status: StatusCode::TEMPORARY_REDIRECT, https_port: None }
    }
}

impl HttpsRedirectionOptions {
    /// The defaults, with the port that stands at `HTTPS_PORT`, else at `ANCM_HTTPS_PORT`: the variables
    /// `ASPNETCORE_HTTPS_PORT` and `ASPNETCORE_ANCM_HTTPS_PORT`, say, or `--https_port` on the command line. An empty
    /// value counts as none.
    ///
    /// # Errors
    /// The value is not a port between 1 and 65535.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, ConfigurationError> {
        let port_at = |key: &str| {
            let text = configuration.get(key).filter(|text| !text.is_empty());
            let port = text.map(|text| text.parse::<u16>().ok().filter(|port| *port != 0));
            port.map(|port| {
                port.ok_or_else(|| configuration.invalid(key, "expected a port between 1 and 65535"))
            })
            .transpose()
        };
        let https_port = match port_at("HTTPS_PORT")? {
            Some(port) => Some(port),
            None => port_at("ANCM_HTTPS_PORT")?,
        };
        Ok(Self { https_port, ..Self::default() })
    }
}

/// A layer that answers requests over http with a redirect to the same address over https.
///
/// ```
/// use hosting::{
///     ApplicationBuilder, Body, Configuration, HttpsRedirectionLayer, HttpsRedirectionOptions, Request, Response,
///     StatusCode,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hosting::ConfigurationError> {
/// // In an application this is `builder.configuration()`.
/// let configuration = Configuration::builder().values([("https_port", "5001")]).build()?;
/// let options = HttpsRedirectionOptions {
///     status: StatusCode::PERMANENT_REDIRECT, // the default is 307
///     ..HttpsRedirectionOptions::from_configuration(&configuration)?
/// };
/// let site = async |_: Request<Body>| Response::new(Body::from("encrypted"));
/// let app = ApplicationBuilder::new().layer(HttpsRedirectionLayer::new(options)).build(site);
///
/// let request = Request::get("/a%20b?c").header("host", "example.com:5000").body(Body::empty()).unwrap();
/// let response = app.handle(request).await;
/// assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
/// assert_eq!(response.headers()["location"], "https://example.com:5001/a%20b?c");
/// # Ok(())
/// # }
/// ```
///
/// The scheme is that of [`HttpSchemeFeature`](server_abstractions::HttpSchemeFeature), without a server of this
/// contract that of the target. **Behind a proxy that ends TLS** every request is one over http, and is sent in a
/// circle, until a layer before this one sets that feature to what the proxy says.
///
/// The port is that of the options, else the one of the https addresses in the server's [`ServerAddressesFeature`]. It
/// is looked for at the first request over http and kept, also over a reload of the endpoints. If there is none, or
/// there are several, one warning is written and requests pass as if there were no layer. 443 is left out of the
/// address.
///
/// Path and query stay as they were sent, with what [`map`](crate::ApplicationBuilder::map) took from the path. What
/// axum's `nest` takes is not seen, so the layer belongs around the whole application. A request without a host, with
/// one that is none, or with a target without a path (CONNECT) has no address over https and is answered with 400.
///
/// The layer and its clones share one port. Its response has an empty body; a request that is redirected does not
/// reach the service behind.
#[doc(alias = "UseHttpsRedirection")]
#[derive(Clone, Debug)]
pub struct HttpsRedirectionLayer {
    redirect: Arc<Redirect>,
}

impl HttpsRedirectionLayer {
    /// A layer with these options.
    ///
    /// # Panics
    /// If the status is not one of 3xx, or the port is 0.
    pub fn new(options: HttpsRedirectionOptions) -> Self {
        let HttpsRedirectionOptions { status, https_port } = options;
        assert!(status.is_redirection(), "the status {status} is no redirect");
        assert!(https_port != Some(0), "the port of https cannot be 0");
        let port = https_port.map_or_else(OnceLock::new, |port| OnceLock::from(Some(port)));
        Self { redirect: Arc::new(Redirect { status, port }) }
    }

    /// A layer with the options that stand in the configuration, see
    /// [`HttpsRedirectionOptions::from_configuration`].
    ///
    /// # Errors
    /// The port in the configuration is none.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, ConfigurationError> {
        HttpsRedirectionOptions::from_configuration(configuration).map(Self::new)
    }
}

impl Default for HttpsRedirectionLayer {
    fn default() -> Self {
        Self::new(HttpsRedirectionOptions::default())
    }
}

impl<S> Layer<S> for HttpsRedirectionLayer {
    type Service = HttpsRedirection<S>;

    fn layer(&self, inner: S) -> HttpsRedirection<S> {
        HttpsRedirection { redirect: Arc::clone(&self.redirect), inner }
    }
}

/// The service of [`HttpsRedirectionLayer`].
#[derive(Clone, Debug)]
pub struct HttpsRedirection<S> {
    redirect: Arc<Redirect>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for HttpsRedirection<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HttpsRedirectionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> HttpsRedirectionFuture<S::Future> {
        let step = match self.redirect.answer(&request) {
            Some(answer) => Step::Answered { answer },
            None => Step::Passed { future: self.inner.call(request) },
        };
        HttpsRedirectionFuture { step }
    }
}

#[derive(Debug)]
struct Redirect {
    status: StatusCode,
    /// Unset until a request has asked for it; `None` if there is no port to send anybody to.
    port: OnceLock<Option<u16>>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: Option<HeaderValue>,
}

impl Redirect {
    /// The answer to a request that goes no further.
    fn answer<B>(&self, request: &Request<B>) -> Option<Answer> {
        if is_https(request) {
            return None;
        }
        let port = (*self.port.get_or_init(|| port_of_the_server(request)))?;
        let location = location(request, port);
        let status = if location.is_some() { self.status } else { StatusCode::BAD_REQUEST };
        Some(Answer { status, location })
    }
}

/// The one port of the https addresses that the server listens on.
fn port_of_the_server<B>(request: &Request<B>) -> Option<u16> {
    let feature = request.features().get::<dyn ServerAddressesFeature>();
    let addresses = feature.map(|feature| feature.addresses()).unwrap_or_default();
    let mut ports = addresses.iter().filter(|address| address.is_https()).filter_map(Address::port);
    let Some(port) = ports.next() else {
        tracing::warn!(
            "requests are not redirected to https: the server listens on no https address with a port; set HTTPS_PORT"
        );
        return None;
    };
    if let Some(other) = ports.find(|other| *other != port) {
        tracing::warn!(
            port,
            other,
            "requests are not redirected to https: the https addresses have several ports; set HTTPS_PORT"
        );
        return None;
    }
    Some(port)
}

/// The address of the request over https; `None` if it has none.
fn location<B>(request: &Request<B>, port: u16) -> Option<HeaderValue> {
    let host = host_name(request)?;
    // What a `map` took from the path is still in the raw target.
    let base = request.features().get::<dyn HttpPathBaseFeature>();
    let whole = base.map(|base| base.raw_target().parse::<Uri>()).transpose().ok()?;
    let target = whole.as_ref().unwrap_or(request.uri()).path_and_query()?;
    let path = match target.path() {
        // Without a path an address stands for the server itself (RFC 9112, section 3.2.4).
        "*" => "",
        path if path.starts_with('/') => path,
        _ => return None,
    };
    let mut location = format!("https://{host}");
    if port != 443 {
        write!(location, ":{port}").ok()?;
    }
    location.push_str(path);
    if let Some(query) = target.query() {
        location.push('?');
        location.push_str(query);
    }
    HeaderValue::from_str(&location).ok()
}

pin_project! {
    /// The future of [`HttpsRedirection`].
    #[derive(Debug)]
    pub struct HttpsRedirectionFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProjection]
    #[derive(Debug)]
    enum Step<F> {
        Passed { #[pin] future: F },
        Answered { answer: Answer },
    }
}

impl<F, R, E> Future for HttpsRedirectionFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = match self.project().step.project() {
            StepProjection::Passed { future } => return Poll::Ready(ready!(future.poll(cx))),
            StepProjection::Answered { answer } => answer,
        };
        let mut response = Response::new(R::default());
        *response.status_mut() = answer.status;
        if let Some(location) = answer.location.take() {
            response.headers_mut().insert(LOCATION, location);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(variables: &[(&str, &str)]) -> Result<Option<u16>, String> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned(), None)).collect();
        let builder = Configuration::builder().environment_variables(Some("ASPNETCORE_"), variables.clone());
        let configuration = builder.environment_variables(None, variables).build().unwrap();
        HttpsRedirectionOptions::from_configuration(&configuration)
            .map(|options| options.https_port)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_port_is_read_from_the_configuration() {
        assert_eq!(port(&[]), Ok(None));
        assert_eq!(port(&[("ASPNETCORE_HTTPS_PORT", "5001")]), Ok(Some(5001)));
        assert_eq!(port(&[("HTTPS_PORT", "5002"), ("ASPNETCORE_HTTPS_PORT", "5001")]), Ok(Some(5002)));
        assert_eq!(port(&[("ASPNETCORE_ANCM_HTTPS_PORT", "5003")]), Ok(Some(5003)));
        assert_eq!(port(&[("ASPNETCORE_ANCM_HTTPS_PORT", "5003"), ("HTTPS_PORT", "5002")]), Ok(Some(5002)));
        assert_eq!(port(&[("ASPNETCORE_ANCM_HTTPS_PORT", "")]), Ok(None));
        for value in ["0", "65536", "https", "-1"] {
            let error = port(&[("ASPNETCORE_HTTPS_PORT", value)]).unwrap_err();
            assert!(
                error.contains("ASPNETCORE_HTTPS_PORT") && error.contains("between 1 and 65535"),
                "{error}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "is no redirect")]
    fn a_status_that_is_no_redirect_is_refused() {
        let options =
            HttpsRedirectionOptions { status: StatusCode::OK, ..HttpsRedirectionOptions::default() };
        HttpsRedirectionLayer::new(options);
    }
}
