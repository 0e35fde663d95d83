//! Lines for the journal of systemd: its priority in front (sd-daemon(3)), no time, which the journal has itself, and nothing
//! inside that would begin another entry: no line feed, and no more bytes than the journal takes as a line.

use std::fmt;
#[cfg(unix)]
use std::io;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::bounded::Bounded;

/// As many bytes a line has at the most. The journal divides lines of more than 48 KiB (`LineMax=` in journald.conf(5)), and
/// what stands behind such a cut could be taken for a priority.
const LONGEST_LINE: usize = 47 * 1024;

/// `<6>target: message field=value`.
pub(super) struct JournalLine(Format<Full, ()>);

impl JournalLine {
    pub(super) fn new() -> Self {
        Self(Format::default().with_ansi(false).without_time().with_level(false))
    }
}

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        let mut line = format!("<{}>", priority(*event.metadata().level()));
        // Names of spans, too, are the program's own.
        Bounded::text(&mut line, LONGEST_LINE).write(format_args!("{}", text.trim_end()));
        line.push('\n');
        writer.write_str(&line)
    }
}

/// As syslog(3) counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Whether the standard output is the stream of the journal that `JOURNAL_STREAM` names by device and inode.
pub(super) fn is_standard_output() -> bool {
    #[cfg(unix)]
    return is_stream(io::stdout());
    #[cfg(not(unix))]
    false
}

/// Writes why the application ends to the standard error, as one line with its priority, if that is the stream of the journal:
/// what a `main` that returns the error prints has none.
pub(crate) fn tell_failure(error: &crate::Error) {
    #[cfg(unix)]
    if is_stream(io::stderr()) {
        // It fails if nobody listens, who would not hear of that either.
        let _ = io::Write::write_all(&mut io::stderr(), failure_line(error).as_bytes());
    }
    #[cfg(not(unix))]
    let _ = error;
}

#[cfg(unix)]
fn failure_line(error: &crate::Error) -> String {
    format!("<3>{}\n", format!("{error:?}").replace(['\n', '\r'], " "))
}

#[cfg(unix)]
fn is_stream(output: impl std::os::fd::AsFd) -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| own_stream(output).is_some_and(|own| own == stream))
}

#[cfg(unix)]
fn own_stream(output: impl std::os::fd::AsFd) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let output = output.as_fd().try_clone_to_owned().ok()?;
    let metadata = std::fs::File::from(output).metadata().ok()?;
    Some(format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::logging::fields::BoundedFields;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_priority() {
        let expected = [
            "<6>shop: ready",
            "<3>shop: lost path=a\\n<0>forged\\r\\nb",
            "<4>shop: careful",
            "<7>shop: small",
            "<7>shop: smaller",
        ];
        assert_eq!(
            lines(|| {
                tracing::info!(target: "shop", "ready");
                tracing::error!(target: "shop", path = %"a\n<0>forged\r\nb", "lost");
                tracing::warn!(target: "shop", "careful");
                tracing::debug!(target: "shop", "small");
                tracing::trace!(target: "shop", "smaller");
            }),
            expected
        );
    }

    #[test]
    fn nothing_makes_a_line_so_long_that_the_journal_divides_it() {
        let long = "\u{85}<0>".repeat(100_000);
        let written = lines(|| {
            let spans: Vec<_> =
                (0..100).map(|_| tracing::info_span!("request", path = long).entered()).collect();
            tracing::warn!(target: "shop", long, "{long}");
            spans.into_iter().rev().for_each(drop);
            tracing::warn!(target: "shop", path = %long, "{long}");
        });
        let [nested, plain] = &written[..] else { panic!("{} lines", written.len()) };
        assert!(nested.len() < 48 * 1024 && nested.starts_with("<4>request{") && nested.ends_with('…'));
        // The message and the value, of which an escape makes at the most three times as much.
        assert!(plain.len() < 6 * 2048 + 100 && plain.matches('…').count() == 2, "{}", plain.len());
    }

    /// What the journal is given of these events.
    fn lines(events: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let output = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(JournalLine::new())
            .fmt_fields(BoundedFields)
            .with_ansi(false)
            .with_writer(move || output.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        written.lines().map(str::to_owned).collect()
    }
}
