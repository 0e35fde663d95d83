//! Access logs: a line for each request.

mod common;
mod field;
mod files;
#[cfg(feature = "kestrel")]
mod hosted;
mod json;
mod kept;
mod layer;
mod line;
mod options;
mod plan;
mod queue;
mod record;
mod refused;
#[cfg(feature = "kestrel")]
mod section;
mod step;
mod text;
mod w3c;
mod writer;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

pub use field::AccessLogField;
#[cfg(feature = "kestrel")]
pub(crate) use hosted::HostedAccessLog;
pub use layer::{AccessLogFuture, AccessLogLayer, WithAccessLog};
pub use options::{AccessLogFiles, AccessLogFormat, AccessLogOptions, AccessLogOutput};
pub use refused::RefusedRequest;
#[cfg(feature = "schema")]
pub(crate) use section::AccessLogSection;

use files::Files;
use plan::Plan;
use queue::Queue;
use record::WantedFeatures;
use text::Clock;
pub(crate) use text::timestamp;
use writer::{Output, REPORT_EVERY, Stream, Writer};

use crate::Error;

/// A log with a line for each request, which an [`AccessLogLayer`] writes to; clones are the same log.
///
/// ```no_run
/// use hosting::{AccessLog, AccessLogFormat, AccessLogLayer, AccessLogOptions, ApplicationBuilder, Body, Request, Response};
///
/// # fn main() -> Result<(), hosting::Error> {
/// let log = AccessLog::open(&AccessLogOptions { format: AccessLogFormat::Combined, ..AccessLogOptions::default() })?;
/// let hello = async |_: Request<Body>| Response::new(Body::from("Hello"));
/// let app = ApplicationBuilder::new().layer(AccessLogLayer::new(&log)).build(hello);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
///
/// A `WebApplication` has one if its configuration says so, in the section `AccessLog`.
///
/// Lines wait in a bounded queue for a thread of the log's own. No request ever waits for it: a line that finds no place is
/// dropped. Lines that are dropped, and lines that the output does not take, as on a full disk, are counted, told by an
/// event of level warn every five seconds at the most, and by a remark in the log before the next line that is written
/// (`#Remark: ...` in W3C's format, an object with `lost_lines` in JSON).
///
/// What waits when the program ends is lost unless somebody [flushes](Self::flush) before.
#[doc(alias = "W3CLogger")]
#[derive(Clone)]
pub struct AccessLog(Arc<Shared>);

struct Shared {
    plan: Arc<Plan>,
    queue: Arc<Queue>,
    wanted: WantedFeatures,
    /// Whether a request may tell that the writer is stuck: not if the event would be stuck as well.
    tells_stuck: bool,
}

/// Who the client is, for `cs-username` and its like in an access log: put into the extensions of the response by whoever
/// has found it out.
///
/// ```
/// # use hosting::{AccessLogUser, Body, Response};
/// let mut response = Response::new(Body::empty());
/// response.extensions_mut().insert(AccessLogUser("ada".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogUser(pub String);

impl AccessLog {
    /// Opens a log and starts its thread.
    ///
    /// # Errors
    /// When an option cannot be obeyed, or the file cannot be written.
    pub fn open(options: &AccessLogOptions) -> Result<Self, Error> {
        check(options)?;
        let (plan, output) = Self::output(options).map_err(|error| {
            let message = format!("the access log in {} cannot be opened", place(options));
            Error::new(message).with_source(error)
        })?;
        Self::start(options, plan, output)
    }

    /// A log that writes to something else than [`output`](AccessLogOptions::output) says, from its own thread. A line that
    /// was written in part when the writer failed is ended before the next one.
    ///
    /// # Errors
    /// When an option cannot be obeyed.
    pub fn to_writer(options: &AccessLogOptions, writer: impl Write + Send + 'static) -> Result<Self, Error> {
        check(options)?;
        let plan = Arc::new(Plan::new(options));
        Self::start(options, plan, Output::Other(Stream::new(Box::new(writer))))
    }

    fn output(options: &AccessLogOptions) -> io::Result<(Arc<Plan>, Output)> {
        let plan = Arc::new(Plan::new(options));
        let output = match &options.output {
            AccessLogOutput::Files(files) => {
                let mut clock = Clock::default();
                clock.set(SystemTime::now());
                Output::Files(Files::open(files, &|| plan.head(&clock))?)
            }
            AccessLogOutput::Stdout => Output::Stdout(Stream::new(Box::new(stdout()?))),
        };
        Ok((plan, output))
    }

    fn start(options: &AccessLogOptions, plan: Arc<Plan>, output: Output) -> Result<Self, Error> {
        let queue = Arc::new(Queue::new(options.queue_size));
        let tells_stuck = !matches!(output, Output::Stdout(_));
        let wanted = WantedFeatures::of(&plan);
        let writer = Writer {
            queue: Arc::clone(&queue),
            plan: Arc::clone(&plan),
            output,
            interval: options.flush_interval,
        };
        let thread = std::thread::Builder::new().name("access log".to_owned());
        thread.spawn(move || writer.run()).map_err(|error| {
            Error::new("the thread of the access log cannot be started").with_source(error)
        })?;
        Ok(Self(Arc::new(Shared { plan, queue, wanted, tells_stuck })))
    }

    /// Waits until the lines of all requests that are over by now are written, or counted as lost.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it. Since an output may take its time, give it a limit.
    pub async fn flush(&self) {
        self.0.queue.flush().await;
    }

    /// How many lines were written.
    pub fn written_lines(&self) -> u64 {
        self.0.queue.written()
    }

    /// How many lines were dropped because the queue was full.
    pub fn dropped_lines(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// How many lines the output did not take, as on a full disk.
    pub fn lost_lines(&self) -> u64 {
        self.0.queue.lost()
    }

    /// How many lines are neither written nor lost yet.
    pub fn waiting_lines(&self) -> u64 {
        self.0.queue.waiting()
    }

    fn plan(&self) -> &Plan {
        &self.0.plan
    }

    fn wanted(&self) -> WantedFeatures {
        self.0.wanted
    }

    fn push(&self, line: &[u8]) {
        let shared = &*self.0;
        if !shared.queue.push(line)
            && shared.tells_stuck
            && let Some(stuck_for) = shared.queue.stuck_for(REPORT_EVERY)
        {
            let dropped = shared.queue.dropped();
            tracing::warn!(
                ?stuck_for,
                dropped,
                "the access log is stuck in a write; lines are dropped until that is done"
            );
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("format", &self.plan().format)
            .field("written_lines", &self.written_lines())
            .field("dropped_lines", &self.dropped_lines())
            .field("lost_lines", &self.lost_lines())
            .finish()
    }
}

fn check(options: &AccessLogOptions) -> Result<(), Error> {
    options.check().map_err(|fault| {
        let (option, key) = (fault.option, fault.key);
        Error::new(format!("AccessLogOptions.{option} ({key}) cannot be used: {}", fault.reason))
    })
}

fn place(options: &AccessLogOptions) -> String {
    match &options.output {
        AccessLogOutput::Files(files) => files.directory.join(&files.file_name).display().to_string(),
        AccessLogOutput::Stdout => "the standard output".to_owned(),
    }
}

/// The standard output without a buffer, so that it is known what was written.
#[cfg(unix)]
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd;

    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn stdout() -> io::Result<io::Stdout> {
    Ok(io::stdout())
}
