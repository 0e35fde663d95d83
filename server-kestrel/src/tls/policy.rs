//! Which TLS a connection gets, by the name that the client asks for.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConnection};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, HandshakeKind, ServerConfig, WantsVerifier};
use rustls_pki_types::UnixTime;
use server_abstractions::StartError;

use super::certificate::{FileSource, from_pem};
use super::client_certificates::Believed;
use super::reloadable::Reloadable;
use super::sessions::{Identity, Ring};
use super::store::StoreSource;
use super::{
    CertificateSelector, ClientCertificates, HttpsOptions, ServerCertificate, SessionOptions, TlsVersions,
};
use crate::HttpProtocols;

/// The TLS of one endpoint.
pub(super) struct Policies {
    /// For names that nothing else is for.
    default: Policy,
    exact: HashMap<String, Policy>,
    /// By the end of names, from the dot on; the longest first.
    wildcards: Vec<(String, Policy)>,
}

/// The TLS of a connection.
pub(super) struct Policy {
    pub(super) config: Arc<ServerConfig>,
    /// The certificate, if it may change.
    reloadable: Option<Arc<Reloadable<CertifiedKey>>>,
    /// The keys of tickets.
    ring: Option<Arc<Ring>>,
    /// What clients' certificates are judged by, if it may change.
    believed: Option<Arc<Reloadable<Believed>>>,
    /// Who judges clients' certificates.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Policy {
    fn of(config: Arc<ServerConfig>) -> Self {
        Self { config, reloadable: None, ring: None, believed: None, verifier: None }
    }

    /// Before a handshake: looks at what may have changed.
    pub(super) async fn refresh(&self) {
        if let Some(reloadable) = &self.reloadable {
            reloadable.refresh().await;
        }
        if let Some(ring) = &self.ring {
            ring.refresh().await;
        }
        if let Some(believed) = &self.believed {
            believed.refresh().await;
        }
    }

    /// After a handshake: rustls has verified the client's certificate when the session began, and what it is judged by
    /// may have changed since, and so may the time.
    pub(super) fn check_resumed(&self, connection: &ServerConnection) -> io::Result<()> {
        let Some(verifier) = &self.verifier else { return Ok(()) };
        if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
            return Ok(());
        }
        let refused = |why| io::Error::new(io::ErrorKind::PermissionDenied, why);
        match connection.peer_certificates().and_then(|chain| chain.split_first()) {
            None if verifier.client_auth_mandatory() => {
                Err(refused("the session that went on has no certificate of the client".to_owned()))
            }
            None => Ok(()),
            Some((own, others)) => match verifier.verify_client_cert(own, others, UnixTime::now()) {
                Ok(_) => Ok(()),
                Err(error) => Err(refused(format!(
                    "the client's certificate of the session that went on is no longer believed: {error}"
                ))),
            },
        }
    }
}

/// What a policy is made of.
struct Parts<'a> {
    /// The server names that it is for; empty for an endpoint that tells none apart.
    name: &'a str,
    certificate: Option<&'a ServerCertificate>,
    protocols: HttpProtocols,
    tls_versions: TlsVersions,
    client_certificates: &'a ClientCertificates,
    selector: Option<&'a CertificateSelector>,
    sessions: &'a SessionOptions,
    ring: Option<&'a Arc<Ring>>,
}

impl Policies {
    fn of(default: Policy) -> Self {
        Self { default, exact: HashMap::new(), wildcards: Vec::new() }
    }

    /// Every handshake is refused.
    pub(super) fn refusing(provider: &Arc<CryptoProvider>) -> Result<Self, StartError> {
        let config = builder(provider, TlsVersions::default())?.with_no_client_auth();
        let config = Arc::new(config.with_cert_resolver(Arc::new(Certificates::Nothing)));
        Ok(Self::of(Policy::of(config)))
    }

