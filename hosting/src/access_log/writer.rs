//! The thread that writes.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::files::Files;
use super::plan::Plan;
use super::queue::{Queue, Taken};
use super::text::Clock;

/// So often at the most it is told that lines are missing.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Where lines are written.
pub(super) enum Output {
    Files(Files),
    Stdout(Stream),
    Other(Stream),
}

/// Why not all lines were written.
#[derive(Debug)]
pub(super) struct Failure {
    /// How many whole lines were.
    pub(super) written: u64,
    pub(super) error: io::Error,
}

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) plan: Arc<Plan>,
    pub(super) output: Output,
    pub(super) interval: Duration,
}

impl Writer {
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        let mut report = Report::of(&self.output);
        let mut settled = 0;
        loop {
            batch.clear();
            let patience = report.is_due(&self.queue).then_some(REPORT_EVERY);
            match self.queue.take(&mut batch, self.interval, patience) {
                Taken::Closed => break,
                Taken::Nothing => {}
                Taken::Lines(number) => {
                    let (written, lost) = self.write(&batch, number.saturating_sub(settled), &mut report);
                    settled = number;
                    self.queue.settle(number, written, lost);
                }
            }
            report.tell(&self.queue, false);
        }
        report.tell(&self.queue, true);
    }

    /// Returns how many of these lines were written, and how many were not.
    fn write(&mut self, batch: &[u8], lines: u64, report: &mut Report) -> (u64, u64) {
        if lines == 0 {
            return (0, 0);
        }
        let mut clock = Clock::default();
        clock.set(SystemTime::now());
        let missing = report.missing(&self.queue);
        let mut remark = if missing > 0 { self.plan.remark(&clock, missing) } else { Vec::new() };
        let (held, remarks) = (remark.len(), count(&remark));
        let result = if held > 0 {
            remark.extend_from_slice(batch);
            self.output.write(&remark, held, &self.plan, &clock)
        } else {
            self.output.write(batch, 0, &self.plan, &clock)
        };
        let written = match result {
            Ok(trouble) => {
                report.is_written(&self.queue);
                report.error = trouble.or(report.error.take());
                lines + remarks
            }
            Err(failure) => {
                report.error = Some(failure.error);
                failure.written
            }
        };
        if written > 0 {
            report.remarked += missing;
        }
        let written = written.saturating_sub(remarks);
        (written.min(lines), lines.saturating_sub(written))
    }
}

impl Output {
    /// Writes whole lines. An error comes with how many of them are whole in the output; what was written but is no whole
    /// line is taken back, or is ended with the next lines. The first `held` bytes are worth nothing without a line
    /// behind them. What did not keep lines from being written is returned.
    fn write(
        &mut self,
        lines: &[u8],
        held: usize,
        plan: &Plan,
        clock: &Clock,
    ) -> Result<Option<io::Error>, Failure> {
        match self {
            Self::Files(files) => files.write(lines, held, &|| plan.head(clock)),
            Self::Other(stream) => stream.write(lines, plan, clock).map(|()| None),
            Self::Stdout(stream) => {
                let mut rest = lines;
                while !rest.is_empty() {
                    let (piece, others) = rest.split_at(piece(rest));
                    let before = || count(&lines[..lines.len() - rest.len()]);
                    // So that lines of others, such as events, do not come between, nor wait for all of these.
                    let mut stdout = io::stdout().lock();
                    stdout.flush().map_err(|error| Failure { written: before(), error })?;
                    stream.write(piece, plan, clock).map_err(|failure| Failure {
                        written: before() + failure.written,
                        error: failure.error,
                    })?;
                    rest = others;
                }
                Ok(None)
            }
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => files.path().display().fmt(f),
            Self::Stdout(_) => f.write_str("standard output"),
            Self::Other(_) => f.write_str("a writer of the program"),
        }
    }
}

/// As many bytes go out while nobody else can write to the standard output, unless a line is longer.
const PIECE: usize = 32 * 1024;

/// How many bytes of these lines are the next piece.
fn piece(lines: &[u8]) -> usize {
    if lines.len() <= PIECE {
        return lines.len();
    }
    let is_end = |&byte: &u8| byte == b'\n';
    let end = lines[..PIECE].iter().rposition(is_end).or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |at| at + 1)
}

