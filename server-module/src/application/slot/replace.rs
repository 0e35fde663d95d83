//! A new process in the place of the one that is there.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{NOT_WANTED, Place, Slot, Unavailable, end, known, new_backend};
use crate::application::Application;
use crate::backend::{Backend, has_own_port};

impl Slot {
    /// Puts a new process in the place of the one that is there, and ends that. One that is about to start is waited for
    /// first, since it may have settings from before; if there is none, none is started.
    ///
    /// # Errors
    /// The new process could not be started. The old one stays, unless its port is one that only one process can have.
    pub(in crate::application) async fn replace(
        &self,
        application: &Arc<Application>,
        number: usize,
        reason: &'static str,
    ) -> Result<(), String> {
        let _alone = self.replacing.lock().await;
        let Some((old, given_up)) = self.started().await else { return Ok(()) };
        if has_own_port(&application.launch()) {
            return self.replace_in_turn(application, number, old, reason).await;
        }
        let new = new_backend(application, number, &given_up).await.map_err(told)?;
        let Some(before) = self.put(&new, &given_up) else {
            end(application, &new, NOT_WANTED).await;
            return Err(told(Unavailable::GivenUp));
        };
        // The old one may have ended meanwhile, and a request may have had another one started.
        if let Place::Ready(before) = before
            && !Arc::ptr_eq(&before, &old)
        {
            end(application, &before, reason).await;
        }
        end(application, &old, reason).await;
        Ok(())
    }

    /// Ends the old process first: its port is the only one for the new one.
    async fn replace_in_turn(
        &self,
        application: &Arc<Application>,
        number: usize,
        old: Arc<Backend>,
        reason: &'static str,
    ) -> Result<(), String> {
        let outcome = {
            let mut state = self.state();
            if !state.has(&old) {
                return Ok(());
            }
            tracing::info!(
                application = application.options.name,
                "only one process can have the port in ASPNETCORE_PORT, so the old one ends before the new one starts; requests wait"
            );
            state.begin(application, number, Some((old, reason)))
        };
        known(outcome).await.map(drop).map_err(told)
    }

    /// The process, once it has started, and what gives up the start of another one for the place.
    async fn started(&self) -> Option<(Arc<Backend>, CancellationToken)> {
        loop {
            let outcome = {
                let state = self.state();
                match &state.place {
                    Place::Ready(old) if !old.is_over() => {
                        return Some((Arc::clone(old), state.round.child_token()));
                    }
                    Place::Starting(start) => start.outcome.clone(),
                    _ => return None,
                }
            };
            known(outcome).await.ok()?;
        }
    }

    /// Puts a process into the place, and gives up whatever starts there. None: it is not wanted any more.
    fn put(&self, new: &Arc<Backend>, given_up: &CancellationToken) -> Option<Place> {
        let mut state = self.state();
        if given_up.is_cancelled() {
            return None;
        }
        let before = std::mem::replace(&mut state.place, Place::Ready(Arc::clone(new)));
        if let Place::Starting(start) = &before {
            start.given_up.cancel();
        }
        Some(before)
    }
}

/// What is said of a process that could not take the place of another one.
fn told(reason: Unavailable) -> String {
    match reason {
        Unavailable::Failed(reason) => reason.as_ref().to_owned(),
        Unavailable::Stopping | Unavailable::GivenUp => {
            "its start was given up, since the application is stopped or taken offline".to_owned()
        }
    }
}
