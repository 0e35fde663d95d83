use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a look at the folder holds.
const LOOK: Duration = Duration::from_millis(200);
/// The longest page; more of it is not read.
const MAX_PAGE: u64 = 4 * 1024 * 1024;

/// Whether `app_offline.htm` lies in an application's folder.
#[derive(Debug)]
pub(super) struct Offline {
    path: PathBuf,
    begun: Instant,
    /// When it was looked the last time, in milliseconds since the beginning, and one more.
    looked: AtomicU64,
    is_on: AtomicBool,
}

impl Offline {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("app_offline.htm"),
            begun: Instant::now(),
            looked: AtomicU64::new(0),
            is_on: AtomicBool::new(false),
        }
    }

    /// As the last look has found it.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// The page, if there is one. One that cannot be read counts as empty.
    pub(super) async fn page(&self) -> Option<Vec<u8>> {
        if !self.look().await {
            return None;
        }
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

    async fn look(&self) -> bool {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let looked = self.looked.load(Ordering::Relaxed);
        let is_due = looked == 0 || now.saturating_sub(looked) >= LOOK.as_millis() as u64;
        if is_due && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let is_there = tokio::fs::metadata(&self.path).await.is_ok_and(|metadata| metadata.is_file());
            if is_there != self.is_on.swap(is_there, Ordering::Relaxed) {
                let what = if is_there { "offline" } else { "online again" };
                tracing::info!(file = %self.path.display(), "the application is {what}");
            }
        }
        self.is_on()
    }
}
