//! Starts a process and waits until it listens.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hosting::HeaderValue;
use rustix::process::Pid;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::socket::Socket;
use super::{Address, Backend, Gate, Pool, port};
use crate::ApplicationOptions;
use crate::environment::{OutOfProcess, out_of_process};
use crate::output::{self, Captured, Destination, LogFile, Marked};
use crate::worker::{Exit, Identity, IdentityError, Launch, Listener, Listening, Worker, listening};

/// How often a start is tried before it is given up.
const ATTEMPTS: u32 = 2;
/// When it is looked for the first time whether the process listens, and how long until the next times.
const LOOK: Duration = Duration::from_millis(10);
/// The same once it takes its time.
pub(super) const LOOK_LATER: Duration = Duration::from_millis(100);
/// How long is waited for what a process has printed last.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Until when that is looked for often.
const IMPATIENCE: Duration = Duration::from_secs(5);

/// How long a process that is not ready may take to end politely when nobody wants it any more.
const POLITENESS: Duration = Duration::from_secs(2);

/// A process that does not listen yet.
#[derive(Clone, Debug)]
pub(crate) struct Unready {
    pub(crate) pid: Pid,
    pub(crate) guard: Pid,
    pub(crate) port: u16,
}

/// Why a process could not be started.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// `ASPNETCORE_PORT` in the application's variables says no port that it may have.
    Port(String),
    /// The user or the group is not known, or cannot be given.
    Identity(IdentityError),
    /// The process could not be made.
    Spawn(io::Error),
    /// The process has ended before it listened; with what it has printed.
    Ended { exit: Exit, output: String },
    /// Somebody else listens on the port; or it was not to be seen that it is the process.
    Stranger { port: u16, is_hidden: bool },
    /// The process does not listen within the time.
    TooLate { port: u16, limit: Duration },
    /// Nobody wants the process any more.
    GivenUp,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(
                f,
                "its variable ASPNETCORE_PORT is {port:?}, and must be a number from 1025 to 48000; take the variable away to have a port chosen"
            ),
            Self::Identity(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "its process could not be made: {error}"),
            Self::Ended { exit, output } => {
                write!(f, "its process has ended before it listened ({exit})")?;
                if output.is_empty() {
                    f.write_str("; it has printed nothing")
                } else {
                    write!(f, "; it has printed: {output}")
                }
            }
            Self::Stranger { port, is_hidden } => {
                write!(f, "the port {port} that it was given is in use by a process that is not its own")?;
                match is_hidden {
                    true => f.write_str(", as far as the module can see: it lacks CAP_SYS_PTRACE, so only the user of a socket tells whose it is"),
                    false => Ok(()),
                }
            }
            Self::TooLate { port, limit } => write!(
                f,
                "it does not listen on 127.0.0.1:{port}, the port in its variable ASPNETCORE_PORT, within {} s (startupTimeLimit)",
                limit.as_secs()
            ),
            Self::GivenUp => f.write_str("its start was given up"),
        }
    }
}

impl StartFailure {
    /// Whether it would be the same again.
    fn is_certain(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Identity(_))
    }
}

/// Starts a process of an application; done when it listens. If the token fires before, nothing is left of it. What `show`
/// gives for a process is kept until it listens, or is given up.
///
/// # Errors
/// As the last attempt failed.
pub(crate) async fn start<S>(
    options: &ApplicationOptions,
    https_port: Option<u16>,
    given_up: &CancellationToken,
    show: impl Fn(Unready) -> S,
) -> Result<Backend, StartFailure> {
    let token = token(options)?;
    let mut attempt = 1;
    loop {
        if given_up.is_cancelled() {
            return Err(StartFailure::GivenUp);
        }
        match try_start(options, &token, https_port, given_up, &show).await {
            Ok(backend) => return Ok(backend),
            Err(StartFailure::GivenUp) => return Err(StartFailure::GivenUp),
            Err(failure) => {
                tracing::warn!(
                    application = options.name, attempt, of = ATTEMPTS, reason = %failure,
                    "a process could not be started"
                );
                if attempt == ATTEMPTS || failure.is_certain() {
                    return Err(failure);
                }
                attempt += 1;
            }
        }
    }
}

