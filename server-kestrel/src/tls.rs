use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Scheme;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ServerConnection;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use server_abstractions::{
    BoxConnectionService, BoxError, BoxFuture, Connection, ConnectionLifetimeFeature, FeatureCollection,
    HttpSchemeFeature, StartError, TlsConnectionFeature, TlsHandshakeFeature, TlsProtocol,
};
use tokio_rustls::TlsAcceptor;
use tower_layer::Layer;
use tower_service::Service;

use crate::HttpProtocols;
use crate::connection::Accepted;

/// TLS on an endpoint.
#[doc(alias = "HttpsConnectionAdapterOptions")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsOptions {
    /// The server's certificate. Default is none: then that of
    /// [`KestrelOptions::https_defaults`](crate::KestrelOptions::https_defaults) is used.
    pub certificate: Option<ServerCertificate>,
    /// How long a handshake may take. Default is 10 seconds.
    pub handshake_timeout: Duration,
}

impl Default for HttpsOptions {
    fn default() -> Self {
        Self { certificate: None, handshake_timeout: Duration::from_secs(10) }
    }
}

impl HttpsOptions {
    /// TLS 1.2 and 1.3 with a certificate chain and its key from PEM files, read when the server starts.
    pub fn pem_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let certificate = ServerCertificate::PemFiles { certificate: certificate.into(), key: key.into() };
        Self { certificate: Some(certificate), ..Self::default() }
    }

    /// TLS exactly as this configuration says, ALPN included.
    pub fn rustls(config: Arc<ServerConfig>) -> Self {
        Self { certificate: Some(ServerCertificate::Rustls(config)), ..Self::default() }
    }
}

/// Where the server's certificate comes from.
#[derive(Clone)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// A chain and its private key (PKCS#8, PKCS#1 or SEC 1) in PEM files; both may be the same file.
    PemFiles {
        /// The file of the chain, the server's own certificate first.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// A chain and its private key as PEM text.
    Pem {
        /// The chain, the server's own certificate first.
        certificate: String,
        /// The key.
        key: String,
    },
    /// A whole TLS configuration.
    Rustls(Arc<ServerConfig>),
}

impl PartialEq for ServerCertificate {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PemFiles { certificate, key }, Self::PemFiles { certificate: c, key: k }) => {
                certificate == c && key == k
            }
            (Self::Pem { certificate, key }, Self::Pem { certificate: c, key: k }) => {
                certificate == c && key == k
            }
            (Self::Rustls(one), Self::Rustls(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for ServerCertificate {}

/// Shows no key.
impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PemFiles { certificate, .. } => write!(f, "PemFiles({})", certificate.display()),
            Self::Pem { .. } => f.write_str("Pem"),
            Self::Rustls(_) => f.write_str("Rustls"),
        }
    }
}

/// The connection layer that speaks TLS: what comes in is ciphertext, what goes on is plaintext, with the features
/// of the handshake.
///
/// [`Endpoint::https`](crate::Endpoint::https) adds it by itself; it is public for pipelines that need something
/// below it.
#[derive(Clone)]
#[doc(alias = "HttpsConnectionMiddleware")]
pub struct TlsLayer {
    config: Arc<ServerConfig>,
    handshake_timeout: Duration,
}

impl TlsLayer {
    /// Reads the certificate and makes the layer. The protocols are what ALPN offers: `h2`, then `http/1.1`.
    ///
    /// # Errors
    /// When there is no certificate, a file cannot be read, or key and certificate do not fit.
    pub fn new(options: &HttpsOptions, protocols: HttpProtocols) -> Result<Self, StartError> {
        let handshake_timeout = options.handshake_timeout;
        let (chain, key) = match &options.certificate {
            None => return Err(StartError::configuration("TLS needs a certificate, and none is configured")),
            Some(ServerCertificate::Rustls(config)) => {
                return Ok(Self { config: Arc::clone(config), handshake_timeout });
            }
            Some(ServerCertificate::PemFiles { certificate, key }) => {
                let read = |path: &PathBuf, what| {
                    std::fs::read(path).map_err(|error| {
                        let message = format!("cannot read the {what} {}", path.display());
                        StartError::configuration(message).with_source(error)
                    })
                };
                let chain = read(certificate, "certificate")?;
                parse(&chain, &read(key, "private key")?, &certificate.display(), &key.display())?
            }
            Some(ServerCertificate::Pem { certificate, key }) => {
                parse(certificate.as_bytes(), key.as_bytes(), &"the PEM text", &"the PEM text")?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| StartError::new("the crypto provider lacks TLS 1.2 or 1.3").with_source(error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| {
                let message = format!("the certificate and its private key cannot be used: {options:?}");
                StartError::configuration(message).with_source(error)
            })?;
        config.alpn_protocols = match protocols {
            HttpProtocols::Http1 => vec![b"http/1.1".to_vec()],
            HttpProtocols::Http2 => vec![b"h2".to_vec()],
            HttpProtocols::Http1AndHttp2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Self { config: Arc::new(config), handshake_timeout })
    }
}

/// The crypto provider that was compiled in; the process-wide default is left to the program.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Arc::new(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    {
        compile_error!("server-kestrel needs one of the features `aws-lc-rs` (the default) and `ring`");
        unreachable!()
    }
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn parse(
    chain: &[u8],
    key: &[u8],
    chain_name: &dyn fmt::Display,
    key_name: &dyn fmt::Display,
) -> Result<ChainAndKey, StartError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(|error| {
        StartError::configuration(format!("{chain_name} is not a PEM file of certificates"))
            .with_source(error)
    })?;
    if chain.is_empty() {
        return Err(StartError::configuration(format!("{chain_name} contains no PEM certificate")));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        let message = format!(
            "{key_name} contains no private key that can be read (PKCS#8, PKCS#1 or SEC 1, unencrypted PEM)"
        );
        StartError::configuration(message).with_source(error)
    })?;
    Ok((chain, key))
}

impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer").field("handshake_timeout", &self.handshake_timeout).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TlsLayer
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Service = Tls;

    fn layer(&self, inner: S) -> Tls {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        Tls { acceptor, handshake_timeout: self.handshake_timeout, next: BoxConnectionService::new(inner) }
    }
}

/// The service of [`TlsLayer`].
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    next: BoxConnectionService,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("handshake_timeout", &self.handshake_timeout).finish_non_exhaustive()
    }
}

impl Service<Connection> for Tls {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: Connection) -> Self::Future {
        let Self { acceptor, handshake_timeout, next } = self.clone();
        Box::pin(async move {
            // In a box of its own, which is gone afterwards: its state is large, and the connection may live long.
            let accepted = connection.features.get::<Accepted>();
            let handshake = Box::pin(accept(acceptor, handshake_timeout, connection));
            match handshake.await {
                Ok(Some(connection)) => next.run(connection).await,
                Ok(None) => Ok(()),
                Err(error) => {
                    if let Some(accepted) = accepted {
                        accepted.ends_with("tls_handshake_failed");
                    }
                    Err(error.into())
                }
            }
        })
    }
}

/// Shakes hands. `None`: the server stops.
async fn accept(
    acceptor: TlsAcceptor,
    timeout: Duration,
    connection: Connection,
) -> io::Result<Option<Connection>> {
    let Connection { io, mut features } = connection;
    let handshake = tokio::time::timeout(timeout, acceptor.accept(io));
    let stream = tokio::select! {
        biased;
        stream = handshake => stream,
        () = given_up(&features) => return Ok(None),
    };
    let stream = stream
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))?
        .map_err(|error| io::Error::new(error.kind(), format!("the TLS handshake failed: {error}")))?;
    let handshake = Arc::new(Handshake::of(stream.get_ref().1));
    features.set::<dyn TlsConnectionFeature>(handshake.clone());
    features.set::<dyn HttpSchemeFeature>(handshake.clone());
    features.set::<dyn TlsHandshakeFeature>(handshake);
    Ok(Some(Connection { io: Box::new(stream), features }))
}

/// How long a handshake may go on when the server stops: long enough for one that is under way.
const STOPPING_GRACE: Duration = Duration::from_secs(1);

/// Resolves when the server no longer waits for a handshake.
async fn given_up(features: &FeatureCollection) {
    let Some(lifetime) = features.get::<dyn ConnectionLifetimeFeature>() else {
        return std::future::pending().await;
    };
    lifetime.stopping().cancelled_owned().await;
    tokio::time::sleep(STOPPING_GRACE).await;
}

/// What the handshake agreed on, copied out of the TLS connection.
struct Handshake {
    protocol: TlsProtocol,
    cipher_suite: &'static str,
    server_name: Option<String>,
    application_protocol: Option<Vec<u8>>,
    client_certificates: Vec<Vec<u8>>,
}

impl Handshake {
    fn of(connection: &ServerConnection) -> Self {
        Self {
            protocol: match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => TlsProtocol::Tls12,
                _ => TlsProtocol::Tls13,
            },
            cipher_suite: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default(),
            server_name: connection.server_name().map(str::to_owned),
            application_protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            client_certificates: connection
                .peer_certificates()
                .map(|chain| chain.iter().map(|certificate| certificate.to_vec()).collect())
                .unwrap_or_default(),
        }
    }
}

impl TlsHandshakeFeature for Handshake {
    fn protocol(&self) -> TlsProtocol {
        self.protocol
    }

    fn cipher_suite(&self) -> &str {
        self.cipher_suite
    }

    fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    fn application_protocol(&self) -> Option<&[u8]> {
        self.application_protocol.as_deref()
    }
}

impl TlsConnectionFeature for Handshake {
    fn client_certificate(&self) -> Option<&[u8]> {
        self.client_certificates.first().map(Vec::as_slice)
    }

    fn client_certificate_chain(&self) -> &[Vec<u8>] {
        self.client_certificates.get(1..).unwrap_or_default()
    }
}

impl HttpSchemeFeature for Handshake {
    fn scheme(&self) -> Scheme {
        Scheme::HTTPS
    }
}
