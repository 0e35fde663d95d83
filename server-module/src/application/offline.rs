use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest page; more of it is not read.
const MAX_PAGE: u64 = 4 * 1024 * 1024;

/// Whether `app_offline.htm` lies in an application's folder, as the last look has found it.
#[derive(Debug)]
pub(super) struct Offline {
    path: PathBuf,
    is_on: AtomicBool,
}

impl Offline {
    pub(super) fn new(folder: &Path) -> Self {
        let offline = Self { path: folder.join("app_offline.htm"), is_on: AtomicBool::new(false) };
        offline.look();
        offline
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Looks at the folder, which may block.
    pub(super) fn look(&self) -> bool {
        let is_there = std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file());
        if is_there != self.is_on.swap(is_there, Ordering::Relaxed) {
            let what = if is_there { "offline" } else { "online again" };
            tracing::info!(file = %self.path.display(), "the application is {what}");
        }
        is_there
    }

    /// The page, unless it is gone by now. One that cannot be read counts as empty.
    pub(super) async fn page(&self) -> Option<Vec<u8>> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut page = Vec::new();
            match std::fs::File::open(path) {
                Ok(file) => file.take(MAX_PAGE).read_to_end(&mut page).map(|_| Some(page)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        match read.await {
            Ok(Ok(page)) => page,
            _ => Some(Vec::new()),
        }
    }
}
