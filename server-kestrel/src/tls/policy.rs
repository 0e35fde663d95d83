//! Which TLS a connection gets, by the name that the client asks for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};
use server_abstractions::StartError;

use super::certificate::from_pem;
use super::reloadable::Reloadable;
use super::{CertificateSelector, ClientCertificates, HttpsOptions, ServerCertificate, TlsVersions};
use crate::HttpProtocols;

/// The sessions that a policy remembers for their resumption: a quarter of a kilobyte each.
const SESSIONS: usize = 8192;

/// The TLS of one endpoint.
pub(super) struct Policies {
    /// For names that nothing else is for.
    default: Policy,
    exact: HashMap<String, Policy>,
    /// By the end of names, from the dot on; the longest first.
    wildcards: Vec<(String, Policy)>,
}

/// The TLS of a connection.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) config: Arc<ServerConfig>,
    /// The certificate, if it may change.
    pub(super) reloadable: Option<Arc<Reloadable>>,
}

/// What a policy is made of.
struct Parts<'a> {
    certificate: Option<&'a ServerCertificate>,
    protocols: HttpProtocols,
    tls_versions: TlsVersions,
    client_certificates: &'a ClientCertificates,
    selector: Option<&'a CertificateSelector>,
}

impl Policies {
    fn of(default: Policy) -> Self {
        Self { default, exact: HashMap::new(), wildcards: Vec::new() }
    }

    /// Every handshake is refused.
    pub(super) fn refusing(provider: &Arc<CryptoProvider>) -> Result<Self, StartError> {
        let config = builder(provider, TlsVersions::default())?.with_no_client_auth();
        let config = Arc::new(config.with_cert_resolver(Arc::new(Source::Nothing)));
        Ok(Self::of(Policy { config, reloadable: None }))
    }

    pub(super) fn new(
        options: &HttpsOptions,
        protocols: HttpProtocols,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, StartError> {
        let own = Parts {
            certificate: options.certificate.as_ref(),
            protocols,
            tls_versions: options.tls_versions,
            client_certificates: &options.client_certificates,
            selector: options.certificate_selector.as_ref(),
        };
        if options.sni.is_empty() {
            return Ok(Self::of(own.build(provider)?));
        }
        let mut policies = Self::refusing(provider)?;
        for (name, sni) in &options.sni {
            let parts = Parts {
                certificate: sni.certificate.as_ref().or(own.certificate),
                protocols: sni.protocols.unwrap_or(protocols),
                tls_versions: sni.tls_versions.unwrap_or(own.tls_versions),
                client_certificates: sni.client_certificates.as_ref().unwrap_or(own.client_certificates),
                selector: if sni.certificate.is_some() { None } else { own.selector },
            };
            let policy = parts.build(provider).map_err(|error| {
                error.while_attempting(format_args!("cannot serve the server name {name:?}"))
            })?;
            policies.add(name, policy)?;
        }
        policies.wildcards.sort_by_key(|(end, _)| std::cmp::Reverse(end.len()));
        Ok(policies)
    }

    fn add(&mut self, name: &str, policy: Policy) -> Result<(), StartError> {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some("") => self.default = policy,
            Some(end) if end.len() > 1 && end.starts_with('.') && !end.contains('*') => {
                self.wildcards.push((end.to_owned(), policy));
            }
            None if !name.is_empty() && !name.contains('*') => drop(self.exact.insert(name, policy)),
            _ => {
                let message =
                    format!("{name:?} is no server name; it is one, or `*.` and the end of names, or `*`");
                return Err(StartError::configuration(message));
            }
        }
        Ok(())
    }

    /// The policy for what the client asks for.
    pub(super) fn find(&self, name: Option<&str>) -> &Policy {
        let Some(name) = name else { return &self.default };
        let name = name.to_ascii_lowercase();
        let by_end = || self.wildcards.iter().find(|(end, _)| name.ends_with(end)).map(|(_, policy)| policy);
        self.exact.get(&name).or_else(by_end).unwrap_or(&self.default)
    }
}

impl Parts<'_> {
    fn build(&self, provider: &Arc<CryptoProvider>) -> Result<Policy, StartError> {
        let (source, reloadable) = match (self.selector, self.certificate) {
            (_, Some(ServerCertificate::Rustls(config))) => {
                return Ok(Policy { config: Arc::clone(config), reloadable: None });
            }
            (Some(selector), _) => (Source::Selector(selector.clone()), None),
            (None, Some(ServerCertificate::File(file))) => {
                let reloadable = Arc::new(Reloadable::new(file.clone(), provider)?);
                (Source::Reloadable(Arc::clone(&reloadable)), Some(reloadable))
            }
            (None, Some(ServerCertificate::Pem { certificate, key, password })) => {
                let fixed = from_pem(certificate, key, password.as_deref(), provider)?;
                (Source::Fixed(Arc::new(fixed)), None)
            }
            (None, None) => {
                return Err(StartError::configuration("TLS needs a certificate, and none is configured"));
            }
        };
        let builder = builder(provider, self.tls_versions)?;
        let builder = match self.client_certificates.verifier(provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(source));
        // Each policy has its own, so that no session goes on under another one.
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.alpn_protocols = match self.protocols {
            HttpProtocols::Http1 => vec![b"http/1.1".to_vec()],
            HttpProtocols::Http2 => vec![b"h2".to_vec()],
            HttpProtocols::Http1AndHttp2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Policy { config: Arc::new(config), reloadable })
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
    versions: TlsVersions,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, StartError> {
    let versions: &[_] = match versions {
        TlsVersions::Tls12 => &[&TLS12],
        TlsVersions::Tls13 => &[&TLS13],
        TlsVersions::Tls12AndTls13 => &[&TLS13, &TLS12],
    };
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| StartError::new("the crypto provider lacks a version of TLS").with_source(error))
}

/// Where the certificate of a handshake comes from.
enum Source {
    Nothing,
    Fixed(Arc<CertifiedKey>),
    Reloadable(Arc<Reloadable>),
    Selector(CertificateSelector),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl ResolvesServerCert for Source {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Nothing => None,
            Self::Fixed(certificate) => Some(Arc::clone(certificate)),
            Self::Reloadable(reloadable) => Some(reloadable.current()),
            Self::Selector(selector) => (selector.0)(hello.server_name()),
        }
    }
}
