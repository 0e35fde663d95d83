//! One connection as its observers see it, from the first event to the last.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::Version;
use server_abstractions::{Connection, ConnectionEvent, FeatureCollection};
use tokio::time::Instant;

use super::Observers;
use crate::connection::Accepted;
use crate::end_reason::EndReason;

/// What is kept of a connection that somebody observes.
///
/// The task of the connection holds it, and so do its bytes, which an upgrade may carry elsewhere: the last of them tells of the
/// end by dropping it, however that comes about. The connection itself knows it weakly.
pub(crate) struct Observation {
    observers: Observers,
    begun: Instant,
    /// As the layers have left them so far.
    features: Mutex<FeatureCollection>,
    version: OnceLock<Version>,
    is_started: AtomicBool,
    is_upgraded: AtomicBool,
}

impl Observation {
    pub(super) fn new(observers: Observers) -> Self {
        Self {
            observers,
            begun: Instant::now(),
            features: Mutex::default(),
            version: OnceLock::new(),
            is_started: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
        }
    }

    fn features(&self) -> FeatureCollection {
        self.features.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a layer has made of the features.
    pub(crate) fn see(&self, features: &FeatureCollection) {
        *self.features.lock().unwrap_or_else(PoisonError::into_inner) = features.clone();
    }

    pub(crate) fn tell(&self, event: &ConnectionEvent<'_>) {
        self.observers.tell(event);
    }

    /// The connection was accepted, with these features.
    pub(crate) fn accepted(&self, features: &FeatureCollection) {
        self.see(features);
        self.tell(&ConnectionEvent::Accepted { features });
    }

    /// The task of the connection runs.
    pub(crate) fn started(&self) {
        if !self.is_started.swap(true, Ordering::Relaxed) {
            self.tell(&ConnectionEvent::Started { features: &self.features() });
        }
    }

    /// HTTP begins.
    pub(crate) fn http_started(&self, features: &FeatureCollection, version: Version) {
        self.see(features);
        let _ = self.version.set(version);
        self.tell(&ConnectionEvent::HttpStarted { features, version });
    }

    /// The connection is no longer HTTP.
    pub(crate) fn upgraded(&self) {
        if !self.is_upgraded.swap(true, Ordering::Relaxed) {
            self.tell(&ConnectionEvent::Upgraded { features: &self.features() });
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.started();
        let features = &self.features();
        if *self.is_upgraded.get_mut() {
            self.tell(&ConnectionEvent::UpgradeEnded { features });
        }
        self.tell(&ConnectionEvent::Ended {
            features,
            duration: self.begun.elapsed(),
            version: self.version.get().copied(),
        });
    }
}

/// A TLS handshake that somebody observes. Dropped without an end, the server has given it up.
pub(crate) struct HandshakeWatch {
    observation: Arc<Observation>,
    features: FeatureCollection,
    begun: Instant,
    is_over: bool,
}

impl HandshakeWatch {
    pub(crate) fn begin(accepted: Option<&Arc<Accepted>>, features: &FeatureCollection) -> Option<Self> {
        let observation = accepted?.observation()?;
        observation.see(features);
        observation.tell(&ConnectionEvent::TlsHandshakeStarted { features });
        Some(Self { observation, features: features.clone(), begun: Instant::now(), is_over: false })
    }

    /// What came of the handshake; nothing if the server has given it up.
    pub(crate) fn over_with(mut self, shaken: &io::Result<Option<Connection>>) {
        match shaken {
            Ok(Some(connection)) => {
                self.observation.see(&connection.features);
                self.features = connection.features.clone();
                self.over(None);
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.over(Some(EndReason::TlsHandshakeTimeout))
            }
            Err(_) => self.over(Some(EndReason::TlsHandshakeFailed)),
        }
    }

    fn over(&mut self, reason: Option<EndReason>) {
        self.is_over = true;
        let error_type = reason.map(EndReason::as_str);
        let (features, duration) = (&self.features, self.begun.elapsed());
        self.observation.tell(&ConnectionEvent::TlsHandshakeEnded { features, duration, error_type });
    }
}

impl Drop for HandshakeWatch {
    fn drop(&mut self) {
        if !self.is_over {
            self.over(Some(EndReason::AppShutdownTimeout));
        }
    }
}
