//! What a handshake has agreed on, as features.

use http::uri::Scheme;
use rustls::server::ServerConnection;
use server_abstractions::{HttpSchemeFeature, TlsConnectionFeature, TlsHandshakeFeature, TlsProtocol};

/// What the handshake agreed on, copied out of the TLS connection.
pub(super) struct Handshake {
    protocol: TlsProtocol,
    cipher_suite: &'static str,
    server_name: Option<String>,
    application_protocol: Option<Vec<u8>>,
    client_certificates: Vec<Vec<u8>>,
}

impl Handshake {
    pub(super) fn of(connection: &ServerConnection) -> Self {
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
