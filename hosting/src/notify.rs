//! What a supervisor is told: that the application has started, and that it stops (`NOTIFY_SOCKET`, as systemd and the
//! module have it). Without that variable nothing is told, and there is none off Unix.

/// The application accepts requests.
pub(crate) fn ready() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Ready);
}

/// The application begins to stop.
pub(crate) fn stopping() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Stopping);
}

#[cfg(unix)]
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor could not be told the state of the application (NOTIFY_SOCKET)");
    }
}
