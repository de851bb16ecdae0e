//! One alarm by the boot clock, which goes on while the device is suspended: what was due in its sleep is due when it wakes.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    time::Duration,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::io::unix::AsyncFd;

use crate::clock::{BootTime, Now};

/// An alarm that can be set again and again.
pub struct Alarm {
    timer: AsyncFd<Timer>,
    set_to: Option<BootTime>,
}

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// An alarm that is not set.
    #[expect(deprecated, reason = "its successor is unsafe to call, and unsafe code is forbidden here")]
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer: AsyncFd::new(Timer(timer))?, set_to: None })
    }

    /// Sets it to `at`, or to nothing.
    pub fn set(&mut self, at: Option<BootTime>) -> io::Result<()> {
        if self.set_to == at {
            return Ok(());
        }
        self.set_to = at;
        match at {
            Some(at) => {
                let left = at - Now::read().boot;
                // Nothing left would switch the timer off.
                let left = Expiration::OneShot(TimeSpec::from(left.max(Duration::from_nanos(1))));
                Ok(self.timer.get_ref().0.set(left, TimerSetTimeFlags::empty())?)
            }
            None => Ok(self.timer.get_ref().0.unset()?),
        }
    }

    /// Returns when it goes off.
    pub async fn rings(&mut self) -> io::Result<()> {
        let mut guard = self.timer.readable().await?;
        // Reading would block: the kernel's count is not needed, and setting the timer again resets it.
        guard.clear_ready();
        self.set_to = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_is_due_and_can_be_set_again() {
        let mut alarm = Alarm::new().unwrap();
        for _ in 0..3 {
            let due = Now::read().boot + Duration::from_millis(5);
            alarm.set(Some(due)).unwrap();
            alarm.rings().await.unwrap();
            assert!(Now::read().boot >= due);
        }
        // A time that has passed rings at once.
        alarm.set(Some(BootTime::default())).unwrap();
        alarm.rings().await.unwrap();
    }
}
