use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::Version;
use server_abstractions::{
    ConnectionEndFeature, ConnectionEvent, ConnectionObserver, ConnectionStatisticsFeature,
    FeatureCollection, HttpConnectionFeature,
};
use tokio::time::Instant;

use super::certificates::Certificates;
use super::facts::Facts;
use super::numbers::Numbers;
use super::refusals::Refusals;
use super::requests::Requests;
use super::snapshot::LastData;
use super::{DiagnosticsLayer, DiagnosticsOptions};
use crate::Error;

/// A page that shows what the server does at this moment: connections, requests under way, plots of the last minutes; clones
/// are the same page. It shows no values of the configuration, no queries, no fields and no bodies.
///
/// [`WebApplication`](crate::WebApplication) has one if its configuration says so, in the section `Diagnostics`; that page
/// also shows endpoints, limits, certificates and keys of the configuration. This is for programs with a server of their own:
///
/// ```
/// use hosting::server_kestrel::{Kestrel, KestrelOptions};
/// use hosting::{ApplicationBuilder, Body, Diagnostics, DiagnosticsOptions, Request, Response};
///
/// # fn main() -> Result<(), hosting::Error> {
/// let diagnostics = Diagnostics::new(DiagnosticsOptions::default())?;
/// let hello = async |_: Request<Body>| Response::new(Body::from("Hello"));
/// let app = ApplicationBuilder::new().layer(diagnostics.layer()).build(hello);
/// let server = Kestrel::new(KestrelOptions::default()).observer(diagnostics.observer());
/// # drop((app, server));
/// # Ok(()) }
/// ```
///
/// The layer belongs outside of all that changes what is known of the client, inside of a log of requests: it judges who asks
/// by the peer of the socket, as the options say. Who may not see the page gets what the application answers.
#[derive(Clone)]
pub struct Diagnostics(pub(super) Arc<Board>);

impl Diagnostics {
    /// A page with nothing on it yet.
    ///
    /// # Errors
    /// When the path cannot be one.
    pub fn new(options: DiagnosticsOptions) -> Result<Self, Error> {
        options.check().map_err(|reason| {
            Error::new(format!("the page of diagnostics cannot be at {:?}: {reason}", options.path))
        })?;
        Ok(Self(Arc::new(Board::new(options))))
    }

    /// The layer that has the page, and counts the requests behind it.
    pub fn layer(&self) -> DiagnosticsLayer {
        DiagnosticsLayer { board: Arc::clone(&self.0) }
    }

    /// What is to be told of the connections.
    pub fn observer(&self) -> Arc<dyn ConnectionObserver> {
        self.0.clone()
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnostics").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// What is known at the moment.
pub(super) struct Board {
    pub(super) options: DiagnosticsOptions,
    pub(super) started: Instant,
    pub(super) numbers: Numbers,
    pub(super) requests: Requests,
    connections: Mutex<HashMap<String, Connection>>,
    reasons: Mutex<Reasons>,
    /// What an application tells of itself.
    pub(super) facts: OnceLock<Facts>,
    pub(super) certificates: Certificates,
    pub(super) last: LastData,
    pub(super) refusals: Refusals,
}

/// Why connections ended before their time, why requests were refused, and how often. The reasons are of a small set.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    pub(super) ended: BTreeMap<&'static str, u64>,
    pub(super) refused: BTreeMap<&'static str, u64>,
}

/// A connection that is open.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) begun: Instant,
    pub(super) version: Option<Version>,
    pub(super) is_upgraded: bool,
    pub(super) features: FeatureCollection,
}

impl Board {
    fn new(options: DiagnosticsOptions) -> Self {
        Self {
            options,
            started: Instant::now(),
            numbers: Numbers::default(),
            requests: Requests::default(),
            connections: Mutex::default(),
            reasons: Mutex::default(),
            facts: OnceLock::new(),
            certificates: Certificates::default(),
            last: LastData::default(),
            refusals: Refusals::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are open, in no order.
    pub(super) fn open(&self) -> Vec<(String, Connection)> {
        self.table().iter().map(|(id, connection)| (id.clone(), connection.clone())).collect()
    }

    pub(super) fn reasons(&self) -> Reasons {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, change: impl FnOnce(&mut Reasons)) {
        change(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn begins(&self, features: &FeatureCollection) {
        self.numbers.accepted.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = id(features) {
            let features = features.clone();
            let connection =
                Connection { begun: Instant::now(), version: None, is_upgraded: false, features };
            self.table().insert(id, connection);
        }
    }

    /// Takes what has become of the connection's features.
    fn change(&self, features: &FeatureCollection, change: impl FnOnce(&mut Connection)) {
        let Some(id) = id(features) else { return };
        if let Some(connection) = self.table().get_mut(&id) {
            connection.features = features.clone();
            change(connection);
        }
    }

    fn ends(&self, features: &FeatureCollection) {
        let connection = id(features).and_then(|id| self.table().remove(&id));
        drop(connection);
        if let Some(statistics) = features.get::<dyn ConnectionStatisticsFeature>() {
            self.numbers.received.fetch_add(statistics.bytes_received(), Ordering::Relaxed);
            self.numbers.sent.fetch_add(statistics.bytes_sent(), Ordering::Relaxed);
        }
        if let Some(reason) = features.get::<dyn ConnectionEndFeature>().and_then(|end| end.error_type()) {
            self.count(|reasons| *reasons.ended.entry(reason).or_default() += 1);
        }
    }
}

fn id(features: &FeatureCollection) -> Option<String> {
    features.get::<dyn HttpConnectionFeature>().map(|connection| connection.connection_id().to_owned())
}

impl ConnectionObserver for Board {
    fn observe(&self, event: &ConnectionEvent<'_>) {
        match *event {
            ConnectionEvent::Started { features } => self.begins(features),
            ConnectionEvent::TlsHandshakeEnded { features, .. } => self.change(features, |_| {}),
            ConnectionEvent::HttpStarted { features, version } => {
                self.change(features, |connection| connection.version = Some(version));
            }
            ConnectionEvent::Upgraded { features } => {
                self.change(features, |connection| connection.is_upgraded = true);
            }
            ConnectionEvent::Rejected { .. } => drop(self.numbers.rejected.fetch_add(1, Ordering::Relaxed)),
            ConnectionEvent::RequestRefused { error_type, .. } => {
                self.count(|reasons| *reasons.refused.entry(error_type).or_default() += 1);
            }
            ConnectionEvent::Ended { features, .. } => self.ends(features),
            _ => {}
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("options", &self.options).finish_non_exhaustive()
    }
}