async fn try_start<S>(
    options: &ApplicationOptions,
    token: &str,
    https_port: Option<u16>,
    given_up: &CancellationToken,
    show: &impl Fn(Unready) -> S,
) -> Result<Backend, StartFailure> {
    let port = port::choose(options)?;
    let socket = Socket::random().map_err(StartFailure::Spawn)?;
    let told = socket.as_ref().map(Socket::address);
    let identity = Identity::of_worker(options.user.as_deref(), options.group.as_deref());
    let identity = identity.map_err(StartFailure::Identity)?;
    let settings = &options.settings;
    let (output, pending) = output::pipe().map_err(StartFailure::Spawn)?;
    let is_captured = settings.handler_settings.enable_out_of_process_console_redirection;
    let log = LogFile::of(settings, &options.folder);
    let launch = Launch {
        program: &options.program,
        arguments: &options.arguments,
        folder: &options.folder,
        environment: out_of_process(
            options,
            &OutOfProcess { port, socket: told.as_deref(), token, https_port },
        ),
        sockets: &[],
        output,
        log: log.as_ref().map(LogFile::path),
        identity: identity.as_ref(),
        limits: options.limits,
        shutdown_limit: settings.shutdown_time_limit,
    };
    let started = Worker::start(launch, given_up.cancelled()).await.map_err(StartFailure::Spawn)?;
    let Some((worker, file)) = started else { return Err(StartFailure::GivenUp) };
    let _shown = show(Unready { pid: worker.pid(), guard: worker.guard(), port });
    let destination = match log {
        Some(log) => Destination::File(log, file),
        None if is_captured => {
            let pid = (settings.processes_per_application > 1).then(|| worker.pid());
            Destination::Own(Marked::new(&options.name, pid, hosting::is_standard_output_the_journal()))
        }
        None => Destination::Nowhere,
    };
    let captured = pending.capture(destination, worker.pid()).map_err(StartFailure::Spawn)?;
    let ready = given_up.run_until_cancelled(ready(&worker, port, settings.startup_time_limit)).await;
    let listener = match ready {
        Some(Ok(listener)) => listener,
        Some(Err(failure)) => return Err(failed(&worker, &captured, failure).await),
        None => return Err(give_up(&worker, POLITENESS.min(settings.shutdown_time_limit)).await),
    };
    let address = address(options, port, &worker, listener, socket).await;
    let mut token = HeaderValue::from_str(token).unwrap_or_else(|_| HeaderValue::from_static(""));
    token.set_sensitive(true);
    Ok(Backend {
        worker,
        port,
        token,
        since: Instant::now(),
        pool: Pool::new(address, settings.request_timeout),
        gate: Gate::default(),
        requests: 0.into(),
        is_over: false.into(),
    })
}

/// Where a worker is reached that is ready.
async fn address(
    options: &ApplicationOptions,
    port: u16,
    worker: &Worker,
    listener: Listener,
    socket: Option<Socket>,
) -> Address {
    if listener.is_hidden() {
        tracing::info!(
            application = options.name,
            port,
            "the module lacks CAP_SYS_PTRACE: a socket of the application's user on its port counts as the application's"
        );
    }
    let socket = match socket {
        Some(socket) => socket.of_worker(worker.family(), options.settings.startup_time_limit).await,
        None => None,
    };
    Address::new(port, worker.family(), listener, socket)
}

/// Ends a process that is not ready, and adds to the failure what it has printed last.
async fn failed(worker: &Worker, captured: &Captured, mut failure: StartFailure) -> StartFailure {
    worker.kill();
    worker.gone().await;
    captured.finished(LAST_WORDS).await;
    if let StartFailure::Ended { output, .. } = &mut failure {
        *output = captured.text();
    }
    failure
}

/// Ends a process that nobody wants any more.
async fn give_up(worker: &Worker, limit: Duration) -> StartFailure {
    worker.terminate();
    let _ = tokio::time::timeout(limit, worker.ended()).await;
    worker.kill();
    worker.gone().await;
    StartFailure::GivenUp
}

/// Waits until the worker listens on the port.
async fn ready(worker: &Worker, port: u16, limit: Duration) -> Result<Listener, StartFailure> {
    let begun = Instant::now();
    let mut was_stranger = false;
    loop {
        let wait = if begun.elapsed() < IMPATIENCE { LOOK } else { LOOK_LATER };
        if let Ok(exit) = tokio::time::timeout(wait, worker.ended()).await {
            return Err(StartFailure::Ended { exit, output: String::new() });
        }
        let family = worker.family();
        let found = tokio::task::spawn_blocking(move || listening(port, family)).await;
        match found.unwrap_or(Listening::Nobody) {
            Listening::Worker(listener) => return Ok(listener),
            Listening::Stranger { is_hidden } if was_stranger => {
                return Err(StartFailure::Stranger { port, is_hidden });
            }
            // Sockets and processes are looked at one after the other, so a process that was just started may be missed.
            Listening::Stranger { .. } => was_stranger = true,
            Listening::Nobody => was_stranger = false,
        }
        if begun.elapsed() >= limit {
            return Err(StartFailure::TooLate { port, limit });
        }
    }
}

/// What a process knows the module by: the application's own variable, or a number that nobody can guess.
fn token(options: &ApplicationOptions) -> Result<Arc<str>, StartFailure> {
    let configured = crate::command::lookup(&options.settings.environment_variables, "ASPNETCORE_TOKEN");
    if let Some(token) = configured.filter(|token| !token.is_empty()) {
        return Ok(token.into());
    }
    let (high, low) = match (getrandom::u64(), getrandom::u64()) {
        (Ok(high), Ok(low)) => (high, low),
        (Err(error), _) | (_, Err(error)) => return Err(StartFailure::Spawn(io::Error::other(error))),
    };
    let text = format!("{high:016x}{low:016x}");
    Ok(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]).into())
}
