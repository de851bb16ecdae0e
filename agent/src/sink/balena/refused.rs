//! Apps that the API refuses: the rest is told without them, and they are sent again later. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::{clock::BootTime, source::balena::cadence::pause_after};

/// Apps that have not changed since they were refused wait so long.
pub(super) const UNCHANGED: Duration = Duration::from_secs(900);

/// What was refused last, how often in a row, and when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    apps: Value,
    times: u32,
    at: BootTime,
}

impl Refused {
    /// Apps were refused, after those of `former`.
    pub(super) fn after(former: Option<Self>, apps: Value, at: BootTime) -> Self {
        Self { apps, times: former.map_or(1, |former| former.times.saturating_add(1)), at }
    }

    /// Whether apps are not sent yet. Others than those that were refused may be right: they wait less at first, and longer each time that they are not.
    pub(super) fn hold_back(&self, apps: &Value, now: BootTime) -> bool {
        let wait = if *apps == self.apps { UNCHANGED } else { pause_after(self.times, UNCHANGED) };
        now < self.at + wait
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_refused_waits_and_what_has_changed_waits_less() {
        let at = |seconds| BootTime::default() + Duration::from_secs(seconds);
        let (old, new) = (json!({ "a": 1 }), json!({ "a": 2 }));
        let once = Refused::after(None, old.clone(), at(100));
        assert!(once.hold_back(&old, at(999)) && !once.hold_back(&old, at(1000)));
        assert!(once.hold_back(&new, at(114)) && !once.hold_back(&new, at(115)));
        let twice = Refused::after(Some(once), new.clone(), at(115));
        assert!(twice.hold_back(&old, at(144)) && !twice.hold_back(&old, at(145)));
        let often = (0..50).fold(twice, |former, _| Refused::after(Some(former), new.clone(), at(200)));
        assert!(often.hold_back(&old, at(1099)) && !often.hold_back(&old, at(1100)));
    }
}
