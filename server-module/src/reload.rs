//! SIGHUP: every application gets new processes.

use hosting::{ApplicationLifetime, BoxError, BoxFuture, CancellationToken, HostedService};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control::Applications;

/// Recycles all applications whenever the signal comes.
pub(crate) struct Reload {
    applications: Applications,
    stopping: CancellationToken,
}

impl Reload {
    pub(crate) fn new(applications: Applications) -> Self {
        Self { applications, stopping: CancellationToken::new() }
    }
}

impl HostedService for Reload {
    fn name(&self) -> &'static str {
        "reload"
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async {
            let hangups = signal(SignalKind::hangup())?;
            let obeyed = obey(hangups, self.applications.clone());
            let stopping = self.stopping.clone();
            tokio::spawn(async move { stopping.run_until_cancelled(obeyed).await });
            Ok(())
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.stopping.cancel();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Signals that come meanwhile are one more.
async fn obey(mut hangups: Signal, applications: Applications) {
    while hangups.recv().await.is_some() {
        tracing::info!(
            "SIGHUP: the settings of the applications are read again, and each gets new processes"
        );
        let all = applications.iter().map(|application| async {
            if let Err(error) = application.recycle().await {
                let application = application.status().name;
                tracing::error!(
                    application,
                    error,
                    "SIGHUP: the application is not recycled, and its processes stay"
                );
            }
        });
        futures_util::future::join_all(all).await;
    }
}
