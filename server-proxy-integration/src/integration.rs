use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::certificate_forwarding::{CertificateForwardingLayer, CertificateRules};
use crate::fields::Lengths;
use crate::forwarded_headers::{ForwardedHeadersLayer, Settled};
use crate::host_filtering::{Filter, HostFilteringLayer};
use crate::reload::Rules;
use crate::{AnswerFuture, PathBaseLayer};

/// The layers for life behind a proxy as one, in the order that is right for them, whichever was named first: host
/// filtering, forwarded headers, client certificates, path base.
///
/// Each does what it does alone. Together they look at a request once: one walk over its fields, one copy of a pointer, one
/// move, which is a third of what the same layers cost one around the other.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use server_abstractions::HttpRequestFeature;
/// use server_proxy_integration::{
///     ForwardedHeadersLayer, ForwardedHeadersOptions, HostFilteringLayer, HostFilteringOptions, PathBaseLayer,
///     ProxyIntegrationLayer,
/// };
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = ProxyIntegrationLayer::new()
///     .host_filtering(HostFilteringLayer::new(&HostFilteringOptions::from_list("shop.example"))?)
///     .forwarded_headers(ForwardedHeadersLayer::new(&ForwardedHeadersOptions::default())?)
///     .path_base(PathBaseLayer::new("/shop")?);
/// let app = layer.layer(service_fn(async |request: Request<()>| {
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(request.path_base())))
/// }));
/// for (host, status) in [("shop.example", 200), ("evil.example", 400)] {
///     let request = Request::get("/shop/cart").header("host", host).body(())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyIntegrationLayer {
    steps: Steps,
}

impl ProxyIntegrationLayer {
    /// A layer that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds host filtering. A second one takes the place of the first, as with all of these.
    #[must_use]
    pub fn host_filtering(mut self, layer: HostFilteringLayer) -> Self {
        self.steps.hosts = Some(layer.into_rules());
        self
    }

    /// Adds forwarded headers.
    #[must_use]
    pub fn forwarded_headers(mut self, layer: ForwardedHeadersLayer) -> Self {
        self.steps.forwarded = Some(layer.into_rules());
        self
    }

    /// Adds client certificates.
    #[must_use]
    pub fn certificate_forwarding(mut self, layer: CertificateForwardingLayer) -> Self {
        self.steps.certificates = Some(layer.into_rules());
        self
    }

    /// Adds a path base.
    #[must_use]
    pub fn path_base(mut self, layer: PathBaseLayer) -> Self {
        self.steps.path_base = Some(layer);
        self
    }
}

impl<S> Layer<S> for ProxyIntegrationLayer {
    type Service = ProxyIntegration<S>;

    fn layer(&self, inner: S) -> ProxyIntegration<S> {
        let mut steps = self.steps.clone();
        steps.settle();
        ProxyIntegration { steps: Arc::new(steps), inner }
    }
}

/// The service of [`ProxyIntegrationLayer`].
#[derive(Clone, Debug)]
pub struct ProxyIntegration<S> {
    steps: Arc<Steps>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for ProxyIntegration<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.steps.look_at(&request) {
            Look::Nothing => AnswerFuture::passed(self.inner.call(request)),
            Look::Something => {
                let mut request = request;
                self.steps.apply(&mut request);
                AnswerFuture::passed(self.inner.call(request))
            }
            Look::Refused(answer) => AnswerFuture::answered(answer),
        }
    }
}

/// What is done to a request, in this order.
#[derive(Clone, Debug, Default)]
struct Steps {
    hosts: Option<Rules<Filter>>,
    forwarded: Option<Rules<Settled>>,
    certificates: Option<Rules<CertificateRules>>,
    path_base: Option<PathBaseLayer>,
    /// The lengths of all fields that a step reads; none if they can change.
    lengths: Option<Lengths>,
}

/// What a look at a request says.
enum Look<R> {
    /// The request passes as it is.
    Nothing,
    /// A step has to look closer.
    Something,
    Refused(fn() -> Response<R>),
}

impl Steps {
    /// One walk over the fields is all there is to do for most requests.
    #[inline]
    fn look_at<B, R: From<Bytes>>(&self, request: &Request<B>) -> Look<R> {
        let mut lengths = Lengths::default();
        let mut fields = request.headers().iter().inspect(|(name, _)| lengths.add(name));
        if let Some(rules) = &self.hosts
            && let Some(answer) = rules.current().refusal(request.uri(), &mut fields)
        {
            return Look::Refused(answer);
        }
        // Host filtering has no need to see them all.
        fields.for_each(drop);
        if self.have_something_to_do(request, lengths) { Look::Something } else { Look::Nothing }
    }

    fn settle(&mut self) {
        let can_change = self.forwarded.as_ref().is_some_and(Rules::can_change)
            || self.certificates.as_ref().is_some_and(Rules::can_change);
        self.lengths = (!can_change).then(|| self.current_lengths());
    }

    fn current_lengths(&self) -> Lengths {
        let forwarded = self.forwarded.as_ref().map(|rules| rules.current().lengths());
        let certificates = self.certificates.as_ref().map(|rules| rules.current().lengths());
        forwarded.unwrap_or_default().and(certificates.unwrap_or_default())
    }

    #[inline]
    fn have_something_to_do<B>(&self, request: &Request<B>, lengths: Lengths) -> bool {
        self.lengths.unwrap_or_else(|| self.current_lengths()).meet(lengths)
            || self.path_base.as_ref().is_some_and(|layer| layer.may_concern(request.uri().path()))
    }

    /// Apart from the look, which is all that most requests need.
    #[inline(never)]
    fn apply<B>(&self, request: &mut Request<B>) {
        if let Some(rules) = &self.forwarded {
            rules.current().apply(request);
        }
        if let Some(rules) = &self.certificates {
            rules.current().apply(request);
        }
        if let Some(layer) = &self.path_base {
            layer.apply(request);
        }
    }
}
