//! Starts a process and waits until it listens.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hosting::HeaderValue;
use tokio::time::Instant;

use super::{Backend, Gate, Pool, port};
use crate::ApplicationOptions;
use crate::environment::{OutOfProcess, out_of_process};
use crate::output::{self, Destination, LogFile};
use crate::worker::{Exit, Identity, IdentityError, Launch, Listening, Worker, listening};

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

/// Why a process could not be started.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// `ASPNETCORE_PORT` in the application's variables says no port that it may have.
    Port(String),
    /// The user or the group is not known.
    Identity(IdentityError),
    /// The process could not be made.
    Spawn(io::Error),
    /// The process has ended before it listened; with what it has printed.
    Ended { exit: Exit, output: String },
    /// Somebody else listens on the port.
    Stranger(u16),
    /// The process does not listen within the time.
    TooLate { port: u16, limit: Duration },
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
            Self::Stranger(port) => {
                write!(f, "the port {port} that it was given is in use by a process that is not its own")
            }
            Self::TooLate { port, limit } => write!(
                f,
                "it does not listen on 127.0.0.1:{port}, the port in its variable ASPNETCORE_PORT, within {} s (startupTimeLimit)",
                limit.as_secs()
            ),
        }
    }
}

impl StartFailure {
    /// Whether it would be the same again.
    fn is_certain(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Identity(_))
    }
}

/// Starts a process of an application; done when it listens.
///
/// # Errors
/// As the last attempt failed.
pub(crate) async fn start(
    options: &ApplicationOptions,
    https_port: Option<u16>,
) -> Result<Backend, StartFailure> {
    let token = token(options)?;
    let mut attempt = 1;
    loop {
        match try_start(options, &token, https_port).await {
            Ok(backend) => return Ok(backend),
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

async fn try_start(
    options: &ApplicationOptions,
    token: &str,
    https_port: Option<u16>,
) -> Result<Backend, StartFailure> {
    let port = port::choose(options)?;
    let identity = Identity::find(options.user.as_deref(), options.group.as_deref());
    let identity = identity.map_err(StartFailure::Identity)?.filter(|identity| !identity.is_own());
    let settings = &options.settings;
    let (output, pending) = output::pipe().map_err(StartFailure::Spawn)?;
    let is_captured = settings.handler_settings.enable_out_of_process_console_redirection;
    let worker = Worker::start(Launch {
        program: &options.program,
        arguments: &options.arguments,
        folder: &options.folder,
        environment: out_of_process(options, &OutOfProcess { port, token, https_port }),
        sockets: &[],
        output,
        identity: identity.as_ref(),
        limits: options.limits,
        shutdown_limit: settings.shutdown_time_limit,
    });
    let worker = worker.await.map_err(StartFailure::Spawn)?;
    let destination = match LogFile::of(settings, &options.folder) {
        Some(file) => Destination::File(file),
        None if is_captured => Destination::Own,
        None => Destination::Nowhere,
    };
    let captured = pending.capture(destination, worker.pid()).map_err(StartFailure::Spawn)?;
    if let Err(mut failure) = ready(&worker, port, settings.startup_time_limit).await {
        worker.kill();
        worker.gone().await;
        captured.finished(LAST_WORDS).await;
        if let StartFailure::Ended { output, .. } = &mut failure {
            *output = captured.text();
        }
        return Err(failure);
    }
    let mut token = HeaderValue::from_str(token).unwrap_or_else(|_| HeaderValue::from_static(""));
    token.set_sensitive(true);
    Ok(Backend {
        worker,
        port,
        token,
        since: Instant::now(),
        pool: Pool::new(port, settings.request_timeout),
        gate: Gate::default(),
        requests: 0.into(),
        is_over: false.into(),
    })
}

/// Waits until the worker listens on the port.
async fn ready(worker: &Worker, port: u16, limit: Duration) -> Result<(), StartFailure> {
    let begun = Instant::now();
    loop {
        let wait = if begun.elapsed() < IMPATIENCE { LOOK } else { LOOK_LATER };
        if let Ok(exit) = tokio::time::timeout(wait, worker.ended()).await {
            return Err(StartFailure::Ended { exit, output: String::new() });
        }
        let guard = worker.guard();
        let found = tokio::task::spawn_blocking(move || listening(port, guard)).await;
        match found.unwrap_or(Listening::Nobody) {
            Listening::Worker => return Ok(()),
            Listening::Stranger => return Err(StartFailure::Stranger(port)),
            Listening::Nobody => {}
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
