//! The life of one worker, from its start until nothing of it is left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::{mpsc, watch};

use super::notify::Message;
use super::program::{Program, Started};
use super::queue;
use crate::worker::Exit;

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Serve,
    /// To end gently: others go on with its sockets.
    Retire,
    /// To end.
    Stop,
}

/// What is heard of a worker.
#[derive(Debug)]
pub(super) enum News {
    Started {
        pid: Pid,
        guard: Pid,
    },
    /// It serves.
    Ready,
    /// It has said itself that it serves, maybe after others have seen it.
    SaysReady,
    /// It stops by itself.
    Stopping,
    /// It has ended.
    Over(Over),
}

/// How a worker has ended.
#[derive(Debug)]
pub(super) enum Over {
    /// It could not be started.
    NotStarted(String),
    /// It was told to end before it was there.
    GivenUp,
    /// It was not ready in time.
    NotReady(Duration),
    /// It has ended by itself.
    Ended { exit: Exit, was_ready: bool, output: String },
    /// It was told to end.
    Told { exit: Exit },
}

impl Over {
    /// The reason with what the worker has printed, if it has not been ready: for whoever waits for it.
    pub(super) fn with_output(&self) -> String {
        match self {
            Self::Ended { was_ready: false, output, .. } if !output.is_empty() => {
                format!("{self}; it has printed: {output}")
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "not started: {error}"),
            Self::GivenUp => f.write_str("its start was given up"),
            Self::NotReady(limit) => write!(
                f,
                "ended: not ready within {} s (startupTimeLimit); it has neither said READY=1 to the socket in NOTIFY_SOCKET nor taken a connection",
                limit.as_secs()
            ),
            Self::Ended { exit, was_ready: true, .. } => write!(f, "{exit}"),
            Self::Ended { exit, was_ready: false, .. } => write!(f, "{exit}, before it was ready"),
            Self::Told { exit } => write!(f, "told to end: {exit}"),
        }
    }
}

/// How long a worker that never says that it is ready has to live until it is believed to be.
const ASSUMED: Duration = Duration::from_secs(1);

/// How often is looked whether connections have been taken.
const LOOK: Duration = Duration::from_millis(10);

/// How long a worker that is told to end may take to say that it does.
const HEARD: Duration = Duration::from_secs(1);

/// How long a worker that is not ready may take to end politely, if `shutdownTimeLimit` is longer.
const UNREADY: Duration = Duration::from_secs(2);

/// How long the end of an output may take to arrive after its worker has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is said in the place of an output that the module does not see. A pipe could not be taken from a worker once it is
/// ready, so the module would stand between it and its output as long as it lives.
const ELSEWHERE: &str =
    "it stands in the module's own output, before this; with StdoutLogEnabled it is here as well";

pub(super) struct Life {
    id: u64,
    /// None once it has started: it has sockets, which are not to stay open for the sake of a worker.
    program: Option<Arc<Program>>,
    application: String,
    startup_limit: Duration,
    shutdown_limit: Duration,
    orders: watch::Receiver<Order>,
    news: mpsc::Sender<(u64, News)>,
    /// Whether nobody else takes connections from the sockets.
    pub(super) is_alone: bool,
    /// Whether the program is known to say when it is ready.
    pub(super) says_ready: bool,
}

/// Why a worker is no longer waited for.
enum End {
    NotReady,
    Ended(Exit),
    Told,
}

impl Life {
    pub(super) fn new(
        id: u64,
        program: Arc<Program>,
        orders: watch::Receiver<Order>,
        news: mpsc::Sender<(u64, News)>,
    ) -> Self {
        Self {
            id,
            application: program.options.name.clone(),
            startup_limit: program.startup_limit(),
            shutdown_limit: program.shutdown_limit(),
            program: Some(program),
            orders,
            news,
            is_alone: false,
            says_ready: false,
        }
    }

