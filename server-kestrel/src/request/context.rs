//! What the requests of one connection have in common.

use std::sync::Arc;

use http::uri::Scheme;
use server_abstractions::FeatureCollection;

use super::rates::Rates;
use crate::activity::Activity;
use crate::connection::{Accepted, Peer};
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

impl ConnectionContext {
    pub(crate) fn peer(&self) -> Peer {
        Peer::of(&self.features)
    }

    /// A request is answered without the app, or in spite of it, and the connection ends.
    pub(crate) fn refused(&self, refusal: Refusal) {
        if self.is_http1 {
            self.accepted.ends_with(refusal.error_type());
        }
        let peer = self.peer();
        tracing::debug!(
            connection = peer.id(),
            peer = peer.address().map(tracing::field::display),
            status = refusal.answer().map(|status| status.as_u16()),
            reason = refusal.reason(),
            "error.type" = refusal.error_type(),
            "a request was refused"
        );
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
    pub(crate) fn cut_off(&self, error_type: &'static str) {
        if self.activity.is_write_blocked() {
            self.accepted.reset();
        }
        self.accepted.cut_off(&self.features, error_type);
    }
}
