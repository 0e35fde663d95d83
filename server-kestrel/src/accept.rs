//! Takes connections from a listener and serves each in a task of its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use server_abstractions::{
    BoxConnectionService, Connection, ConnectionEvent, EndpointFeature, FeatureCollection, FeatureQuery,
    FeatureSource, Lifetime, LifetimeGuard,
};
use tokio::sync::watch;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::capacity::Capacity;
use crate::connection::{Accepted, EndpointInfo};
use crate::end_reason::EndReason;
use crate::listener::ErasedListener;
use crate::liveness::Pulse;

/// How an endpoint serves its connections; a reload replaces it, and the connections of the old one end.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) service: BoxConnectionService,
    pub(crate) info: Arc<EndpointInfo>,
    /// The lifetime of the connections.
    pub(crate) lifetime: Lifetime,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) max_connections: Option<u64>,
}

/// The first pause when the system has no resources for another connection; doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until the endpoint is no longer listened on; then takes what has connected by then, at most as many as the queue
/// may hold, and unbinds.
pub(crate) async fn accept_loop(
    mut listener: Box<dyn ErasedListener>,
    queue: usize,
    serving: watch::Receiver<Serving>,
    listening: Lifetime,
    mut pulse: Pulse,
    guard: LifetimeGuard,
) {
    let mut pause = MIN_PAUSE;
    let mut closing = std::pin::pin!(listening.draining());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = listener.accept() => accepted,
            never = pulse.beat() => match never {},
        };
        match accepted {
            Ok(connection) => {
                pause = MIN_PAUSE;
                serve(connection, &serving);
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, address = %listener.address(), pause = ?pause, "cannot accept connections for now");
                tokio::select! {
                    () = &mut closing => break,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                    never = pulse.beat() => match never {},
                }
            }
        }
    }
    take_queued(&mut *listener, queue, &serving);
    drop(listener);
    drop(guard);
}

fn take_queued(listener: &mut dyn ErasedListener, queue: usize, serving: &watch::Receiver<Serving>) {
    for _ in 0..queue {
        match listener.accept_queued() {
            Ok(Some(connection)) => serve(connection, serving),
            Ok(None) => return,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, address = %listener.address(), "cannot accept the last connections");
                return;
            }
        }
    }
}

/// An error of the connection that was about to be accepted, not of the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TimedOut
    )
}

fn serve(connection: Connection, serving: &watch::Receiver<Serving>) {
    let (service, connection, observation, lifetime, guard) = {
        // The guard is taken while the borrow keeps a reload from completing this lifetime.
        let serving = serving.borrow();
        let Some(place) = serving.capacity.connection(serving.max_connections) else {
            return refuse(connection, &serving);
        };
        let observation = serving.info.observers.begin();
        let lifetime = serving.lifetime.clone();
        let connection = Accepted::admit(connection, place, &serving.info, &lifetime, observation.as_ref());
        (serving.service.clone(), connection, observation, lifetime, serving.lifetime.guard())
    };
    tokio::spawn(async move {
        // Dropped last, since it tells of the end.
        let observation = observation;
        if let Some(observation) = &observation {
            observation.started();
        }
        let features = connection.features.clone();
        let served = UntilAborted {
            work: service.run(connection),
            aborting: lifetime.aborting(),
            lifetime,
            waker: None,
        };
        let served = served.await;
        if let Some(accepted) = features.get::<Accepted>() {
            match served {
                Some(Err(error)) => accepted.failed(&features, &*error),
                _ => accepted.ended(&features),
            }
            if !accepted.is_carried() {
                accepted.leave();
            }
        }
        drop(guard);
    });
}

/// One connection too many: it is closed when it is dropped, without an answer.
fn refuse(connection: Connection, serving: &Serving) {
    let refused = Refused { endpoint: Arc::clone(&serving.info), transport: connection.features };
    serving.info.observers.report(&ConnectionEvent::Rejected {
        features: &FeatureCollection::from_source(Arc::new(refused)),
        error_type: EndReason::MaxConcurrentConnectionsExceeded.as_str(),
        limit: serving.max_connections.unwrap_or(u64::MAX),
    });
}

/// A connection that is not served, for those who are told of it.
struct Refused {
    endpoint: Arc<EndpointInfo>,
    transport: FeatureCollection,
}

impl FeatureSource for Refused {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query.offer::<dyn EndpointFeature>(|| self.endpoint.clone());
        query.otherwise(&self.transport);
    }
}

pin_project! {
    /// The work on a connection, dropped when its lifetime aborts; then the result is `None`.
    ///
    /// While the task's waker stays the same, a poll costs one load beside the work's own.
    struct UntilAborted<F> {
        #[pin]
        work: F,
        #[pin]
        aborting: WaitForCancellationFutureOwned,
        lifetime: Lifetime,
        waker: Option<Waker>,
    }
}

impl<F: Future> Future for UntilAborted<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if !this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *this.waker = Some(cx.waker().clone());
            // Registers; whether it has fired is read from the lifetime.
            let _ = this.aborting.poll(cx);
        }
        if this.lifetime.is_aborting() { Poll::Ready(None) } else { Poll::Pending }
    }
}
