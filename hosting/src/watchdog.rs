//! Tells a supervisor regularly that the application lives (`WATCHDOG_USEC`, as systemd has it with `WatchdogSec=`).

use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{FeatureCollection, ServerLivenessFeature};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::notify;

/// The pings, which come as long as the runtime turns and every accept loop of the server answers.
pub(crate) struct Watchdog {
    /// Half of the time after which the supervisor acts.
    interval: Duration,
    server: Option<Arc<dyn ServerLivenessFeature>>,
    /// From then on accept loops end because they shall.
    stopping: CancellationToken,
}

impl Watchdog {
    /// The watchdog that the variables ask for.
    pub(crate) fn of_the_process(server: &FeatureCollection, stopping: &CancellationToken) -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        let time = asked_for(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        let interval = time.filter(|_| notify::is_heard())? / 2;
        Some(Self { interval, server: server.get(), stopping: stopping.clone() })
    }

    /// Pings until it is dropped.
    pub(crate) async fn run(self) {
        let mut was_alive = true;
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // However long the answer takes, the ping comes in time.
            let is_alive = timeout(self.interval / 2, self.is_alive()).await.unwrap_or(false);
            if is_alive {
                notify::alive();
            } else if was_alive {
                tracing::error!(
                    "the server does not accept connections any more; the supervisor is not told that the application lives (WATCHDOG_USEC)"
                );
            }
            was_alive = is_alive;
        }
    }

    async fn is_alive(&self) -> bool {
        let Some(server) = &self.server else { return true };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => true,
            is_alive = server.is_alive() => is_alive,
        }
    }
}

/// The time after which the supervisor acts, if it waits for this process.
fn asked_for(microseconds: Option<String>, process: Option<String>, own: u32) -> Option<Duration> {
    let microseconds = microseconds.filter(|text| !text.is_empty())?;
    if process.is_some_and(|process| process != own.to_string()) {
        // It is for the process that started this one.
        return None;
    }
    match microseconds.parse() {
        Ok(0) => None,
        // A clock cannot tick faster than that.
        Ok(microseconds) => Some(Duration::from_micros(microseconds).max(Duration::from_millis(10))),
        Err(_) => {
            tracing::warn!(
                value = microseconds,
                "WATCHDOG_USEC is no number of microseconds; the supervisor is not told that the application lives"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_the_process_that_is_named() {
        let asked = |time: &str, process: Option<&str>| {
            asked_for(Some(time.to_owned()), process.map(str::to_owned), 7)
        };
        assert_eq!(asked("2000000", None), Some(Duration::from_secs(2)));
        assert_eq!(asked("2000000", Some("7")), Some(Duration::from_secs(2)));
        for (time, process) in [("2000000", Some("8")), ("0", None), ("", None), ("soon", None), ("-1", None)]
        {
            assert_eq!(asked(time, process), None, "{time} {process:?}");
        }
        assert_eq!(asked_for(None, None, 7), None);
    }
}
