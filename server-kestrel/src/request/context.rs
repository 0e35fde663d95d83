//! What the requests of one connection have in common.

use std::fmt::Write as _;
use std::sync::Arc;

use http::uri::Scheme;
use http::{Request, StatusCode};
use server_abstractions::{ConnectionEvent, FeatureCollection};

use super::rates::Rates;
use crate::activity::Activity;
use crate::connection::{Accepted, Peer};
use crate::end_reason::EndReason;
use crate::refusal::Refusal;
use crate::scanner::HeadLimits;

/// What the requests of one connection have in common.
pub(crate) struct ConnectionContext {
    /// The features as the connection layers left them.
    pub(crate) features: FeatureCollection,
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) is_http1: bool,
    /// What `:scheme` must be, if it must be anything.
    pub(crate) required_scheme: Option<Scheme>,
    pub(crate) add_server_header: bool,
    pub(crate) max_request_body_size: Option<u64>,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_upgraded: Option<u64>,
    /// What may come in over HTTP/2 before it is read.
    pub(crate) window: u32,
    /// Those of HTTP/2, whose engine knows only a part of them.
    pub(crate) head: HeadLimits,
    pub(crate) rates: Rates,
}

/// What is known of a request that is refused.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    method: Option<&'a [u8]>,
    target: Option<&'a [u8]>,
    is_with_app: bool,
}

impl<'a> Known<'a> {
    /// A request that the app has.
    pub(crate) const WITH_APP: Self = Self { method: None, target: None, is_with_app: true };

    /// A head as far as it has come.
    pub(crate) fn of_head(head: &'a [u8]) -> Self {
        let is_break = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
        let word = |from: usize| {
            let rest = head.get(from..)?;
            rest.iter().position(is_break).map(|end| &rest[..end]).filter(|word| !word.is_empty())
        };
        let method = word(0);
        let target =
            method.filter(|method| head[method.len()] == b' ').and_then(|method| word(method.len() + 1));
        Self { method, target, is_with_app: false }
    }

    /// A request whose target is kept as text here.
    pub(crate) fn of<B>(request: &'a Request<B>, target: &'a mut String) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(target, "{}", request.uri());
        Self {
            method: Some(request.method().as_str().as_bytes()),
            target: Some(target.as_bytes()),
            is_with_app: false,
        }
    }
}

impl ConnectionContext {
    pub(crate) fn peer(&self) -> Peer {
        Peer::of(&self.features)
    }

    /// A request is answered without the app, or in spite of it, and the connection ends.
    pub(crate) fn refused(&self, refusal: Refusal, known: Known<'_>) {
        self.report_refusal(refusal.answer(), refusal.end_reason(), refusal.reason(), known);
    }

    /// A malformed request of HTTP/2 has its stream reset.
    pub(crate) fn reset(&self, reason: &'static str, known: Known<'_>) {
        self.report_refusal(None, EndReason::InvalidRequestHeaders, reason, known);
    }

    /// The engine has answered a head that it cannot read.
    pub(crate) fn refused_by_engine(&self, error: &hyper::Error) {
        let (status, end) = match error.is_parse_too_large() {
            true => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, EndReason::MaxRequestHeadersTotalSizeExceeded)
            }
            false => (StatusCode::BAD_REQUEST, EndReason::InvalidRequestHeaders),
        };
        self.report_refusal(Some(status), end, "the head is malformed", Known::default());
    }

    fn report_refusal(
        &self,
        status: Option<StatusCode>,
        end: EndReason,
        reason: &'static str,
        known: Known<'_>,
    ) {
        if self.is_http1 {
            self.accepted.ends_with(end);
            self.accepted.end_is_told();
        }
        let (features, Known { method, target, is_with_app }) = (&self.features, known);
        self.accepted.report(&ConnectionEvent::RequestRefused {
            features,
            status,
            error_type: end.as_str(),
            reason,
            method,
            target,
            is_with_app,
        });
    }

    /// The app has answered with something that cannot be sent.
    pub(crate) fn broke_framing(&self, reason: &str) {
        let peer = self.peer();
        tracing::error!(
            connection = peer.id(),
            peer = peer.address().map(tracing::field::display),
            reason,
            "the application's response cannot be sent"
        );
    }

    /// The server ends the connection, and does not wait for a peer that takes nothing.
    pub(crate) fn cut_off(&self, reason: EndReason) {
        if self.activity.is_write_blocked() {
            self.accepted.reset();
        }
        self.accepted.cut_off(&self.features, reason);
    }
}
