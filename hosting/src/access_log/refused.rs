//! Requests that no layer has seen.

use std::borrow::Cow;

use http::StatusCode;
use server_abstractions::{
    ConnectionEvent, ConnectionObserver, FeatureCollection, HttpConnectionFeature, TlsHandshakeFeature,
};

use super::AccessLog;
use super::line::{Beginning, Line, Ready};
use super::plan::REDACTED;
use super::record;

/// What a server knows of a request that it refused itself, so that no layer has seen it, or of a connection that it
/// ended before there was a request.
///
/// A request that has reached the application is none of these, whatever it ended with: its line is the
/// [`AccessLogLayer`](super::AccessLogLayer)'s.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest<'a> {
    /// Of the connection: its addresses and its TLS, as far as there are any.
    pub features: &'a FeatureCollection,
    /// The method, as far as it is known.
    pub method: Option<&'a [u8]>,
    /// The target as it came, as far as it is known.
    pub target: Option<&'a [u8]>,
    /// What was answered, if something was.
    pub status: Option<StatusCode>,
    /// Why, as the attribute `error.type` names it, such as `invalid_request_line`, `tls_handshake_failed` or
    /// `max_concurrent_connections_exceeded`.
    pub error_type: &'a str,
}

/// A line for each request that the server has refused, for each connection that had no place, and for each TLS handshake that
/// has failed. What has reached the application is the layer's to tell.
impl ConnectionObserver for AccessLog {
    fn observe(&self, event: &ConnectionEvent<'_>) {
        let refused = match *event {
            ConnectionEvent::Rejected { features, error_type, .. }
            | ConnectionEvent::TlsHandshakeEnded { features, error_type: Some(error_type), .. } => {
                RefusedRequest { features, method: None, target: None, status: None, error_type }
            }
            ConnectionEvent::RequestRefused {
                features,
                status,
                error_type,
                method,
                target,
                is_with_app: false,
                ..
            } => RefusedRequest { features, method, target, status, error_type },
            _ => return,
        };
        self.refused(&refused);
    }
}

impl AccessLog {
    /// Writes a line for a request that a server refused itself. What is not known is left out, as ever; it has no time
    /// taken and no bytes.
    pub fn refused(&self, refused: &RefusedRequest<'_>) {
        let connection = refused.features.get::<dyn HttpConnectionFeature>();
        let tls = refused.features.get::<dyn TlsHandshakeFeature>();
        let target = refused.target.map(|target| self.shown(target));
        let mut parts = target.iter().flat_map(|target| target.splitn(2, |&byte| byte == b'?'));
        let (path, query) = (parts.next(), parts.next());
        let of_request = self.plan().begin(&Beginning {
            method: refused.method,
            target: target.as_deref(),
            path,
            query,
            ..Beginning::default()
        });
        let ready = Ready { of_request, of_response: self.plan().answer(None) };
        let line = Line {
            client: connection.as_ref().and_then(|connection| connection.remote_address()),
            server: connection.as_ref().and_then(|connection| connection.local_address()),
            status: refused.status.map(|status| status.as_u16()),
            connection_id: connection.as_ref().map(|connection| connection.connection_id()),
            tls: tls.map(|tls| tls.protocol().as_str()),
            error: Some(refused.error_type),
            ..Line::default()
        };
        record::write(self, &line, &ready);
    }

    /// With its query redacted, if that is wanted.
    fn shown<'a>(&self, target: &'a [u8]) -> Cow<'a, [u8]> {
        match target.iter().position(|&byte| byte == b'?').filter(|_| self.plan().redact_query) {
            Some(at) => Cow::Owned([&target[..=at], REDACTED.as_bytes()].concat()),
            None => Cow::Borrowed(target),
        }
    }
}