    pub(super) async fn live(mut self) {
        let Some(program) = self.program.take() else { return };
        let started = match program.start(told(&mut self.orders)).await {
            Ok(Some(started)) => started,
            Ok(None) => return self.tell(News::Over(Over::GivenUp)).await,
            Err(error) => return self.tell(News::Over(Over::NotStarted(error.to_string()))).await,
        };
        let (pid, guard) = (started.worker.pid(), started.worker.guard());
        self.tell(News::Started { pid, guard }).await;
        let mut was_ready = false;
        let is_ready = self.until_ready(&program, &started).await;
        drop(program);
        let end = match is_ready {
            Ok(is_said) => {
                was_ready = true;
                if is_said {
                    self.tell(News::SaysReady).await;
                }
                self.tell(News::Ready).await;
                self.until_over(&started, is_said).await
            }
            Err(end) => end,
        };
        match end {
            End::NotReady => {
                started.worker.kill();
                started.worker.gone().await;
                self.tell(News::Over(Over::NotReady(self.startup_limit))).await;
            }
            End::Ended(exit) => {
                // What it has left goes with it, but nobody waits for that.
                started.worker.kill();
                let output = last_words(&started).await;
                self.tell(News::Over(Over::Ended { exit, was_ready, output })).await;
                started.worker.gone().await;
            }
            End::Told => {
                let limit = if was_ready { self.shutdown_limit } else { UNREADY.min(self.shutdown_limit) };
                let exit = self.end(&started, limit).await;
                self.tell(News::Over(Over::Told { exit })).await;
            }
        }
    }

    async fn tell(&self, news: News) {
        // Without a supervisor there is nobody to be told.
        let _ = self.news.send((self.id, news)).await;
    }

    /// Waits until it serves: it says so, or, of a program that is not known to, connections that have waited are taken
    /// and nobody else can have done that, or it has lived for a while.
    async fn until_ready(&mut self, program: &Program, started: &Started) -> Result<bool, End> {
        let pid = started.worker.pid();
        let said = async { while started.notify.next(pid).await != Message::Ready {} };
        let (limit, guess) = (self.startup_limit, !self.says_ready);
        let assumed = assumed(program, self.is_alone);
        tokio::select! {
            biased;
            () = said => Ok(true),
            exit = started.worker.ended() => Err(End::Ended(exit)),
            () = told(&mut self.orders) => Err(End::Told),
            () = assumed, if guess => Ok(false),
            () = tokio::time::sleep(limit) => Err(End::NotReady),
        }
    }

    /// Waits until it has ended or is told to. What it says is told once, however often it says it.
    async fn until_over(&mut self, started: &Started, has_said_ready: bool) -> End {
        let pid = started.worker.pid();
        let (mut has_said_ready, mut has_said_stopping) = (has_said_ready, false);
        loop {
            let message = tokio::select! {
                biased;
                exit = started.worker.ended() => return End::Ended(exit),
                () = told(&mut self.orders) => return End::Told,
                message = started.notify.next(pid) => message,
            };
            let (has_said, news) = match message {
                Message::Ready => (&mut has_said_ready, News::SaysReady),
                Message::Stopping => (&mut has_said_stopping, News::Stopping),
            };
            if !std::mem::replace(has_said, true) {
                self.tell(news).await;
            }
        }
    }

    /// Ends it: politely, and at the limit at once.
    async fn end(&mut self, started: &Started, limit: Duration) -> Exit {
        let worker = &started.worker;
        worker.terminate();
        let politely = async {
            let is_heard = tokio::select! {
                () = stopping(started) => true,
                _ = worker.ended() => false,
                () = tokio::time::sleep(HEARD) => false,
            };
            if is_heard && self.orders.wait_for(|order| *order == Order::Stop).await.is_ok() {
                // It is gentle, and there is nobody any more to go on.
                worker.terminate();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = worker.ended() => {}
            () = politely => {}
            () = tokio::time::sleep(limit) => {
                tracing::warn!(
                    application = self.application,
                    pid = %worker.pid(),
                    ?limit,
                    "a worker did not end in time and is ended (shutdownTimeLimit; one that is not ready has two seconds at the most)"
                );
            }
        }
        // What it leaves behind has had its time with it.
        worker.kill();
        worker.gone().await
    }
}

async fn stopping(started: &Started) {
    while started.notify.next(started.worker.pid()).await != Message::Stopping {}
}

/// Waits until the worker is told to end, if only by the end of whoever tells.
async fn told(orders: &mut watch::Receiver<Order>) {
    let _ = orders.wait_for(|order| *order != Order::Serve).await;
}

/// Waits until a program that says nothing is believed to serve.
async fn assumed(program: &Program, is_alone: bool) {
    let lived = tokio::time::sleep(ASSUMED);
    if !(is_alone && queue::is_waited_for(program.sockets())) {
        return lived.await;
    }
    while queue::is_waited_for(program.sockets()) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn last_words(started: &Started) -> String {
    let Some(output) = &started.output else { return ELSEWHERE.to_owned() };
    output.finished(LAST_WORDS).await;
    output.text()
}
