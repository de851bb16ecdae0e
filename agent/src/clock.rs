//! Time, as values. Boot time decides, wall time is only shown.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// Time since the device was booted, suspension included: no one can set it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(Duration);

impl BootTime {
    /// A time this long after boot.
    pub fn since_boot(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long after boot.
    pub fn as_duration(self) -> Duration {
        self.0
    }

    /// How long before `later`; nothing if it is not.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<BootTime> for BootTime {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// One moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// What decides.
    pub boot: BootTime,
    /// What is shown.
    pub wall: Timestamp,
}

impl Now {
    /// Reads both clocks: the only place that does.
    pub fn read() -> Self {
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has a boot clock");
        Self { boot: BootTime(boot.into()), wall: Timestamp::now() }
    }

    /// The wall time that belongs to `boot`, as far as can be said now.
    pub fn wall_at(&self, boot: BootTime) -> Timestamp {
        let ahead = self.boot.until(boot);
        let behind = boot.until(self.boot);
        let shift = |timestamp: Timestamp| timestamp.checked_add(ahead)?.checked_sub(behind);
        shift(self.wall).unwrap_or(self.wall)
    }
}
