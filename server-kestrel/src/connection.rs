//! What the server knows of one connection, as features and as state.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use atomic_waker::AtomicWaker;
use http::Extensions;
use http::uri::Scheme;
use server_abstractions::{
    Address, Connection, ConnectionEndFeature, ConnectionEvent, ConnectionItemsFeature,
    ConnectionLifetimeFeature, ConnectionPhase, ConnectionStatisticsFeature, EndpointFeature,
    FeatureCollection, FeatureQuery, FeatureSource, HttpConnectionFeature, HttpSchemeFeature, Lifetime,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::activity::{Activity, Phase};
use crate::capacity::Place;
use crate::drain::{Drain, Share};
use crate::end_reason::EndReason;
use crate::listener::TcpConnection;
use crate::observers::{Observation, Observers, log};
use crate::protocol::reason_of;

/// What all connections of one endpoint have in common.
pub(crate) struct EndpointInfo {
    pub(crate) name: Option<String>,
    pub(crate) address: Address,
    pub(crate) server_features: FeatureCollection,
    pub(crate) replaced: Replaced,
    pub(crate) observers: Observers,
    pub(crate) drain: Arc<Drain>,
}

/// Tells connections that their endpoint is gone or served in another way from now on, but that nothing is in a hurry:
/// each ends with its next answer, so that no request meets a closed connection.
#[derive(Default)]
pub(crate) struct Replaced {
    is_replaced: AtomicBool,
    token: CancellationToken,
}

impl Replaced {
    pub(crate) fn tell(&self) {
        self.is_replaced.store(true, Ordering::Release);
        self.token.cancel();
    }

    fn is_told(&self) -> bool {
        self.is_replaced.load(Ordering::Acquire)
    }
}

impl EndpointFeature for EndpointInfo {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

/// An accepted connection: the features that hold for all of its requests, and the signals to it.
pub(crate) struct Accepted {
    number: u64,
    id: OnceLock<String>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    endpoint: Arc<EndpointInfo>,
    transport: FeatureCollection,
    items: Mutex<Extensions>,
    places: Mutex<Places>,
    /// Whether there are bytes that keep the places.
    is_carried: AtomicBool,
    /// Why the connection ends, if that is no good reason.
    end_reason: OnceLock<EndReason>,
    /// What it does, once it speaks HTTP.
    activity: OnceLock<Arc<Activity>>,
    /// Whether an event has told already why it ends.
    is_end_told: AtomicBool,
    observation: Option<Weak<Observation>>,
    pub(crate) lifetime: Lifetime,
    pub(crate) signals: Signals,
}

/// What the connection is counted as.
#[derive(Default)]
struct Places {
    connection: Option<Place>,
    address: Option<Place>,
    upgraded: Option<Place>,
}

impl Accepted {
    /// Gives the connection its features; what the listener said about it lies behind them.
    pub(crate) fn admit(
        mut connection: Connection,
        place: Place,
        endpoint: &Arc<EndpointInfo>,
        lifetime: &Lifetime,
        observation: Option<&Arc<Observation>>,
    ) -> Connection {
        let transport = std::mem::take(&mut connection.features);
        let addresses = transport.get::<dyn HttpConnectionFeature>();
        let accepted = Arc::new(Self {
            number: next_connection_number(),
            id: OnceLock::new(),
            local: addresses.as_ref().and_then(|addresses| addresses.local_address()),
            remote: addresses.as_ref().and_then(|addresses| addresses.remote_address()),
            endpoint: Arc::clone(endpoint),
            transport,
            items: Mutex::default(),
            places: Mutex::new(Places { connection: Some(place), ..Places::default() }),
            is_carried: AtomicBool::new(false),
            end_reason: OnceLock::new(),
            activity: OnceLock::new(),
            is_end_told: AtomicBool::new(false),
            observation: observation.map(Arc::downgrade),
            lifetime: lifetime.clone(),
            signals: Signals::default(),
        });
        connection.features = FeatureCollection::from_source(accepted);
        if let Some(observation) = observation {
            observation.accepted(&connection.features);
        }
        connection
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// HTTP begins; from now on others see what happens.
    pub(crate) fn shows(&self, activity: &Arc<Activity>) {
        // There is one engine's worth of activity to a connection.
        let _ = self.activity.set(Arc::clone(activity));
    }

    /// The first reason is the one; returns whether it is this.
    pub(crate) fn ends_with(&self, reason: EndReason) -> bool {
        self.end_reason.set(reason).is_ok()
    }

    /// The observation of the connection, if there are observers and it has not ended.
    pub(crate) fn observation(&self) -> Option<Arc<Observation>> {
        self.observation.as_ref()?.upgrade()
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observation.is_some()
    }

    /// Tells the log, and the observers as long as the connection has not ended for them.
    pub(crate) fn report(&self, event: &ConnectionEvent<'_>) {
        log::write(event);
        if let Some(observation) = self.observation() {
            observation.tell(event);
        }
    }

    /// An event tells why the connection ends.
    pub(crate) fn end_is_told(&self) {
        self.is_end_told.store(true, Ordering::Relaxed);
    }

    /// The server ends the connection, of which the features tell the peer.
    pub(crate) fn cut_off(&self, features: &FeatureCollection, reason: EndReason) {
        if self.ends_with(reason) {
            self.end_is_told();
            self.report(&ConnectionEvent::CutShort { features, error_type: reason.as_str(), error: None });
        }
    }

    /// The connection has failed.
    pub(crate) fn failed(&self, features: &FeatureCollection, error: &(dyn std::error::Error + 'static)) {
        self.ends_with(reason_of(error));
        if let Some(error_type) = self.error_type().filter(|_| !self.is_end_told.load(Ordering::Relaxed)) {
            self.report(&ConnectionEvent::CutShort { features, error_type, error: Some(error) });
        }
    }

    /// The connection has ended without an error. Whoever met a reason for that before has left it to be told here.
    pub(crate) fn ended(&self, features: &FeatureCollection) {
        let reason = self.end_reason.get().filter(|_| !self.is_end_told.load(Ordering::Relaxed));
        // To be idle is no fault.
        if let Some(reason) = reason.filter(|&&reason| reason != EndReason::KeepAliveTimeout) {
            self.report(&ConnectionEvent::CutShort { features, error_type: reason.as_str(), error: None });
        }
    }

    /// What waits to be sent is forgotten with the connection.
    pub(crate) fn reset(&self) {
        if let Some(connection) = self.transport.get::<TcpConnection>() {
            connection.reset();
        }
    }

    /// From now on the places are kept until the bytes are gone.
    pub(crate) fn carry(&self) {
        self.is_carried.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_carried(&self) -> bool {
        self.is_carried.load(Ordering::Relaxed)
    }

    /// The connection is gone, whoever still knows of it.
    pub(crate) fn leave(&self) {
        *self.places() = Places::default();
    }

    /// Keeps the place among the connections of the remote address.
    pub(crate) fn keep_address(&self, place: Place) {
        self.places().address = Some(place);
    }

    /// Takes a place among the upgraded connections; false if there is none.
    pub(crate) fn reserve_upgrade(&self, limit: Option<u64>) -> bool {
        let mut places = self.places();
        if places.upgraded.is_none() {
            places.upgraded = places.connection.as_ref().and_then(|place| place.upgraded(limit));
        }
        places.upgraded.is_some()
    }

    /// The upgrade that a place was reserved for has been accepted or not. An upgraded connection no longer counts
    /// among the others.
    pub(crate) fn settle_upgrade(&self, is_accepted: bool) {
        let mut places = self.places();
        if is_accepted {
            places.connection = None;
            drop(places);
            if let Some(observation) = self.observation() {
                observation.upgraded();
            }
        } else {
            places.upgraded = None;
        }
    }

    /// What the connection has of the requests that a stop waits for.
    pub(crate) fn share_of_drain(&self) -> Share {
        Share::of(&self.endpoint.drain)
    }

    /// Whether the endpoint is gone or served in another way by now.
    pub(crate) fn is_replaced(&self) -> bool {
        self.endpoint.replaced.is_told()
    }

    /// Resolves when [`is_replaced`](Self::is_replaced) becomes true.
    pub(crate) fn replaced(&self) -> WaitForCancellationFutureOwned {
        self.endpoint.replaced.token.clone().cancelled_owned()
    }

    /// Whether the request under way is the last one.
    pub(crate) fn is_closing(&self) -> bool {
        self.lifetime.is_draining()
            || self.is_replaced()
            || self.signals.sent() & (Signals::CLOSE | Signals::LAST) != 0
    }
}

impl FeatureSource for Accepted {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query
            .offer::<dyn HttpConnectionFeature>(|| self.clone())
            .offer::<dyn HttpSchemeFeature>(|| self.clone())
            .offer::<dyn ConnectionLifetimeFeature>(|| self.clone())
            .offer::<dyn ConnectionItemsFeature>(|| self.clone())
            .offer::<dyn ConnectionEndFeature>(|| self.clone())
            .offer::<dyn ConnectionStatisticsFeature>(|| self.clone())
            .offer::<dyn EndpointFeature>(|| self.endpoint.clone())
            .offer::<Self>(|| self.clone());
        query.otherwise(&self.transport);
        query.otherwise(&self.endpoint.server_features);
    }
}

impl ConnectionStatisticsFeature for Accepted {
    fn phase(&self) -> ConnectionPhase {
        match self.activity.get().map(|activity| activity.phase()) {
            None => ConnectionPhase::Starting,
            Some(Phase::Idle) => ConnectionPhase::Idle,
            Some(Phase::Head) => ConnectionPhase::Head,
            Some(Phase::Busy) => ConnectionPhase::Busy,
            Some(Phase::Upgraded) => ConnectionPhase::Upgraded,
            Some(Phase::Gone | Phase::Lingering) => ConnectionPhase::Closing,
        }
    }

    fn bytes_received(&self) -> u64 {
        self.activity.get().map_or(0, |activity| activity.bytes_received())
    }

    fn bytes_sent(&self) -> u64 {
        self.activity.get().map_or(0, |activity| activity.bytes_sent())
    }

    fn requests(&self) -> u64 {
        self.activity.get().map_or(0, |activity| activity.requests().into())
    }
}

impl ConnectionEndFeature for Accepted {
    fn error_type(&self) -> Option<&'static str> {
        self.end_reason.get().map(|reason| reason.as_str())
    }
}

/// Who is on the other side, for the log.
pub(crate) struct Peer(Option<Arc<dyn HttpConnectionFeature>>);

impl Peer {
    pub(crate) fn of(features: &FeatureCollection) -> Self {
        Self(features.get())
    }

    pub(crate) fn id(&self) -> &str {
        self.0.as_ref().map_or("", |connection| connection.connection_id())
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.as_ref().and_then(|connection| connection.remote_address())
    }
}

impl HttpConnectionFeature for Accepted {
    fn connection_id(&self) -> &str {
        self.id.get_or_init(|| connection_id(self.number))
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        self.remote
    }
}

impl HttpSchemeFeature for Accepted {
    fn scheme(&self) -> Scheme {
        Scheme::HTTP
    }
}

impl ConnectionItemsFeature for Accepted {
    fn items(&self) -> MutexGuard<'_, Extensions> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionLifetimeFeature for Accepted {
    fn stopping(&self) -> CancellationToken {
        self.lifetime.stopping()
    }

    fn request_close(&self) {
        self.signals.send(Signals::CLOSE);
    }

    fn abort(&self) {
        self.signals.send(Signals::KILL);
    }
}

/// Counts up from the time of the first connection, so that ids differ from those of an earlier run.
fn next_connection_number() -> u64 {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Ticks of 100 ns, as the original counts.
        AtomicU64::new(u64::try_from(since.as_nanos() / 100).unwrap_or_default())
    });
    next.fetch_add(1, Ordering::Relaxed)
}

/// 13 digits to the base of 32.
fn connection_id(number: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    (0..13).rev().map(|place| char::from(DIGITS[(number >> (place * 5) & 31) as usize])).collect()
}

/// Requests to the task that drives the connection, from anywhere.
#[derive(Default)]
pub(crate) struct Signals {
    sent: AtomicU8,
    driver: AtomicWaker,
    /// For an upgraded connection, which has no driver.
    killed: OnceLock<CancellationToken>,
}

impl Signals {
    /// Close gracefully.
    pub(crate) const CLOSE: u8 = 1;
    /// End now.
    pub(crate) const KILL: u8 = 2;
    /// The next answer is the last one.
    pub(crate) const LAST: u8 = 4;

    /// Leaves a sign that the driver need not hear of.
    pub(crate) fn mark(&self, signal: u8) {
        self.sent.fetch_or(signal, Ordering::AcqRel);
    }

    pub(crate) fn send(&self, signal: u8) {
        self.sent.fetch_or(signal, Ordering::AcqRel);
        self.driver.wake();
        if signal & Self::KILL != 0 {
            self.killed().cancel();
        }
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.sent() & Self::KILL != 0
    }

    pub(crate) fn killed(&self) -> &CancellationToken {
        self.killed.get_or_init(CancellationToken::new)
    }

    pub(crate) fn sent(&self) -> u8 {
        self.sent.load(Ordering::Acquire)
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.driver.register(waker);
    }
}

/// How long what comes before HTTP may go on when the server stops: long enough for a handshake that is under way.
const STOPPING_GRACE: Duration = Duration::from_secs(1);

/// Resolves when the server no longer waits for a connection on which HTTP has not begun.
pub(crate) async fn given_up(features: &FeatureCollection) {
    let Some(lifetime) = features.get::<dyn ConnectionLifetimeFeature>() else {
        return std::future::pending().await;
    };
    lifetime.stopping().cancelled_owned().await;
    tokio::time::sleep(STOPPING_GRACE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_13_digits_to_the_base_of_32() {
        assert_eq!(connection_id(0), "0000000000000");
        assert_eq!(connection_id(31), "000000000000V");
        assert_eq!(connection_id(u64::MAX), "FVVVVVVVVVVVV");
    }
}
