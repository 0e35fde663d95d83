//! What lies in files that may change while it is used.

use std::fmt;
use std::fs::Metadata;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use server_abstractions::StartError;
use tokio::time::Instant;

/// How often the files are looked at, at the most, and only while there are handshakes.
const INTERVAL: Duration = Duration::from_secs(2);

/// How often somebody has wanted files to be looked at without a pause.
static WANTED: AtomicU64 = AtomicU64::new(0);

/// All that is in use.
static ALL: Mutex<Vec<Weak<dyn LookNow>>> = Mutex::new(Vec::new());

/// Looks at all files, however short the time since the last look, and without a handshake that would ask for it: whoever wants
/// that reads in the log what cannot be used. Files that do not answer in time are left to the next handshake.
pub(crate) async fn look_again() {
    WANTED.fetch_add(1, Ordering::AcqRel);
    let looking = tokio::task::spawn_blocking(|| {
        let all = {
            let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| one.strong_count() > 0);
            all.clone()
        };
        all.iter().filter_map(Weak::upgrade).for_each(|one| one.look_now());
    });
    if let Ok(Err(panic)) = tokio::time::timeout(INTERVAL, looking).await {
        tracing::error!(%panic, "certificates and keys cannot all be read again; the last ones are used as before");
    }
}

trait LookNow: Send + Sync {
    fn look_now(self: Arc<Self>);
}

/// Files, and what is made of them. Its functions may block.
pub(super) trait Source<T>: fmt::Debug + Send + Sync {
    /// What it is, for events: `a certificate`.
    fn what(&self) -> &'static str;

    /// What the files look like.
    fn look(&self) -> Look;

    fn load(&self) -> Result<T, StartError>;

    /// Whether the files have changed and yet say the same.
    fn is_same(&self, one: &T, other: &T) -> bool;
}

/// What tells one state of the files from the next.
pub(super) type Look = Vec<Option<Stamp>>;

/// What tells one state of a file from the next, also after a rename, a change of its mode, and behind a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let (number, changed) = unix(&metadata);
        Some(Self { modified: metadata.modified().ok(), length: metadata.len(), number, changed })
    }

    /// Of what is no file and yet another one each turn.
    pub(super) fn of_turn(turn: u64) -> Self {
        Self { modified: None, length: 0, number: turn, changed: (0, 0) }
    }
}

/// Number of the file, and when anything about it changed.
#[cfg(unix)]
fn unix(metadata: &Metadata) -> (u64, (i64, i64)) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn unix(_: &Metadata) -> (u64, (i64, i64)) {
    (0, (0, 0))
}

/// How often files are read again that change while they are read.
const RETRIES: usize = 3;

/// Reads the files, and tells what they looked like before. Whoever replaces a certificate and its key as two files may be
/// at it: what does not fit together is read again as long as the files change.
fn load<T>(source: &dyn Source<T>) -> (Look, Result<T, StartError>) {
    let mut look = source.look();
    let mut loaded = source.load();
    for _ in 0..RETRIES {
        let now = source.look();
        if loaded.is_ok() || now == look {
            break;
        }
        look = now;
        loaded = source.load();
    }
    (look, loaded)
}

/// The right to look, which is given back however the look ends.
struct Looking<T>(Arc<Reloadable<T>>);

impl<T> Drop for Looking<T> {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

/// What new handshakes use.
#[derive(Debug)]
pub(super) struct Reloadable<T> {
    source: Box<dyn Source<T>>,
    current: ArcSwap<T>,
    /// When the files were looked at last, and what they looked like when they were read.
    seen: Mutex<(Instant, Look)>,
    is_looking: AtomicBool,
    /// What [`WANTED`] was at the last look.
    wanted: AtomicU64,
    /// Whether the files, as they were read last, cannot be used.
    has_failed: AtomicBool,
}

impl<T: Send + Sync + 'static> LookNow for Reloadable<T> {
    fn look_now(self: Arc<Self>) {
        if !self.is_looking.swap(true, Ordering::AcqRel) {
            let looking = Looking(self);
            // What still cannot be used is told to each who asks.
            if looking.0.has_failed.load(Ordering::Acquire) {
                looking.0.load();
            } else {
                looking.0.look();
            }
        }
    }
}

impl<T: Send + Sync + 'static> Reloadable<T> {
    pub(super) fn new(source: impl Source<T> + 'static) -> Result<Arc<Self>, StartError> {
        let wanted = AtomicU64::new(WANTED.load(Ordering::Acquire));
        let (look, loaded) = load(&source);
        let current = ArcSwap::from_pointee(loaded?);
        let seen = Mutex::new((Instant::now(), look));
        let [is_looking, has_failed] = [false, false].map(AtomicBool::new);
        let new = Arc::new(Self { source: Box::new(source), current, seen, is_looking, wanted, has_failed });
        let weak = Arc::downgrade(&new);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            all.retain(|one| one.strong_count() > 0);
        }
        all.push(weak);
        drop(all);
        Ok(new)
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Before a handshake: reads the files again if they have changed. Nobody waits for another one's look.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let is_due = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0.elapsed() >= INTERVAL
                || self.wanted.load(Ordering::Acquire) != WANTED.load(Ordering::Acquire)
        };
        if !is_due || self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let looking = Looking(Arc::clone(self));
        // A file system that does not answer keeps a thread, and what is used as it is.
        let look = tokio::task::spawn_blocking(move || looking.0.look());
        if let Ok(Err(panic)) = tokio::time::timeout(INTERVAL, look).await {
            tracing::error!(source = ?self.source, %panic, "{} cannot be read; the last one is used as before", self.source.what());
        }
    }

    fn look(&self) {
        self.wanted.store(WANTED.load(Ordering::Acquire), Ordering::Release);
        let is_changed = {
            let now = self.source.look();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0 = Instant::now();
            seen.1 != now
        };
        if is_changed {
            self.load();
        }
    }

    fn load(&self) {
        let what = self.source.what();
        let (look, loaded) = load(&*self.source);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1 = look;
        self.has_failed.store(loaded.is_err(), Ordering::Release);
        match loaded {
            Ok(new) => {
                let old = self.current.swap(Arc::new(new));
                if !self.source.is_same(&old, &self.current.load()) {
                    tracing::info!(source = ?self.source, "{what} has changed, and is used from now on");
                }
            }
            Err(error) => tracing::error!(
                source = ?self.source,
                error = &error as &dyn std::error::Error,
                "{what} has changed and cannot be used; the last one is used as before"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// Panics when it is read the second time, and changes with every look.
    #[derive(Debug, Default)]
    struct Panicking(AtomicU64, AtomicU64);

    impl Source<u64> for Panicking {
        fn what(&self) -> &'static str {
            "a test"
        }

        fn look(&self) -> Look {
            vec![Some(Stamp::of_turn(self.0.fetch_add(1, Ordering::Relaxed)))]
        }

        fn load(&self) -> Result<u64, StartError> {
            let count = self.1.fetch_add(1, Ordering::Relaxed);
            assert_ne!(count, 1, "on purpose");
            Ok(count)
        }

        fn is_same(&self, one: &u64, other: &u64) -> bool {
            one == other
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_files_are_read_ends_nothing() {
        let reloadable = Reloadable::new(Panicking::default()).unwrap();
        for expected in [0, 2] {
            tokio::time::advance(INTERVAL).await;
            reloadable.refresh().await;
            assert_eq!(*reloadable.current(), expected);
        }
    }
}
