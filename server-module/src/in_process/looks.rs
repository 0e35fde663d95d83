//! What has workers replaced by itself: files that have changed, memory, age.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use tokio::time::Instant;

use crate::worker::memory;
use crate::{ApplicationOptions, RecycleOptions, WebConfig};

/// The program and `web.config`, as they were when workers were started from them last.
#[derive(Debug)]
pub(super) struct Files {
    paths: [PathBuf; 2],
    last: Stamps,
    /// What was seen at the last look, if that is something else: files are written in steps.
    seen: Option<Stamps>,
}

/// None: the file is not there.
type Stamps = [Option<Stamp>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

impl Files {
    pub(super) fn of(options: &ApplicationOptions) -> Self {
        let paths = [options.program.clone(), options.folder.join(WebConfig::FILE_NAME)];
        let last = stamps(&paths);
        Self { paths, last, seen: None }
    }

    /// Whether they have changed, and have been as they are since the look before. A program that is not there is about to
    /// be replaced.
    pub(super) fn have_changed(&mut self) -> bool {
        let now = stamps(&self.paths);
        if now == self.last || now[0].is_none() {
            self.seen = None;
            return false;
        }
        if self.seen != Some(now) {
            self.seen = Some(now);
            return false;
        }
        self.last = now;
        self.seen = None;
        true
    }
}

fn stamps(paths: &[PathBuf; 2]) -> Stamps {
    let stamp = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        Some(Stamp { changed: (file.ctime(), file.ctime_nsec()), length: file.len(), inode: file.ino() })
    };
    [stamp(&paths[0]), stamp(&paths[1])]
}

/// Why a worker has to be replaced, if it has to.
pub(super) fn reason(options: &RecycleOptions, guard: Pid, ready_since: Instant) -> Option<String> {
    if let Some(after) = options.after.filter(|after| ready_since.elapsed() >= *after) {
        return Some(format!("it is older than {after:?} (Recycle:After)"));
    }
    let limit = options.memory_bytes?;
    let memory = memory(guard);
    (memory > limit)
        .then(|| format!("it has {memory} bytes of memory, more than {limit} (Recycle:MemoryBytes)"))
}
