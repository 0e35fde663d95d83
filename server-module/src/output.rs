//! What a worker prints: kept for the event of its failure, and passed on to a file or to where the module's own output
//! goes.
//!
//! A pipe whose other end nobody reads blocks its writer, so it is read to its end whatever happens to the file. A thread
//! does that for each worker: it reads and writes in calls that may block, and ends with the last process that could write.

mod file;
mod marked;

use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::watch;

pub(crate) use file::LogFile;
pub(crate) use marked::Marked;

use crate::stdout;
use crate::worker::{Output, OutputFile};

/// The bytes that are kept for the event of a failure.
const KEPT: usize = 30_000;

/// Where the output of a worker goes, beside being kept.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To the standard output of the module, in lines that tell whose they are.
    Own(Marked),
    /// To a file that the worker opens. If it cannot be made or written, an event says so, and the output goes nowhere.
    File(LogFile, OutputFile),
    /// Nowhere.
    Nowhere,
}

/// The reading end of a worker's output, before the worker is there.
#[derive(Debug)]
pub(crate) struct Pending {
    reader: PipeReader,
}

/// The output of a worker as it comes.
#[derive(Clone)]
pub(crate) struct Captured {
    kept: Arc<Mutex<Vec<u8>>>,
    finished: watch::Receiver<()>,
}

/// A pipe for standard output and standard error of a worker.
///
/// # Errors
/// The system has no more descriptors.
pub(crate) fn pipe() -> io::Result<(Output, Pending)> {
    let (reader, writer) = io::pipe()?;
    Ok((Output::To(OwnedFd::from(writer)), Pending { reader }))
}

impl Pending {
    /// Reads from now on. The pid is that of the worker, for the name of the file.
    ///
    /// # Errors
    /// The system has no thread for it; then the worker will find nobody at the other end.
    pub(crate) fn capture(self, destination: Destination, pid: Pid) -> io::Result<Captured> {
        let (end, finished) = watch::channel(());
        let kept = Arc::<Mutex<Vec<u8>>>::default();
        let keeper = Arc::clone(&kept);
        thread::Builder::new().name("worker-output".to_owned()).spawn(move || {
            let _end = end;
            drain(self.reader, &keeper, Sink::open(destination, pid));
        })?;
        Ok(Captured { kept, finished })
    }
}

impl Captured {
    /// The first 30,000 bytes of it, without blanks at the end.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.kept)).trim_end().to_owned()
    }

    /// Waits until nobody can write any more, but no longer than the limit: what a worker has printed last arrives a
    /// little later than the news of its end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn finished(&self, limit: Duration) {
        let mut finished = self.finished.clone();
        // There is never a value, only the end.
        let _ = tokio::time::timeout(limit, finished.changed()).await;
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured").field("kept", &lock(&self.kept).len()).finish_non_exhaustive()
    }
}

fn lock(kept: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drain(mut reader: PipeReader, kept: &Mutex<Vec<u8>>, mut sink: Sink) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return sink.finish(),
            Ok(count) => {
                let bytes = &buffer[..count];
                {
                    let mut kept = lock(kept);
                    let room = KEPT.saturating_sub(kept.len()).min(count);
                    kept.extend_from_slice(&bytes[..room]);
                }
                sink.write(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "the output of a worker can no longer be read");
                return sink.finish();
            }
        }
    }
}

/// Where bytes go.
enum Sink {
    Own(Marked),
    File(std::fs::File, LogFile),
    Nowhere,
}

impl Sink {
    fn open(destination: Destination, pid: Pid) -> Self {
        match destination {
            Destination::Own(marked) => Self::Own(marked),
            Destination::Nowhere => Self::Nowhere,
            Destination::File(log, file) => match file.receive() {
                Ok(file) => Self::File(file, log),
                Err(error) => {
                    tracing::warn!(
                        %pid,
                        file = %log.path().display(),
                        %error,
                        "the file for the output of a worker cannot be made, so its output is lost; correct stdoutLogFile, or let the user of the application write in its folder"
                    );
                    Self::Nowhere
                }
            },
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let result = match self {
            Self::Own(marked) => {
                marked.take(bytes, stdout::print);
                Ok(())
            }
            Self::File(file, _) => file.write_all(bytes),
            Self::Nowhere => Ok(()),
        };
        let Err(error) = result else { return };
        if let Self::File(_, log) = self {
            let file = log.path().display();
            tracing::warn!(%file, %error, "the output of a worker can no longer be written to its file and is lost from now on");
        }
        *self = Self::Nowhere;
    }

    /// Nothing more comes.
    fn finish(mut self) {
        if let Self::Own(marked) = &mut self {
            marked.finish(stdout::print);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn writer(output: Output) -> io::PipeWriter {
        match output {
            Output::To(fd) => fd.into(),
            Output::Inherit => panic!("it is a pipe"),
        }
    }

    #[tokio::test]
    async fn the_first_bytes_are_kept_and_the_rest_is_read_all_the_same() {
        let (output, pending) = pipe().unwrap();
        let mut writer = writer(output);
        let captured = pending.capture(Destination::Nowhere, rustix::process::getpid()).unwrap();
        // More than a pipe holds, so this ends only if somebody reads.
        writer.write_all(&[b'x'; 1 << 20]).unwrap();
        drop(writer);
        captured.finished(Duration::from_secs(10)).await;
        assert_eq!(captured.text(), "x".repeat(KEPT));
    }

    #[tokio::test]
    async fn a_file_gets_everything() {
        let folder = std::env::temp_dir().join(format!("server-module-output-{}", std::process::id()));
        let log = LogFile::new(folder.join("logs/stdout"));
        let (output, pending) = pipe().unwrap();
        let mut writer = writer(output);
        let file = OutputFile::answered(log.create(rustix::process::getpid()));
        let captured = pending.capture(Destination::File(log, file), rustix::process::getpid()).unwrap();
        writer.write_all(b"one\n").unwrap();
        writer.write_all(&[b'x'; 1 << 20]).unwrap();
        drop(writer);
        captured.finished(Duration::from_secs(10)).await;
        let files: Vec<_> = std::fs::read_dir(folder.join("logs")).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1);
        let name = files[0].file_name().into_string().unwrap();
        let time = name.strip_prefix("stdout_").unwrap();
        let time = time.strip_suffix(&format!("_{}.log", std::process::id())).unwrap();
        assert!(time.len() == 14 && time.starts_with("20") && time.bytes().all(|b| b.is_ascii_digit()));
        let metadata = files[0].metadata().unwrap();
        assert_eq!(metadata.len(), (1 << 20) + 4);
        assert_eq!(metadata.permissions().mode() & 0o007, 0, "others may not read it");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn without_its_file_a_worker_goes_on() {
        let (output, pending) = pipe().unwrap();
        let mut writer = writer(output);
        let log = LogFile::new("/dev/null/stdout".into());
        let file = OutputFile::answered(log.create(rustix::process::getpid()));
        let captured = pending.capture(Destination::File(log, file), rustix::process::getpid()).unwrap();
        writer.write_all(&[b'x'; 1 << 20]).unwrap();
        drop(writer);
        captured.finished(Duration::from_secs(10)).await;
        assert_eq!(captured.text().len(), KEPT);
    }
}
