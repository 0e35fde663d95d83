//! Who is told what happens on connections: the log, and the observers that the server was given.

pub(crate) mod log;
mod observation;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use server_abstractions::{ConnectionEvent, ConnectionObserver};

pub(crate) use observation::{HandshakeWatch, Observation};

/// The observers of a server. Without any, a connection costs one look at that.
#[derive(Clone, Default)]
pub(crate) struct Observers(Option<Arc<Vec<Arc<dyn ConnectionObserver>>>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn ConnectionObserver>) {
        Arc::make_mut(self.0.get_or_insert_default()).push(observer);
    }

    /// The observation of one more connection, if anybody observes.
    pub(crate) fn begin(&self) -> Option<Arc<Observation>> {
        self.0.is_some().then(|| Arc::new(Observation::new(self.clone())))
    }

    /// Tells the observers. One that panics must not take the connection with it, nor the process if it is told of an end
    /// by another panic.
    pub(crate) fn tell(&self, event: &ConnectionEvent<'_>) {
        for observer in self.0.iter().flat_map(|observers| observers.iter()) {
            if catch_unwind(AssertUnwindSafe(|| observer.observe(event))).is_err() {
                tracing::error!(?event, "an observer of connections panicked");
            }
        }
    }

    /// Tells the observers of something that is an event of `tracing` as well.
    pub(crate) fn report(&self, event: &ConnectionEvent<'_>) {
        log::write(event);
        self.tell(event);
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.as_ref().map_or(0, |observers| observers.len()))
    }
}
