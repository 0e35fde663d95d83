//! A process of an application that requests are forwarded to.

mod address;
mod clock;
mod in_flight;
mod pool;
mod port;
mod socket;
mod start;
mod stop;
mod upstream;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hosting::HeaderValue;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::status::{WorkerState, WorkerStatus};
use crate::worker::{Exit, Worker, memory};

use address::Address;
pub(crate) use clock::Progress;
use in_flight::Gate;
pub(crate) use in_flight::InFlight;
use pool::Pool;
pub(crate) use port::has_own_port;
pub(crate) use start::{StartFailure, Unready, start};
pub(crate) use upstream::{Answer, Fault, SendError, Sending, Upstream};

/// How long is waited for the news that a process has ended which takes no connection.
const CERTAINTY: Duration = Duration::from_millis(250);

/// A process that listens on a port of its own and is ready.
#[derive(Debug)]
pub(crate) struct Backend {
    worker: Worker,
    port: u16,
    token: HeaderValue,
    /// Since when it is ready.
    since: Instant,
    pool: Pool,
    gate: Gate,
    requests: AtomicU64,
    is_over: AtomicBool,
}

impl Backend {
    /// Lets a request in, unless the process is about to end.
    pub(crate) fn enter(&self) -> Option<InFlight> {
        let entered = self.gate.enter()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        Some(entered)
    }

    /// A connection to it. One that cannot be had tells mostly that the process has ended, before anybody else does.
    pub(crate) async fn connection(&self) -> std::io::Result<Box<Upstream>> {
        while let Some(mut upstream) = self.pool.take() {
            // A task that has done much at once would see nothing of it.
            if unconstrained(poll_fn(|cx| Poll::Ready(upstream.is_quiet(cx)))).await {
                return Ok(upstream);
            }
        }
        Box::pin(self.connect()).await
    }

    async fn connect(&self) -> std::io::Result<Box<Upstream>> {
        let connected = self.pool.connect().await;
        if connected.is_err() && tokio::time::timeout(CERTAINTY, self.worker.ended()).await.is_ok() {
            self.is_over.store(true, Ordering::Release);
        }
        connected
    }

    /// The connections to it.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What tells it that a request comes from the module.
    pub(crate) fn token(&self) -> &HeaderValue {
        &self.token
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> i32 {
        self.worker.pid().as_raw_pid()
    }

    /// Whether nothing of it listens any more, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire) || self.is_closed()
    }

    /// Whether it was told to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Waits until the process has ended, and nothing of it listens any more. One call of this is needed for
    /// [`is_over`](Self::is_over) to be known.
    pub(crate) async fn ended(&self) -> Exit {
        let exit = self.worker.ended().await;
        // What has started the server may end before it.
        while self.pool.address().is_listening().await {
            tokio::time::sleep(start::LOOK_LATER).await;
        }
        self.is_over.store(true, Ordering::Release);
        exit
    }

    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The bytes of memory that its processes have.
    pub(crate) fn memory(&self) -> u64 {
        memory(self.worker.guard())
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            pid: self.pid(),
            state: if self.is_closed() { WorkerState::Stopping } else { WorkerState::Running },
            port: Some(self.port),
            uptime: self.age(),
            requests: Some(self.requests.load(Ordering::Relaxed)),
            memory_bytes: self.memory(),
        }
    }
}
