//! Files that are looked at from time to time.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

/// How often the files are looked at. The system's own notices of changes miss what happens behind symbolic links and
/// on network file systems; a look at two files costs some microseconds.
const INTERVAL: Duration = Duration::from_secs(2);

/// A file that was written a moment ago may be half written.
const SETTLING: Duration = Duration::from_millis(250);

/// How many times a file that goes on changing is waited for.
const PATIENCE: usize = 4;

pub(super) struct Watched {
    paths: Arc<[PathBuf]>,
    /// What they looked like when they were read.
    seen: Mutex<Look>,
    /// Which of them have been there.
    known: Mutex<Vec<bool>>,
}

/// What tells one state of a file from the next, also after a rename and behind a symbolic link.
type Look = Vec<Option<(Option<SystemTime>, u64, Inode)>>;

/// The number of a file, and when anything about it changed, its mode included.
type Inode = (u64, i64, i64);

impl Watched {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let paths: Arc<[PathBuf]> = paths.map(Path::to_owned).collect();
        let look = look_at(&paths);
        let known = Mutex::new(look.iter().map(Option::is_some).collect());
        Self { paths, seen: Mutex::new(look), known }
    }

    /// A file that has been there and is gone: whoever deploys may be about to write it anew.
    pub(super) fn lost(&self) -> Option<&Path> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lost = None;
        for (path, is_known) in self.paths.iter().zip(known.iter_mut()) {
            let is_there = std::fs::metadata(path).is_ok();
            if *is_known && !is_there && lost.is_none() {
                lost = Some(path.as_path());
            }
            *is_known |= is_there;
        }
        lost
    }

    /// Resolves when the files look different from what they did the last time. Never, if there are none.
    pub(super) async fn changed(&self) {
        if self.paths.is_empty() {
            return std::future::pending().await;
        }
        let mut look = self.seen();
        while look == self.seen() {
            sleep(INTERVAL).await;
            look = self.look(look).await;
        }
        for _ in 0..PATIENCE {
            sleep(SETTLING).await;
            let settled = self.look(look.clone()).await;
            if settled == look {
                break;
            }
            look = settled;
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }

    fn seen(&self) -> Look {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at them on a thread that may block.
    async fn look(&self, before: Look) -> Look {
        let paths = Arc::clone(&self.paths);
        // It fails while the runtime shuts down only.
        tokio::task::spawn_blocking(move || look_at(&paths)).await.unwrap_or(before)
    }
}

fn look_at(paths: &[PathBuf]) -> Look {
    let look = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok(), metadata.len(), number(&metadata)))
    };
    paths.iter().map(look).collect()
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> Inode {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Inode {
    (0, 0, 0)
}
