//! What happens on connections, as events of `tracing`.

use server_abstractions::{ConnectionEvent, EndpointFeature};
use tracing::field::display;

use crate::connection::Peer;
use crate::end_reason::EndReason;
use crate::protocol::is_disconnect;

/// Writes what went wrong; all else is not for the log.
pub(crate) fn write(event: &ConnectionEvent<'_>) {
    let peer = Peer::of(event.features());
    let (connection, peer) = (peer.id(), peer.address().map(display));
    match *event {
        ConnectionEvent::Rejected { features, error_type, limit } => {
            let endpoint = features.get::<dyn EndpointFeature>();
            tracing::warn!(
                connection,
                peer,
                endpoint = endpoint.as_ref().map(|endpoint| display(endpoint.address())),
                limit,
                "error.type" = error_type,
                "a connection was refused: there are as many, of all or of its address, as there may be"
            );
        }
        ConnectionEvent::UpgradeRejected { error_type, limit, .. } => tracing::warn!(
            connection,
            peer,
            limit,
            "error.type" = error_type,
            "an upgrade was refused: there are as many upgraded connections as there may be"
        ),
        ConnectionEvent::RequestRefused { status, error_type, reason, .. } => tracing::debug!(
            connection,
            peer,
            status = status.map(|status| status.as_u16()),
            reason,
            "error.type" = error_type,
            "a request was refused"
        ),
        ConnectionEvent::CutShort { error, error_type, .. }
            if error_type == EndReason::ConnectionReset.as_str() || error.is_some_and(is_disconnect) =>
        {
            tracing::trace!(connection, peer, error, "error.type" = error_type, "the peer has gone");
        }
        ConnectionEvent::CutShort { error: Some(error), error_type, .. } => {
            tracing::debug!(connection, peer, error, "error.type" = error_type, "the connection ended early")
        }
        ConnectionEvent::CutShort { error_type, .. } => {
            tracing::debug!(connection, peer, "error.type" = error_type, "a connection was cut off");
        }
        _ => {}
    }
}
