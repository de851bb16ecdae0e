//! One reload of systemd for all that wait for one: it reads the files of all units, however few have changed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::init::{Answer, InitSystem};

/// The reloads of one init system.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    /// How many have asked for one.
    asked: AtomicU64,
    /// How many of these have got one: held while one is under way.
    served: Mutex<u64>,
}

impl Reloads {
    /// Returns once systemd has read all files as they are now, or newer.
    pub(super) async fn reload<M: InitSystem>(&self, init: &M) -> Answer<()> {
        let own = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.served.lock().await;
        if *served >= own {
            return Ok(());
        }
        let all = self.asked.load(Ordering::SeqCst);
        init.reload().await?;
        *served = all;
        Ok(())
    }
}
