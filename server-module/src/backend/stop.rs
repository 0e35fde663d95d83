//! Ends a process politely, as far as it lets.

use std::time::Duration;

use hosting::{Body, Request, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Backend, Sending};
use crate::forward::{EVENT, TOKEN};
use crate::worker::Exit;

/// How long requests that are on their way into the process may take to get there.
const CROSSING: Duration = Duration::from_millis(500);
/// How long the process may take to answer the request to stop, and no longer than a quarter of its limit.
const ASKING: Duration = Duration::from_secs(2);

impl Backend {
    /// Lets no more requests in, asks the process to end, tells it by SIGTERM if it does not listen to that, and ends it at the
    /// limit. SIGTERM ends most programs that do not listen at once, so it waits for the requests that they have, up to half
    /// of the limit.
    pub(crate) async fn stop(&self, path_base: &str, limit: Duration) -> Exit {
        let begun = Instant::now();
        let deadline = begun + limit;
        self.gate.close();
        // What the process has been given it finishes itself, streams that do not end among it.
        let _ = timeout(CROSSING.min(limit), self.gate.empty()).await;
        self.pool.clear();
        let asked = timeout(ASKING.min(limit / 4), self.ask_to_stop(path_base)).await.unwrap_or(false);
        if !asked {
            let _ = timeout_at(begun + limit / 2, self.gate.empty()).await;
            tracing::info!(
                pid = self.pid(),
                "the process does not take the request to stop; it gets SIGTERM"
            );
            self.worker.terminate();
        }
        if timeout_at(deadline, self.worker.ended()).await.is_err() {
            tracing::warn!(pid = self.pid(), limit = ?limit, "the process has not ended in time and is killed");
        }
        self.worker.kill();
        self.worker.gone().await
    }

    async fn ask_to_stop(&self, path_base: &str) -> bool {
        let request = Request::post(format!("{path_base}/iisintegration"))
            .header("host", format!("127.0.0.1:{}", self.port))
            .header(EVENT, "shutdown")
            .header(TOKEN, self.token.clone())
            .body(());
        let Ok(request) = request else { return false };
        let request = Sending::new(&request, Body::empty(), b"");
        let Ok(mut upstream) = self.pool.connect().await else { return false };
        upstream.send(request, None).await.is_ok_and(|answer| answer.parts.status == StatusCode::ACCEPTED)
    }
}
