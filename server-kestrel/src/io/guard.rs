//! What ends an upgraded connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use server_abstractions::LifetimeGuard;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connection::Accepted;
use crate::observers::Observation;

/// What counts the connection, and ends it once nobody else does.
pub(super) struct Guard {
    pub(super) accepted: Arc<Accepted>,
    /// Made when an upgraded connection first waits; one for each direction, which may belong to different tasks.
    reader: Option<Ended>,
    writer: Option<Ended>,
    _count: LifetimeGuard,
    _observation: Option<Arc<Observation>>,
}

/// Who waits.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Guard {
    pub(super) fn new(accepted: &Arc<Accepted>) -> Self {
        let count = accepted.lifetime.guard();
        accepted.carry();
        Self {
            accepted: Arc::clone(accepted),
            reader: None,
            writer: None,
            _count: count,
            _observation: accepted.observation(),
        }
    }

    /// Whether the server aborts, or somebody has ended this connection.
    pub(super) fn is_ended(&self) -> bool {
        self.accepted.lifetime.is_aborting() || self.accepted.signals.is_killed()
    }

    /// Waits for that.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>, direction: Direction) -> Poll<()> {
        let waiting = match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        };
        waiting.get_or_insert_with(|| Ended::of(&self.accepted)).poll(cx)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.accepted.leave();
    }
}

/// The server aborts, or somebody has ended this connection.
struct Ended {
    aborting: Pin<Box<WaitForCancellationFutureOwned>>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Ended {
    fn of(accepted: &Accepted) -> Self {
        Self {
            aborting: Box::pin(accepted.lifetime.aborting()),
            killed: Box::pin(accepted.signals.killed().clone().cancelled_owned()),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.aborting.as_mut().poll(cx).is_ready() || self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
