//! What happens on connections, told to whoever counts, logs or shows it.

use std::error::Error;
use std::time::Duration;

use http::{StatusCode, Version};

use crate::FeatureCollection;

/// Somebody who is told what happens on the connections of a server: metrics, logs, a page for diagnostics.
///
/// A server tells all of its observers the same events. It calls them on the task of the connection, so `observe` must
/// return soon and never block. One that panics is reported by an event of `tracing`, and the connection goes on.
///
/// For each connection that is accepted the events come in this order: [`Accepted`](ConnectionEvent::Accepted) once,
/// [`Started`](ConnectionEvent::Started) once, what happens, and [`Ended`](ConnectionEvent::Ended) once, whatever ends it:
/// an abort and a panic as well. What has begun is told to have ended before that: handshakes and upgrades.
///
/// An observer that keeps something with a connection finds room in its
/// [`ConnectionItemsFeature`](crate::ConnectionItemsFeature).
///
/// ```
/// use std::sync::atomic::{AtomicI64, Ordering};
/// use server_abstractions::{ConnectionEvent, ConnectionObserver};
///
/// #[derive(Default)]
/// struct Open(AtomicI64);
///
/// impl ConnectionObserver for Open {
///     fn observe(&self, event: &ConnectionEvent<'_>) {
///         match event {
///             ConnectionEvent::Started { .. } => drop(self.0.fetch_add(1, Ordering::Relaxed)),
///             ConnectionEvent::Ended { .. } => drop(self.0.fetch_sub(1, Ordering::Relaxed)),
///             _ => {}
///         }
///     }
/// }
/// ```
#[doc(alias = "KestrelEventSource")]
#[doc(alias = "KestrelMetrics")]
pub trait ConnectionObserver: Send + Sync {
    /// Something has happened.
    fn observe(&self, event: &ConnectionEvent<'_>);
}

/// Something that has happened on a connection.
///
/// The features are those of the connection at that moment: its addresses
/// ([`HttpConnectionFeature`](crate::HttpConnectionFeature)), its endpoint ([`EndpointFeature`](crate::EndpointFeature)), TLS once
/// the handshake is done, and why it ends ([`ConnectionEndFeature`](crate::ConnectionEndFeature)) once that is known. A layer, such
/// as the one of the PROXY protocol, may have replaced the addresses since the connection was accepted;
/// [`get_outer`](FeatureCollection::get_outer) finds those of the socket.
///
/// An `error_type` is the value of the attribute `error.type`, of a small set, as
/// [`ConnectionEndFeature::error_type`](crate::ConnectionEndFeature::error_type) lists them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent<'a> {
    /// A connection was accepted and waits until its task runs.
    Accepted {
        /// What is known about the connection.
        features: &'a FeatureCollection,
    },
    /// The task of the connection runs. (One that is dropped before it ran is told to have started and ended at once.)
    Started {
        /// What is known about the connection.
        features: &'a FeatureCollection,
    },
    /// There was no place for a connection, and it was closed. Such a one was not accepted before if there are as many
    /// connections as there may be; if its address has too many, it was, and ends.
    Rejected {
        /// What is known about the connection.
        features: &'a FeatureCollection,
        /// Which limit was met: `max_concurrent_connections_exceeded` or `max_connections_per_address_exceeded`.
        error_type: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A TLS handshake has begun.
    TlsHandshakeStarted {
        /// What is known about the connection.
        features: &'a FeatureCollection,
    },
    /// A TLS handshake is over; told once for each that has begun.
    TlsHandshakeEnded {
        /// What is known about the connection; what was agreed on, if the handshake went well.
        features: &'a FeatureCollection,
        /// How long it took.
        duration: Duration,
        /// Why it failed, if it did: `tls_handshake_failed`, `timeout`, or `app_shutdown_timeout` if the server
        /// did not wait for its end.
        error_type: Option<&'static str>,
    },
    /// The connection speaks HTTP from now on.
    HttpStarted {
        /// What is known about the connection, as its layers have left it.
        features: &'a FeatureCollection,
        /// HTTP/1.1 or HTTP/2.
        version: Version,
    },
    /// The server refuses a request itself.
    RequestRefused {
        /// What is known about the connection.
        features: &'a FeatureCollection,
        /// The status of the answer, if there is one: none over HTTP/2 where the stream is reset.
        status: Option<StatusCode>,
        /// Why, as one of a small set.
        error_type: &'static str,
        /// Why, in words.
        reason: &'static str,
        /// The method as it came, as far as it is known. Any bytes.
        method: Option<&'a [u8]>,
        /// The target as it came, as far as it is known. Any bytes.
        target: Option<&'a [u8]>,
        /// Whether the application has the request already, and learns of this from its body; what is answered is for it
        /// to say.
        is_with_app: bool,
    },
    /// The connection has become something else than HTTP/1.1, such as WebSocket.
    Upgraded {
        /// What is known about the connection.
        features: &'a FeatureCollection,
    },
    /// An upgraded connection is over; told once for each that was upgraded.
    UpgradeEnded {
        /// What is known about the connection.
        features: &'a FeatureCollection,
    },
    /// There was no place for an upgraded connection; the application is told.
    UpgradeRejected {
        /// What is known about the connection.
        features: &'a FeatureCollection,
        /// The limit, `max_concurrent_upgraded_connections_exceeded`.
        error_type: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The connection is about to end before its time, by a fault of its peer or by the server's decision. Not told
    /// of a connection that ends because a request was refused, or that waits for requests no longer.
    CutShort {
        /// What is known about the connection.
        features: &'a FeatureCollection,
        /// Why, as one of a small set.
        error_type: &'static str,
        /// What has failed, if something has.
        error: Option<&'a (dyn Error + 'static)>,
    },
    /// The connection is over: its task has ended, and its bytes are gone.
    Ended {
        /// What is known about the connection; [`ConnectionEndFeature`](crate::ConnectionEndFeature) tells why it ended.
        features: &'a FeatureCollection,
        /// How long it lasted, since it was accepted.
        duration: Duration,
        /// The version of HTTP, if it came to that.
        version: Option<Version>,
    },
}

impl<'a> ConnectionEvent<'a> {
    /// What is known about the connection.
    pub fn features(&self) -> &'a FeatureCollection {
        match *self {
            Self::Accepted { features }
            | Self::Started { features }
            | Self::Rejected { features, .. }
            | Self::TlsHandshakeStarted { features }
            | Self::TlsHandshakeEnded { features, .. }
            | Self::HttpStarted { features, .. }
            | Self::RequestRefused { features, .. }
            | Self::Upgraded { features }
            | Self::UpgradeEnded { features }
            | Self::UpgradeRejected { features, .. }
            | Self::CutShort { features, .. }
            | Self::Ended { features, .. } => features,
        }
    }
}
