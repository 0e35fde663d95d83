//! What is looked at all the time, whether there are requests or not. A replacement may take its time, and is not to keep
//! anybody from being offline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Application, Slot};

/// How often it is looked whether the application is offline.
const LOOK_OFFLINE: Duration = Duration::from_millis(200);
/// How often the processes are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Application {
    /// Ends processes of an application that is offline, until the token fires.
    pub(crate) async fn keep_offline(self: Arc<Self>, stopping: CancellationToken) {
        while stopping.run_until_cancelled(sleep(LOOK_OFFLINE)).await.is_some() {
            let offline = Arc::clone(&self.offline);
            if tokio::task::spawn_blocking(move || offline.look()).await.unwrap_or(false) {
                self.end_all("app_offline.htm").await;
            }
        }
    }

    /// Replaces processes that are too old or too large, or whose files have changed, until the token fires.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stopping: CancellationToken) {
        let files = [self.options.program.clone(), self.options.folder.join("web.config")];
        let mut seen = fingerprints(files.clone()).await;
        while stopping.run_until_cancelled(sleep(LOOK)).await.is_some() {
            if self.offline.is_on() {
                continue;
            }
            let now = fingerprints(files.clone()).await;
            let have_changed = self.options.recycle.on_file_change && now != seen;
            seen = now;
            if have_changed && !self.has_refreshed().await {
                continue;
            }
            // A stop does not interrupt it half-way, and waits for it.
            let fresh = Arc::clone(&self);
            let _ = self.spawn(async move { fresh.replace_where_needed(have_changed).await }).await;
        }
    }

    /// Reads the settings again; false if they cannot be used, and the processes are to stay.
    async fn has_refreshed(self: &Arc<Self>) -> bool {
        let application = Arc::clone(self);
        let refreshed = tokio::task::spawn_blocking(move || application.refresh()).await;
        let refreshed = refreshed.map_err(|error| error.to_string()).flatten();
        if let Err(error) = &refreshed {
            tracing::error!(
                application = self.options.name,
                error,
                "its files have changed; its processes stay"
            );
        }
        refreshed.is_ok()
    }

    async fn replace_where_needed(self: &Arc<Self>, have_changed: bool) {
        for (number, slot) in self.slots.iter().enumerate() {
            let Some(reason) = self.reason_to_replace(slot, have_changed).await else { continue };
            if let Err(error) = slot.replace(self, number, reason).await {
                tracing::error!(
                    application = self.options.name,
                    error,
                    reason,
                    "a process could not be replaced"
                );
            }
        }
    }

    async fn reason_to_replace(&self, slot: &Slot, have_changed: bool) -> Option<&'static str> {
        let backend = slot.ready()?;
        if have_changed {
            return Some("its files have changed");
        }
        let recycle = self.options.recycle;
        if recycle.after.is_some_and(|after| backend.age() >= after) {
            return Some("it is too old");
        }
        let limit = recycle.memory_bytes?;
        let memory = tokio::task::spawn_blocking(move || backend.memory()).await.ok()?;
        (memory > limit).then_some("it has too much memory")
    }
}

/// What shows that a file is another one.
async fn fingerprints(files: [PathBuf; 2]) -> [Option<(SystemTime, u64)>; 2] {
    let read = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let read = tokio::task::spawn_blocking(move || files.each_ref().map(|path| read(path)));
    read.await.unwrap_or_default()
}
