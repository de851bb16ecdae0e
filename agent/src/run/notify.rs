//! What systemd is told: ready, alive, stopping.

use std::time::Duration;

use sd_notify::NotifyState;

/// The agent is up.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The agent is alive.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The agent is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often systemd wants a sign of life; twice as often is on the safe side.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
