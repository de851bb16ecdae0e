//! Apps that the API refuses: the rest is told without them, and they are sent again later. Pure.

use std::time::Duration;

use crate::{clock::BootTime, source::balena::cadence::pause_after};

/// They wait no longer than this.
const LATEST: Duration = Duration::from_secs(900);

/// How often in a row they were refused, and when last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Refused {
    times: u32,
    at: BootTime,
}

impl Refused {
    /// They were refused again, or for the first time.
    pub(super) fn again(former: Option<Self>, at: BootTime) -> Self {
        Self { times: former.map_or(1, |former| former.times.saturating_add(1)), at }
    }

    /// When they are sent again. Whether they have changed says nothing: what is refused is who this device is, or a release that is not there any more.
    pub(super) fn until(self) -> BootTime {
        self.at + pause_after(self.times, LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_again_waits_twice_as_long() {
        let at = |seconds| BootTime::default() + Duration::from_secs(seconds);
        let once = Refused::again(None, at(100));
        assert_eq!(once.until(), at(115));
        let twice = Refused::again(Some(once), at(200));
        assert_eq!(twice.until(), at(230));
        let often = (0..50).fold(twice, |former, _| Refused::again(Some(former), at(300)));
        assert_eq!(often.until(), at(1200));
    }
}
