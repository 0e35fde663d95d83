//! What the page asks for, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use server_abstractions::{
    ConnectionPhase, ConnectionStatisticsFeature, EndpointFeature, FeatureCollection, HttpConnectionFeature,
    TlsHandshakeFeature,
};
use tokio::time::Instant;

use super::board::{Board, Connection};
use super::certificates::CertificateRow;
use super::facts::{EndpointRow, KeyRow, LimitRow};
use super::numbers::Totals;
use super::requests::{self, SHOWN_ROWS, shortened, version};

/// As old may be what is answered, so that many who look on cost as much as one.
const SHARED: Duration = Duration::from_millis(500);

/// What was answered last, and when.
pub(super) type LastData = tokio::sync::Mutex<Option<(Instant, Bytes)>>;

/// Everything at one moment.
#[derive(Serialize)]
pub(super) struct Snapshot {
    application: String,
    environment: String,
    process: u32,
    /// In seconds.
    uptime: f64,
    /// Which answer of this process it is.
    answer: u64,
    endpoints: Vec<EndpointRow>,
    connections: Table<ConnectionRow>,
    requests: Table<requests::Row>,
    totals: Totals,
    ended: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    limits: Vec<LimitRow>,
    #[serde(serialize_with = "list")]
    certificates: Arc<Vec<CertificateRow>>,
    configuration: Vec<KeyRow>,
}

fn list<S: Serializer>(rows: &Arc<Vec<CertificateRow>>, serializer: S) -> Result<S::Ok, S::Error> {
    rows.as_slice().serialize(serializer)
}

/// Some of the rows there are.
#[derive(Serialize)]
struct Table<R> {
    count: usize,
    rows: Vec<R>,
}

/// A connection.
#[derive(Serialize)]
struct ConnectionRow {
    id: String,
    peer: String,
    endpoint: String,
    version: &'static str,
    tls: &'static str,
    phase: &'static str,
    /// In seconds.
    age: f64,
    requests: u64,
    received: u64,
    sent: u64,
}

impl Board {
    /// What there is to be seen, as JSON. Who asks while another one's answer is made waits for that.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the last state.
    pub(super) async fn data(&self) -> Result<Bytes, serde_json::Error> {
        let mut last = self.last.lock().await;
        if let Some((made, data)) = &*last
            && made.elapsed() < SHARED
        {
            return Ok(data.clone());
        }
        let data = Bytes::from(serde_json::to_vec(&self.snapshot().await)?);
        *last = Some((Instant::now(), data.clone()));
        Ok(data)
    }

    /// What there is to be seen now.
    async fn snapshot(&self) -> Snapshot {
        static ANSWERS: AtomicU64 = AtomicU64::new(1);
        let facts = self.facts.get();
        let (application, environment) = facts.map(|facts| facts.application()).unwrap_or_default();
        let mut endpoints = facts.map(|facts| facts.endpoints()).unwrap_or_default();
        let certificates =
            self.certificates.rows(|| facts.map(|facts| facts.certificates()).unwrap_or_default()).await;
        let mut totals = self.numbers.totals();
        let connections = self.connections(&mut endpoints, &mut totals);
        let (count, rows) = self.requests.rows();
        let reasons = self.reasons();
        Snapshot {
            application,
            environment,
            process: std::process::id(),
            uptime: self.started.elapsed().as_secs_f64(),
            answer: ANSWERS.fetch_add(1, Ordering::Relaxed),
            endpoints,
            connections,
            requests: Table { count, rows },
            totals,
            ended: reasons.ended,
            refused: reasons.refused,
            limits: facts.map(|facts| facts.limits()).unwrap_or_default(),
            certificates,
            configuration: facts.map(|facts| facts.keys()).unwrap_or_default(),
        }
    }

    /// The oldest connections; counts all of them by endpoint, and their bytes.
    fn connections(&self, endpoints: &mut [EndpointRow], totals: &mut Totals) -> Table<ConnectionRow> {
        let mut connections = self.open();
        connections.sort_by(|one, other| one.1.begun.cmp(&other.1.begun).then_with(|| one.0.cmp(&other.0)));
        for (_, connection) in &connections {
            if let Some(statistics) = connection.features.get::<dyn ConnectionStatisticsFeature>() {
                totals.received += statistics.bytes_received();
                totals.sent += statistics.bytes_sent();
            }
            if let Some(endpoint) = connection.features.get::<dyn EndpointFeature>() {
                let address = endpoint.address().to_string();
                if let Some(row) = endpoints.iter_mut().find(|row| row.address == address) {
                    row.connections += 1;
                }
            }
        }
        let count = connections.len();
        let rows = connections.into_iter().take(SHOWN_ROWS).map(|(id, connection)| row(id, &connection));
        Table { count, rows: rows.collect() }
    }
}

fn row(id: String, connection: &Connection) -> ConnectionRow {
    let features = &connection.features;
    let peer = features.get::<dyn HttpConnectionFeature>().and_then(|peer| peer.remote_address());
    let statistics = features.get::<dyn ConnectionStatisticsFeature>();
    let statistics = statistics.as_ref();
    let tls = features.get::<dyn TlsHandshakeFeature>();
    let phase = statistics.map_or(ConnectionPhase::Starting, |statistics| statistics.phase());
    ConnectionRow {
        id,
        peer: peer.map(|peer| peer.to_string()).unwrap_or_default(),
        endpoint: endpoint(features),
        version: connection.version.map_or("", version),
        tls: tls.map_or("", |tls| tls.protocol().as_str()),
        phase: if connection.is_upgraded { ConnectionPhase::Upgraded } else { phase }.as_str(),
        age: connection.begun.elapsed().as_secs_f64(),
        requests: statistics.map_or(0, |statistics| statistics.requests()),
        received: statistics.map_or(0, |statistics| statistics.bytes_received()),
        sent: statistics.map_or(0, |statistics| statistics.bytes_sent()),
    }
}

fn endpoint(features: &FeatureCollection) -> String {
    let Some(endpoint) = features.get::<dyn EndpointFeature>() else { return String::new() };
    shortened(&endpoint.name().map_or_else(|| endpoint.address().to_string(), str::to_owned))
}