    pub(super) fn new(
        options: &HttpsOptions,
        protocols: HttpProtocols,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, StartError> {
        if options.sni.is_empty()
            && matches!(options.certificate, Some(ServerCertificate::Rustls(_)))
            && options.sessions != SessionOptions::default()
        {
            let message =
                "sessions are configured beside a whole TLS configuration (rustls); configure them there";
            return Err(StartError::configuration(message));
        }
        let ring = options.sessions.ring(provider)?;
        let own = Parts {
            name: "",
            certificate: options.certificate.as_ref(),
            protocols,
            tls_versions: options.tls_versions,
            client_certificates: &options.client_certificates,
            selector: options.certificate_selector.as_ref(),
            sessions: &options.sessions,
            ring: ring.as_ref(),
        };
        if options.sni.is_empty() {
            return Ok(Self::of(own.build(provider)?));
        }
        let mut policies = Self::refusing(provider)?;
        for (name, sni) in &options.sni {
            let parts = Parts {
                name,
                certificate: sni.certificate.as_ref().or(own.certificate),
                protocols: sni.protocols.unwrap_or(protocols),
                tls_versions: sni.tls_versions.unwrap_or(own.tls_versions),
                client_certificates: sni.client_certificates.as_ref().unwrap_or(own.client_certificates),
                selector: if sni.certificate.is_some() { None } else { own.selector },
                ..own
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
        if let Some(ServerCertificate::Rustls(config)) = self.certificate {
            return Ok(Policy::of(Arc::clone(config)));
        }
        let mut identity = Identity::new(provider.secure_random);
        let certificates = self.certificates(provider, &mut identity)?;
        let reloadable = match &certificates {
            Certificates::Reloadable(reloadable) => Some(Arc::clone(reloadable)),
            _ => None,
        };
        identity.add("name", self.name.to_ascii_lowercase().as_bytes());
        identity.add("versions", format!("{:?}", self.tls_versions).as_bytes());
        let builder = builder(provider, self.tls_versions)?;
        let (verifier, believed) = self.client_certificates.verifier(provider, &mut identity)?.unzip();
        let believed = believed.flatten();
        let builder = match verifier.clone() {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates.clone()));
        config.alpn_protocols = match self.protocols {
            HttpProtocols::Http1 => vec![b"http/1.1".to_vec()],
            HttpProtocols::Http2 => vec![b"h2".to_vec()],
            HttpProtocols::Http1AndHttp2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        for protocol in &config.alpn_protocols {
            identity.add("protocol", protocol);
        }
        self.sessions.install(&mut config, identity.bind(certificates, believed.clone()), self.ring);
        Ok(Policy { config: Arc::new(config), reloadable, ring: self.ring.cloned(), believed, verifier })
    }

    fn certificates(
        &self,
        provider: &Arc<CryptoProvider>,
        identity: &mut Identity,
    ) -> Result<Certificates, StartError> {
        let reloadable = match (self.selector, self.certificate) {
            (Some(selector), _) => {
                identity.add_code()?;
                return Ok(Certificates::Selector(selector.clone()));
            }
            (None, Some(ServerCertificate::Pem { certificate, key, password })) => {
                let fixed = from_pem(certificate, key, password.as_deref(), provider)?;
                return Ok(Certificates::Fixed(Arc::new(fixed)));
            }
            (None, Some(ServerCertificate::File(file))) => {
                Reloadable::new(FileSource(file.clone(), Arc::clone(provider)))?
            }
            (None, Some(ServerCertificate::Store(stored))) => {
                Reloadable::new(StoreSource::new(stored.clone(), provider))?
            }
            (None, None | Some(ServerCertificate::Rustls(_))) => {
                return Err(StartError::configuration("TLS needs a certificate, and none is configured"));
            }
        };
        Ok(Certificates::Reloadable(reloadable))
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
#[derive(Clone)]
pub(super) enum Certificates {
    Nothing,
    Fixed(Arc<CertifiedKey>),
    Reloadable(Arc<Reloadable<CertifiedKey>>),
    Selector(CertificateSelector),
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    /// The certificate, if it can be known without a client.
    pub(super) fn known(&self) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Fixed(certificate) => Some(Arc::clone(certificate)),
            Self::Reloadable(reloadable) => Some(reloadable.current()),
            Self::Nothing | Self::Selector(_) => None,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Selector(selector) => (selector.0)(hello.server_name()),
            _ => self.known(),
        }
    }
}
