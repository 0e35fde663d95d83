//! A line for each request: what it tells, where it goes, and what happens when it cannot go there.

mod bodies;
mod files;
mod formats;
mod hosted;
mod hostile;
mod queue;
mod refused;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use hosting::{
    AccessLog, AccessLogField, AccessLogFormat, AccessLogLayer, AccessLogOptions, App, ApplicationBuilder,
    IntoService,
};

use crate::support::soon;

/// What was written so far.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("lines are text")
    }
}

/// A log in memory.
pub(crate) struct Logged {
    pub(crate) log: AccessLog,
    written: Written,
}

impl Logged {
    pub(crate) fn new(options: &AccessLogOptions) -> Self {
        let written = Written::default();
        let log = AccessLog::to_writer(options, written.clone()).expect("options that can be obeyed");
        Self { log, written }
    }

    /// With these fields in W3C's format.
    fn of(fields: &[AccessLogField]) -> Self {
        Self::new(&AccessLogOptions { fields: Some(fields.to_vec()), ..AccessLogOptions::default() })
    }

    fn format(format: AccessLogFormat) -> Self {
        Self::new(&AccessLogOptions { format, ..AccessLogOptions::default() })
    }

    /// The app with the log around it.
    pub(crate) fn around<M>(&self, app: impl IntoService<M>) -> App {
        ApplicationBuilder::new().layer(AccessLogLayer::new(&self.log)).build(app)
    }

    /// The lines of so many requests, without what stands at the beginning of a file; there are no more.
    async fn lines(&self, count: usize) -> Vec<String> {
        let lines = || -> Vec<String> {
            let text = self.written.text();
            assert!(text.is_empty() || text.ends_with('\n'), "a half line: {text:?}");
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        soon(async {
            while lines().len() < count {
                self.log.flush().await;
                tokio::task::yield_now().await;
            }
            crate::support::settle().await;
            self.log.flush().await;
        })
        .await;
        let lines = lines();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// The lines that have been written so far.
    pub(crate) fn written_now(&self) -> Vec<String> {
        self.written.text().lines().map(str::to_owned).collect()
    }

    async fn line(&self) -> String {
        self.lines(1).await.remove(0)
    }
}
