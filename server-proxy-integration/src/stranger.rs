//! Tells of fields whose writer nobody knows.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::peer::Peer;

/// That fields were seen which are not believed. The first time is told where everybody sees it, since it is either a proxy
/// that was forgotten or a client that lies; later ones, which clients can make as many of as they like, at the level debug.
#[derive(Debug)]
pub(crate) struct Stranger {
    /// The fields, as a sentence begins with them.
    fields: &'static str,
    /// The options that say who is known.
    options: &'static str,
    was_told: AtomicBool,
}

impl Stranger {
    pub(crate) const fn new(fields: &'static str, options: &'static str) -> Self {
        Self { fields, options, was_told: AtomicBool::new(false) }
    }

    #[cold]
    pub(crate) fn tell(&self, peer: Peer) {
        let Self { fields, options, .. } = self;
        let address = peer.address.map(tracing::field::display);
        // Whoever is first tells; nothing else hangs on it.
        if self.was_told.swap(true, Ordering::Relaxed) {
            tracing::debug!(peer = address, "{fields} come from an unknown proxy and are not believed");
            return;
        }
        let advice = match peer {
            Peer { address: Some(_), .. } => {
                "if the peer is your proxy, add it to known_proxies or its network to known_networks"
            }
            Peer { is_unix: true, .. } => {
                "the peer came through a Unix socket; if only your proxy may write to its file, set trust_unix_sockets"
            }
            Peer { .. } => {
                "nobody knows the address of the peer; under axum::serve it takes the cargo feature axum of server-proxy-integration and into_make_service_with_connect_info::<SocketAddr>()"
            }
        };
        tracing::info!(
            peer = address,
            "{fields} come from an unknown proxy and are not believed: {advice} ({options}); this is told once, and then at the level debug"
        );
    }
}
