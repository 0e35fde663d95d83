use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

use http::{HeaderName, Request};
use ipnet::IpNet;
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

use crate::OptionsError;
use crate::fields::Lengths;
use crate::peer::{KnownPeers, Peer};
use crate::reload::Rules;
use crate::stranger::Stranger;

mod decode;
mod feature;

pub(crate) use feature::ForwardedCertificate;

static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
static CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// In which field a proxy passes the client's certificate, and how it is written.
#[doc(alias = "HeaderConverter")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateSource {
    /// DER in base64, as Azure (`X-ARR-ClientCert`) and many others write it.
    Base64Der {
        /// The name of the field.
        header: HeaderName,
    },
    /// PEM, percent-encoded, as nginx writes `$ssl_client_escaped_cert`. Certificates after the first one are its chain.
    UrlEncodedPem {
        /// The name of the field.
        header: HeaderName,
    },
    /// `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
    ClientCert,
}

/// Where a [`CertificateForwardingLayer`] finds certificates, and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateForwardingOptions {
    /// Where the certificate stands. Default is DER in base64 in `X-Client-Cert`.
    #[doc(alias = "CertificateHeader")]
    pub source: CertificateSource,
    /// The addresses of the proxies that are believed. With all three empty or false nobody is. Default is `::1`.
    pub known_proxies: Vec<IpAddr>,
    /// The networks of the proxies that are believed. Default is `127.0.0.0/8`.
    pub known_networks: Vec<IpNet>,
    /// Whether the peers of Unix sockets are believed, as far as an
    /// [`EndpointFeature`](server_abstractions::EndpointFeature) tells that there is one. Default is false.
    pub trust_unix_sockets: bool,
}

impl Default for CertificateForwardingOptions {
    fn default() -> Self {
        Self {
            source: CertificateSource::Base64Der { header: HeaderName::from_static("x-client-cert") },
            known_proxies: vec![Ipv6Addr::LOCALHOST.into()],
            known_networks: vec![IpNet::new_assert([127, 0, 0, 0].into(), 8)],
            trust_unix_sockets: false,
        }
    }
}

/// Takes the client's certificate from a field that a known proxy has written, for whoever asks the
/// [`TlsConnectionFeature`](server_abstractions::TlsConnectionFeature).
///
/// ```
/// use http::HeaderName;
/// use server_proxy_integration::{CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource};
///
/// # fn main() -> Result<(), server_proxy_integration::OptionsError> {
/// // For nginx: proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
/// let header = HeaderName::from_static("x-client-cert");
/// let options = CertificateForwardingOptions {
///     source: CertificateSource::UrlEncodedPem { header },
///     ..CertificateForwardingOptions::default()
/// };
/// let layer = CertificateForwardingLayer::new(&options)?;
/// # let _ = layer;
/// # Ok(()) }
/// ```
///
/// Whoever can write the field can be anybody, so it is believed only if the peer of the socket is known, whatever layers
/// before this one say about the client; from anybody else it is removed. **The proxy must set the field on every
/// request**, to nothing if there is no certificate: what it passes on from a client counts as its own.
///
/// The certificate is decoded when somebody asks for it. One that cannot be is reported, and there is none. Without the
/// field, or with an empty one, the feature of the connection stays.
#[doc(alias = "UseCertificateForwarding")]
#[doc(alias = "CertificateForwardingMiddleware")]
#[derive(Clone, Debug)]
pub struct CertificateForwardingLayer {
    rules: Rules<CertificateRules>,
}

impl CertificateForwardingLayer {
    /// A layer with these options.
    ///
    /// # Errors
    /// The name of the field is that of one that stands for something else.
    pub fn new(options: &CertificateForwardingOptions) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::fixed(CertificateRules::new(options)?) })
    }

    /// A layer that follows the options in a channel. When changed ones cannot be used, an error is reported and those
    /// from before stay.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the options that are in the channel now.
    pub fn reloading(options: watch::Receiver<CertificateForwardingOptions>) -> Result<Self, OptionsError> {
        Ok(Self { rules: Rules::watched(options, CertificateRules::new)? })
    }

    pub(crate) fn into_rules(self) -> Rules<CertificateRules> {
        self.rules
    }
}

impl<S> Layer<S> for CertificateForwardingLayer {
    type Service = CertificateForwarding<S>;

    fn layer(&self, inner: S) -> CertificateForwarding<S> {
        CertificateForwarding { rules: self.rules.clone(), inner }
    }
}

/// The service of [`CertificateForwardingLayer`].
#[derive(Clone, Debug)]
pub struct CertificateForwarding<S> {
    rules: Rules<CertificateRules>,
    inner: S,
}

impl<S, B> Service<Request<B>> for CertificateForwarding<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> S::Future {
        let is_named = self.rules.current().is_named(&request);
        if is_named { self.call_named(request) } else { self.inner.call(request) }
    }
}

impl<S> CertificateForwarding<S> {
    /// Apart from the others, which are passed on as they are.
    #[inline(never)]
    fn call_named<B>(&mut self, mut request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        self.rules.current().take(&mut request);
        self.inner.call(request)
    }
}

/// Options that were found to be good.
#[derive(Debug)]
pub(crate) struct CertificateRules {
    source: CertificateSource,
    /// The lengths of the names of the fields.
    lengths: Lengths,
    known: KnownPeers,
    stranger: Stranger,
}

impl CertificateSource {
    fn header(&self) -> &HeaderName {
        match self {
            Self::Base64Der { header } | Self::UrlEncodedPem { header } => header,
            Self::ClientCert => &CLIENT_CERT,
        }
    }

    /// The field of the certificates that follow.
    fn chain_header(&self) -> Option<&HeaderName> {
        matches!(self, Self::ClientCert).then_some(&CLIENT_CERT_CHAIN)
    }
}

impl CertificateRules {
    fn new(options: &CertificateForwardingOptions) -> Result<Self, OptionsError> {
        let CertificateForwardingOptions { source, known_proxies, known_networks, trust_unix_sockets } =
            options;
        let header = source.header();
        if [http::header::HOST, http::header::AUTHORIZATION, http::header::COOKIE].contains(header) {
            return Err(OptionsError::new(format!(
                "CertificateForwardingOptions.source: the field {header} stands for something else; choose another one"
            )));
        }
        Ok(Self {
            source: source.clone(),
            lengths: Lengths::of([Some(header), source.chain_header()].into_iter().flatten()),
            known: KnownPeers::new(known_proxies, known_networks, *trust_unix_sockets),
            stranger: Stranger::new(
                "fields with a client's certificate, which are removed,",
                "CertificateForwardingOptions",
            ),
        })
    }

    /// Whether the request has one of the fields.
    #[inline]
    fn is_named<B>(&self, request: &Request<B>) -> bool {
        request.headers().keys().any(|name| self.lengths.have_one_like(name) && self.is_own(name))
    }

    fn is_own(&self, name: &HeaderName) -> bool {
        name == self.source.header() || Some(name) == self.source.chain_header()
    }

    pub(crate) fn lengths(&self) -> Lengths {
        self.lengths
    }

    pub(crate) fn apply<B>(&self, request: &mut Request<B>) {
        if self.is_named(request) {
            self.take(request);
        }
    }

    fn take<B>(&self, request: &mut Request<B>) {
        let peer = Peer::of_the_socket(request);
        if self.known.include(peer) {
            ForwardedCertificate::take(request, &self.source);
            return;
        }
        self.stranger.tell(peer);
        let names = [Some(self.source.header()), self.source.chain_header()];
        for name in names.into_iter().flatten() {
            request.headers_mut().remove(name);
        }
    }
}