/// What cannot be taken back: a pipe, or a writer of the code.
pub(super) struct Stream {
    to: Box<dyn Write + Send>,
    has_head: bool,
    /// Whether the last line has no end.
    is_torn: bool,
}

impl Stream {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, has_head: false, is_torn: false }
    }

    fn write(&mut self, lines: &[u8], plan: &Plan, clock: &Clock) -> Result<(), Failure> {
        let none = |error| Failure { written: 0, error };
        if self.is_torn {
            append(&mut self.to, b"\n").map_err(|(_, error)| none(error))?;
            self.is_torn = false;
        }
        if !self.has_head {
            let head = plan.head(clock);
            self.all(&head).map_err(|failure| none(failure.error))?;
            self.has_head = true;
        }
        self.all(lines)?;
        self.to.flush().map_err(|error| Failure { written: count(lines), error })
    }

    fn all(&mut self, lines: &[u8]) -> Result<(), Failure> {
        append(&mut self.to, lines).map_err(|(bytes, error)| {
            self.is_torn = bytes > 0 && lines[bytes - 1] != b'\n';
            Failure { written: count(&lines[..bytes]), error }
        })
    }
}

/// Writes all bytes; an error comes with how many were written.
pub(super) fn append(to: &mut dyn Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody has made the pipe one that does not wait; this thread has time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

pub(super) fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// What was told of lines that are missing.
#[derive(Debug)]
struct Report {
    /// Where the lines are written, in words.
    log: String,
    error: Option<io::Error>,
    told: u64,
    last: Option<Instant>,
    /// Whether the last that was told is that nothing can be written.
    is_failing: bool,
    /// Those that the log itself has a remark about.
    remarked: u64,
}

impl Report {
    fn of(output: &Output) -> Self {
        let log = output.to_string();
        Self { log, error: None, told: 0, last: None, is_failing: false, remarked: 0 }
    }

    fn is_written(&mut self, queue: &Queue) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(log = self.log, lost = queue.lost(), "the access log is written again");
        }
    }

    /// Lines that are missing and have no remark yet.
    fn missing(&self, queue: &Queue) -> u64 {
        queue.dropped().saturating_add(queue.lost()).saturating_sub(self.remarked)
    }

    fn is_due(&self, queue: &Queue) -> bool {
        self.error.is_some() || queue.dropped() + queue.lost() > self.told
    }

    fn tell(&mut self, queue: &Queue, is_end: bool) {
        let is_too_soon = self.last.is_some_and(|last| last.elapsed() < REPORT_EVERY);
        if !self.is_due(queue) || (is_too_soon && !is_end) {
            return;
        }
        let (dropped, lost) = (queue.dropped(), queue.lost());
        let lines = (dropped + lost).saturating_sub(self.told);
        self.told = dropped + lost;
        self.last = Some(Instant::now());
        let log = self.log.as_str();
        match self.error.take() {
            Some(error) if lines > 0 => {
                self.is_failing = true;
                tracing::warn!(
                    log, %error, lines, dropped, lost,
                    "the access log cannot be written and lines are lost; requests go on, and so does the log when it can be written again"
                );
            }
            Some(error) => tracing::warn!(log, %error, "the access log is written, but not as it should be"),
            None => tracing::warn!(
                log,
                lines,
                dropped,
                lost,
                "lines of the access log are lost: they came faster than they could be written; a larger QueueSize bridges longer bursts"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_and_not_many_at_once() {
        let line = [vec![b'x'; 99], vec![b'\n']].concat();
        let long = [vec![b'y'; PIECE * 2], vec![b'\n']].concat();
        let lines = [line.repeat(1000), long.clone(), line.repeat(3)].concat();
        let (mut rest, mut pieces) = (lines.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(piece(rest));
            assert_eq!(piece.last(), Some(&b'\n'));
            pieces.push(piece);
            rest = others;
        }
        assert_eq!(pieces.concat(), lines);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE || **piece == *long), "{}", pieces.len());
        assert!(pieces.len() < 8, "{}", pieces.len());
    }
}
