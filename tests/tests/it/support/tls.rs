//! Certificates, and the client's side of TLS.

use std::io;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use server_abstractions::Io;
use server_kestrel::{HttpsOptions, ServerCertificate};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::soon;

/// A certificate that signed itself, for `localhost`.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        let Self { pem, key_pem, der, key } = self;
        Self { pem: pem.clone(), key_pem: key_pem.clone(), der: der.clone(), key: key.clone_key() }
    }
}

impl Certificate {
    pub(crate) fn new() -> Self {
        Self::named("localhost")
    }

    /// One for another name.
    pub(crate) fn named(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        Self {
            pem: cert.pem(),
            key_pem: signing_key.serialize_pem(),
            der: cert.der().clone(),
            key: PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key"),
        }
    }

    /// TLS with this certificate.
    pub(crate) fn https(&self) -> HttpsOptions {
        HttpsOptions {
            certificate: Some(ServerCertificate::Pem {
                certificate: self.pem.clone(),
                key: self.key_pem.clone(),
                password: None,
            }),
            ..HttpsOptions::default()
        }
    }

    /// This certificate as all that is trusted.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate that can be trusted");
        roots
    }
}

/// A client that trusts the server's certificate and offers these protocols.
pub(crate) fn client_config(server: &Certificate, alpn: &[&str]) -> ClientConfig {
    client_config_of(server, alpn, &[&TLS13, &TLS12], None)
}

/// The same with chosen versions of TLS, and with a certificate of the client's own.
pub(crate) fn client_config_of(
    server: &Certificate,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
    own: Option<Certificate>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions of TLS")
        .with_root_certificates(server.roots());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(vec![own.der], own.key).expect("a certificate"),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// Speaks TLS over `io`, with `localhost` as the server's name.
pub(crate) async fn connect_tls<I: Io>(io: I, config: ClientConfig) -> io::Result<TlsStream<I>> {
    connect_tls_to("localhost", io, config).await
}

/// Speaks TLS over `io` with a server of this name.
pub(crate) async fn connect_tls_to<I: Io>(
    name: &'static str,
    io: I,
    config: ClientConfig,
) -> io::Result<TlsStream<I>> {
    let name = ServerName::try_from(name).expect("a name");
    soon(TlsConnector::from(Arc::new(config)).connect(name, io)).await
}
