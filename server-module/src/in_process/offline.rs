//! `app_offline.htm`, which has no effect in process: somebody who puts it there has to hear of that.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::ApplicationOptions;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(5);

/// The file in the folder of an application.
#[derive(Debug)]
pub(super) struct OfflineFile {
    application: String,
    path: PathBuf,
    was_there: bool,
    next: Instant,
}

impl OfflineFile {
    pub(super) fn of(options: &ApplicationOptions) -> Self {
        let (application, path) = (options.name.clone(), options.folder.join("app_offline.htm"));
        Self { application, path, was_there: false, next: Instant::now() }
    }

    /// Warns whenever the file has appeared.
    ///
    /// # Cancel safety
    /// The next look is when it would have been.
    pub(super) async fn watch(&mut self) -> Infallible {
        loop {
            sleep_until(self.next).await;
            self.next = Instant::now() + LOOK;
            let is_there = std::fs::metadata(&self.path).is_ok_and(|found| found.is_file());
            if is_there && !self.was_there {
                tracing::warn!(
                    application = self.application,
                    file = %self.path.display(),
                    "app_offline.htm has no effect, since the application is in process and serves its sockets itself; stop the module to take it offline, or make it OutOfProcess"
                );
            }
            self.was_there = is_there;
        }
    }
}
