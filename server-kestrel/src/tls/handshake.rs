//! What a handshake has agreed on, as features.

use std::io;

use http::uri::Scheme;
use rustls::server::ServerConnection;
use server_abstractions::{
    ClientCertificate, HttpSchemeFeature, TlsConnectionFeature, TlsHandshakeFeature, TlsProtocol,
};

/// What the handshake agreed on, copied out of the TLS connection.
pub(super) struct Handshake {
    protocol: TlsProtocol,
    cipher_suite: &'static str,
    server_name: Option<String>,
    application_protocol: Option<Vec<u8>>,
    client_certificate: Option<ClientCertificate>,
    client_certificate_chain: Vec<Vec<u8>>,
}

impl Handshake {
    /// Fails if there is a client's certificate that a function has accepted and nobody can read: whoever asks for it must
    /// not think that there is none.
    pub(super) fn of(connection: &ServerConnection) -> io::Result<Self> {
        let certificates = connection.peer_certificates().unwrap_or_default();
        let client = certificates.first().map(|own| ClientCertificate::from_der(own.as_ref())).transpose();
        Ok(Self {
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
            client_certificate: client.map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the client sent what is no certificate: {error}"),
                )
            })?,
            client_certificate_chain: certificates.iter().skip(1).map(|one| one.to_vec()).collect(),
        })
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
    fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.client_certificate.as_ref()
    }

    fn client_certificate_chain(&self) -> &[Vec<u8>] {
        &self.client_certificate_chain
    }
}

impl HttpSchemeFeature for Handshake {
    fn scheme(&self) -> Scheme {
        Scheme::HTTPS
    }
}
