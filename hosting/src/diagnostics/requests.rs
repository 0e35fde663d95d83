//! The requests that are under way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request, StatusCode, Uri, Version};
use serde::Serialize;
use server_abstractions::{FeatureCollection, HttpConnectionFeature, RequestFeatures};
use tokio::time::Instant;

use super::board::Board;
use super::numbers::Outcome;

/// Threads share a part, so that they seldom wait for each other.
const PARTS: usize = 16;

/// As many characters of a path or a name are shown.
pub(super) const SHOWN_CHARACTERS: usize = 200;

/// As many rows of a table are shown.
pub(super) const SHOWN_ROWS: usize = 200;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: AtomicU64,
    parts: [Mutex<BTreeMap<u64, Entry>>; PARTS],
}

#[derive(Debug)]
struct Entry {
    method: Method,
    uri: Uri,
    version: Version,
    begun: Instant,
    features: FeatureCollection,
}

/// One of them, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    method: String,
    path: String,
    version: &'static str,
    /// In seconds.
    age: f64,
    connection: String,
}

impl Requests {
    fn part(&self, number: u64) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        let part = &self.parts[(number % PARTS as u64) as usize];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are, and the oldest of them.
    pub(super) fn rows(&self) -> (usize, Vec<Row>) {
        let (mut count, mut rows) = (0, BTreeMap::new());
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            count += part.len();
            // Each part is in the order of the numbers.
            rows.extend(part.iter().take(SHOWN_ROWS).map(|(number, entry)| (*number, entry.row())));
        }
        (count, rows.into_values().take(SHOWN_ROWS).collect())
    }
}

impl Entry {
    fn row(&self) -> Row {
        let connection = self.features.get::<dyn HttpConnectionFeature>();
        Row {
            method: shortened(self.method.as_str()),
            path: shortened(self.uri.path()),
            version: version(self.version),
            age: self.begun.elapsed().as_secs_f64(),
            connection: connection.map(|it| it.connection_id().to_owned()).unwrap_or_default(),
        }
    }
}

/// So that one long text does not make the table unreadable.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// Keeps a request in the table until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    board: Arc<Board>,
    number: u64,
    begun: Instant,
    outcome: Outcome,
}

impl UnderWay {
    pub(super) fn begin<B>(board: &Arc<Board>, request: &Request<B>) -> Self {
        let requests = &board.requests;
        let (number, begun) = (requests.next.fetch_add(1, Ordering::Relaxed), Instant::now());
        let entry = Entry {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            begun,
            features: request.features().clone(),
        };
        requests.part(number).insert(number, entry);
        Self { board: Arc::clone(board), number, begun, outcome: Outcome::Aborted }
    }

    /// All of it is answered, or as good as.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.outcome = if status.is_server_error() { Outcome::Failed } else { Outcome::Answered };
    }

    pub(super) fn failed(&mut self) {
        self.outcome = Outcome::Failed;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let entry = self.board.requests.part(self.number).remove(&self.number);
        // Features may be the last to know of a connection, so they are dropped outside of the lock.
        drop(entry);
        self.board.numbers.ended(self.begun.elapsed(), self.outcome);
    }
}
