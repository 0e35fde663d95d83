use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{host_name, is_https, is_name};

/// What a [`HstsLayer`] tells browsers, and about which hosts it is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsOptions {
    /// How long a browser remembers to use https only, in whole seconds; zero makes it forget. Default is 30 days.
    pub max_age: Duration,
    /// Whether this holds for the subdomains of the host as well. Default is false.
    pub include_subdomains: bool,
    /// Whether the host may be put on the lists that browsers come with. They want a year and the subdomains as well,
    /// and are slow to take a host off again. Default is false.
    pub preload: bool,
    /// Hosts for which nothing is said, without a port, compared regardless of case; IPv6 addresses stand in brackets
    /// and are compared as they are written. Default is `localhost`, `127.0.0.1` and `[::1]`, on which other
    /// applications of a developer run that have no https.
    pub excluded_hosts: Vec<String>,
}

impl Default for HstsOptions {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            include_subdomains: false,
            preload: false,
            excluded_hosts: ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into(),
        }
    }
}

/// A layer that adds `Strict-Transport-Security` to the responses to requests over https, so that browsers do not
/// come back over http (RFC 6797).
///
/// ```
/// use std::time::Duration;
///
/// use hosting::{ApplicationBuilder, Body, HstsLayer, HstsOptions, Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let day = Duration::from_secs(24 * 60 * 60); // the default is 30 days
/// let hsts = HstsLayer::new(HstsOptions { max_age: day, ..HstsOptions::default() });
/// let site = async |_: Request<Body>| Response::new(Body::from("encrypted"));
/// let app = ApplicationBuilder::new().layer(hsts).build(site);
///
/// let response = app.handle(Request::get("https://example.com/").body(Body::empty()).unwrap()).await;
/// assert_eq!(response.headers()["strict-transport-security"], "max-age=86400");
/// # }
/// ```
///
/// The scheme is that of [`HttpSchemeFeature`](server_abstractions::HttpSchemeFeature), without a server of this
/// contract that of the target: over http browsers ignore the field (section 7.2). A field that the application set
/// itself stays. Browsers remember what they are told, so the layer is not for development.
#[doc(alias = "UseHsts")]
#[derive(Clone, Debug)]
pub struct HstsLayer {
    policy: Arc<Policy>,
}

impl HstsLayer {
    /// A layer with these options.
    ///
    /// # Panics
    /// If an excluded host is none: neither a name nor an address, or with a port.
    pub fn new(options: HstsOptions) -> Self {
        for host in &options.excluded_hosts {
            assert!(is_name(host), "{host:?} cannot be excluded: it is no host without a port");
        }
        Self { policy: Arc::new(Policy { field: field(&options), excluded_hosts: options.excluded_hosts }) }
    }
}

impl Default for HstsLayer {
    fn default() -> Self {
        Self::new(HstsOptions::default())
    }
}

impl<S> Layer<S> for HstsLayer {
    type Service = Hsts<S>;

    fn layer(&self, inner: S) -> Hsts<S> {
        Hsts { policy: Arc::clone(&self.policy), inner }
    }
}

/// The service of [`HstsLayer`].
#[derive(Clone, Debug)]
pub struct Hsts<S> {
    policy: Arc<Policy>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Hsts<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HstsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> HstsFuture<S::Future> {
        let policy = self.policy.concerns(&request).then(|| Arc::clone(&self.policy));
        HstsFuture { future: self.inner.call(request), policy }
    }
}

#[derive(Debug)]
struct Policy {
    field: HeaderValue,
    excluded_hosts: Vec<String>,
}

impl Policy {
    fn concerns<B>(&self, request: &Request<B>) -> bool {
        let is_excluded =
            |name: &str| self.excluded_hosts.iter().any(|excluded| excluded.eq_ignore_ascii_case(name));
        is_https(request) && !host_name(request).is_some_and(is_excluded)
    }
}

/// RFC 6797, section 6.1.
fn field(options: &HstsOptions) -> HeaderValue {
    let subdomains = if options.include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if options.preload { "; preload" } else { "" };
    let text = format!("max-age={}{subdomains}{preload}", options.max_age.as_secs());
    HeaderValue::try_from(text).expect("letters, digits and separators make a field value")
}

pin_project! {
    /// The future of [`Hsts`].
    #[derive(Debug)]
    pub struct HstsFuture<F> {
        #[pin]
        future: F,
        policy: Option<Arc<Policy>>,
    }
}

impl<F, R, E> Future for HstsFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut result = ready!(this.future.poll(cx));
        if let (Ok(response), Some(policy)) = (&mut result, this.policy) {
            response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| policy.field.clone());
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_says_what_the_options_say() {
        let text = |max_age, include_subdomains, preload| {
            let max_age = Duration::from_millis(max_age);
            let options = HstsOptions { max_age, include_subdomains, preload, ..HstsOptions::default() };
            field(&options).to_str().unwrap().to_owned()
        };
        assert_eq!(field(&HstsOptions::default()), "max-age=2592000");
        assert_eq!(text(1999, false, false), "max-age=1");
        assert_eq!(text(0, true, false), "max-age=0; includeSubDomains");
        assert_eq!(text(1000, false, true), "max-age=1; preload");
        assert_eq!(text(31_536_000_000, true, true), "max-age=31536000; includeSubDomains; preload");
    }

    #[test]
    #[should_panic(expected = "\"example.com:443\" cannot be excluded")]
    fn an_excluded_host_with_a_port_is_refused() {
        let excluded_hosts = vec!["example.com:443".to_owned()];
        HstsLayer::new(HstsOptions { excluded_hosts, ..HstsOptions::default() });
    }
}
