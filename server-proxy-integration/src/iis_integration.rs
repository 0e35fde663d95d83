use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use server_abstractions::{
    FeatureCollection, FeatureQuery, FeatureSource, HttpMaxRequestBodySizeFeature, HttpRequestFeature,
    HttpUpgradeFeature, RequestFeatures,
};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::AnswerFuture;
use crate::certificate_forwarding::{CertificateSource, ForwardedCertificate};
use crate::forwarded_headers::Settled;
use crate::{ForwardedFields, ForwardedHeadersOptions, OptionsError, PathBaseLayer};

mod settings;

pub use settings::{IisIntegration, IisIntegrationOptions};

const TOKEN: HeaderName = HeaderName::from_static("ms-aspnetcore-token");
const EVENT: HeaderName = HeaderName::from_static("ms-aspnetcore-event");
const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("ms-aspnetcore-clientcert");
const WINDOWS_TOKEN: HeaderName = HeaderName::from_static("ms-aspnetcore-winauthtoken");

/// Pairs an application with the process manager in front of it, made by [`IisIntegration::layer`].
///
/// A request without the pairing token is answered with 400. The others get back what the module took from them: path
/// base, scheme and remote address (one entry of `X-Forwarded-For` and `-Proto`, from a peer on loopback or a Unix socket), and the
/// client's certificate. The limit of the body is lifted, since the module has one. The module's request to stop is
/// answered with 202, and the shutdown token fires. The fields that only the module writes do not reach the application.
///
/// A second layer around the same application does nothing, such as one of the code beside the one of the configuration.
///
/// Without WebSockets in the module a request has no upgrade: neither the feature nor the field `Upgrade`.
#[doc(alias = "IISMiddleware")]
#[derive(Clone, Debug)]
pub struct IisIntegrationLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    integration: IisIntegration,
    path_base: PathBaseLayer,
    forwarded: Settled,
    shutdown: CancellationToken,
}

impl IisIntegrationLayer {
    fn new(integration: IisIntegration, shutdown: CancellationToken) -> Result<Self, OptionsError> {
        let forwarded = ForwardedHeadersOptions {
            fields: ForwardedFields::FOR | ForwardedFields::PROTO,
            // Whoever comes through one has the token.
            trust_unix_sockets: true,
            ..ForwardedHeadersOptions::default()
        };
        let path_base = PathBaseLayer::new(&integration.options().path_base)?;
        let forwarded = Settled::new(&forwarded)?;
        Ok(Self { shared: Arc::new(Shared { integration, path_base, forwarded, shutdown }) })
    }
}

impl<S> Layer<S> for IisIntegrationLayer {
    type Service = IisIntegrationService<S>;

    fn layer(&self, inner: S) -> IisIntegrationService<S> {
        IisIntegrationService { shared: Arc::clone(&self.shared), inner }
    }
}

/// The service of [`IisIntegrationLayer`].
#[derive(Clone, Debug)]
pub struct IisIntegrationService<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for IisIntegrationService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.shared.answer(&mut request) {
            None => AnswerFuture::passed(self.inner.call(request)),
            Some(Refusal::NotPaired) => AnswerFuture::answered(|| empty(StatusCode::BAD_REQUEST)),
            Some(Refusal::Stopping) => AnswerFuture::answered(|| empty(StatusCode::ACCEPTED)),
        }
    }
}

/// Marks a request that has been through such a layer, so that a second one leaves it alone.
#[derive(Clone)]
struct Paired;

/// Why a request does not reach the application.
enum Refusal {
    NotPaired,
    /// It was the request to stop.
    Stopping,
}

fn empty<R: Default>(status: StatusCode) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    response
}

impl Shared {
    /// Prepares a request for the application, if it is one for it.
    fn answer<B>(&self, request: &mut Request<B>) -> Option<Refusal> {
        if request.extensions().get::<Paired>().is_some() {
            return None;
        }
        if !self.has_token(request) {
            tracing::error!(
                "a request without the pairing token was refused; requests must come through the module"
            );
            return Some(Refusal::NotPaired);
        }
        self.path_base.apply(request);
        self.forwarded.apply(request);
        if is_shutdown(request) {
            tracing::info!("the module asks the application to stop");
            self.shutdown.cancel();
            return Some(Refusal::Stopping);
        }
        lift_body_limit(request);
        self.take_certificate(request);
        let headers = request.headers_mut();
        headers.remove(&TOKEN);
        headers.remove(&EVENT);
        headers.remove(&WINDOWS_TOKEN);
        request.extensions_mut().insert(Paired);
        if !self.integration.options().web_sockets {
            withhold_upgrade(request);
        }
        None
    }

    fn has_token<B>(&self, request: &Request<B>) -> bool {
        let mut tokens = request.headers().get_all(&TOKEN).iter();
        match (tokens.next(), tokens.next()) {
            (Some(token), None) => token.as_bytes().ct_eq(self.integration.options().token.as_bytes()).into(),
            _ => false,
        }
    }

    fn take_certificate<B>(&self, request: &mut Request<B>) {
        let Some(certificate) = request.headers_mut().remove(&CLIENT_CERTIFICATE) else { return };
        if self.integration.options().forward_client_certificate && !certificate.is_empty() {
            let source = CertificateSource::Base64Der { header: CLIENT_CERTIFICATE };
            ForwardedCertificate::set(request, source, certificate, Vec::new());
        }
    }
}

/// What the module sends before it ends the process.
fn is_shutdown<B>(request: &Request<B>) -> bool {
    let is_event = |event: &HeaderValue| event.as_bytes().eq_ignore_ascii_case(b"shutdown");
    *request.method() == Method::POST
        && request.headers().get(&EVENT).is_some_and(is_event)
        && request.path().eq_ignore_ascii_case("/iisintegration")
}

fn lift_body_limit<B>(request: &Request<B>) {
    if let Some(limit) = request.features().get::<dyn HttpMaxRequestBodySizeFeature>()
        && !limit.is_read_only()
    {
        // It is not read-only, so it can be set.
        let _ = limit.set_max_request_body_size(None);
    }
}

/// Everything but the upgrade.
struct WithoutUpgrade(FeatureCollection);

impl FeatureSource for WithoutUpgrade {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query.withhold::<dyn HttpUpgradeFeature>().otherwise(&self.0);
    }
}

fn withhold_upgrade<B>(request: &mut Request<B>) {
    if request.headers_mut().remove(http::header::UPGRADE).is_none() {
        return;
    }
    let features = request.features_mut();
    let outer = std::mem::take(features);
    *features = FeatureCollection::from_source(Arc::new(WithoutUpgrade(outer)));
}
