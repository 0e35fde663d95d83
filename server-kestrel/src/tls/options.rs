use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use server_abstractions::{BoxError, BoxFuture};

use super::{CertificateFile, ClientCertificates, ServerCertificate, SessionOptions};
use crate::HttpProtocols;

/// TLS on an endpoint.
#[doc(alias = "HttpsConnectionAdapterOptions")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsOptions {
    /// The server's certificate. Default is none: then that of
    /// [`KestrelOptions::https_defaults`](crate::KestrelOptions::https_defaults) is used.
    pub certificate: Option<ServerCertificate>,
    /// The versions of TLS. Default is 1.2 and 1.3.
    #[doc(alias = "SslProtocols")]
    pub tls_versions: TlsVersions,
    /// Whether clients are asked for a certificate. Default is not.
    pub client_certificates: ClientCertificates,
    /// How sessions go on when a client comes again. A certificate that is a whole TLS configuration
    /// ([`ServerCertificate::Rustls`]) brings its own, and these are refused then.
    pub sessions: SessionOptions,
    /// What is different for a server name that the client asks for (SNI): a name, `*.` and the end of names, or `*`
    /// for all others and for clients that name none. The exact name comes first, then the longest end. If there is
    /// any and none matches, the handshake is refused. Default is none.
    pub sni: BTreeMap<String, SniOptions>,
    /// Chooses the certificate by the server name, before those above. Default is none.
    #[doc(alias = "ServerCertificateSelector")]
    pub certificate_selector: Option<CertificateSelector>,
    /// Chooses everything once the client has said hello, in place of all above. Default is none.
    #[doc(alias = "TlsHandshakeCallbackOptions")]
    pub on_client_hello: Option<OnClientHello>,
    /// How long a handshake may take. Default is 10 seconds.
    pub handshake_timeout: Duration,
    /// The handshakes of the endpoint at the same time; others wait, within their time. Default is none: any number.
    pub max_concurrent_handshakes: Option<usize>,
}

impl Default for HttpsOptions {
    fn default() -> Self {
        Self {
            certificate: None,
            tls_versions: TlsVersions::default(),
            client_certificates: ClientCertificates::default(),
            sessions: SessionOptions::default(),
            sni: BTreeMap::new(),
            certificate_selector: None,
            on_client_hello: None,
            handshake_timeout: Duration::from_secs(10),
            max_concurrent_handshakes: None,
        }
    }
}

impl HttpsOptions {
    /// TLS with a certificate chain and its key from PEM files.
    pub fn pem_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let file = CertificateFile { key_path: Some(key.into()), ..CertificateFile::new(certificate) };
        Self::certificate_file(file)
    }

    /// TLS with a certificate of a file, or of two.
    pub fn certificate_file(file: CertificateFile) -> Self {
        Self { certificate: Some(ServerCertificate::File(file)), ..Self::default() }
    }

    /// Whether there are handshakes that would find no certificate.
    pub fn needs_certificate(&self) -> bool {
        let has_own = self.certificate.is_some()
            || self.certificate_selector.is_some()
            || self.on_client_hello.is_some();
        let names_have = !self.sni.is_empty() && self.sni.values().all(|sni| sni.certificate.is_some());
        !has_own && !names_have
    }

    /// TLS exactly as this configuration says, ALPN included.
    pub fn rustls(config: Arc<ServerConfig>) -> Self {
        Self { certificate: Some(ServerCertificate::Rustls(config)), ..Self::default() }
    }
}

/// The versions of TLS that are spoken. There are no older ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 only (RFC 5246).
    Tls12,
    /// 1.3 only (RFC 8446).
    Tls13,
    /// Both.
    #[default]
    Tls12AndTls13,
}

/// What is different for a server name. What is none is as the endpoint says.
#[doc(alias = "SniConfig")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SniOptions {
    /// The certificate.
    pub certificate: Option<ServerCertificate>,
    /// What ALPN offers.
    pub protocols: Option<HttpProtocols>,
    /// The versions of TLS.
    pub tls_versions: Option<TlsVersions>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: Option<ClientCertificates>,
}

type Select = dyn Fn(Option<&str>) -> Option<Arc<CertifiedKey>> + Send + Sync;

/// A function from the server name that the client asks for, if it names one, to a certificate; with none the
/// handshake is refused.
#[derive(Clone)]
pub struct CertificateSelector(pub(super) Arc<Select>);

impl CertificateSelector {
    /// Wraps the function, which is called for each handshake and must not block.
    pub fn new(select: impl Fn(Option<&str>) -> Option<Arc<CertifiedKey>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(select))
    }
}

impl fmt::Debug for CertificateSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateSelector")
    }
}

impl PartialEq for CertificateSelector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CertificateSelector {}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "TlsHandshakeCallbackContext")]
#[doc(alias = "SslClientHelloInfo")]
pub struct ClientHello {
    /// The server name that it asks for, if it names one (SNI).
    pub server_name: Option<String>,
    /// The application protocols that it offers (ALPN).
    pub application_protocols: Vec<Vec<u8>>,
    /// Where it is.
    pub remote_address: Option<SocketAddr>,
}

type Choose = dyn Fn(ClientHello) -> BoxFuture<'static, Result<Arc<ServerConfig>, BoxError>> + Send + Sync;

/// An asynchronous function from what the client says to the whole TLS configuration of the connection. Its time counts
/// as that of the handshake.
#[derive(Clone)]
pub struct OnClientHello(pub(super) Arc<Choose>);

impl OnClientHello {
    /// Wraps the function.
    pub fn new<F, R>(choose: F) -> Self
    where
        F: Fn(ClientHello) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Arc<ServerConfig>, BoxError>> + Send + 'static,
    {
        Self(Arc::new(move |hello| Box::pin(choose(hello))))
    }
}

impl fmt::Debug for OnClientHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnClientHello")
    }
}

impl PartialEq for OnClientHello {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OnClientHello {}
