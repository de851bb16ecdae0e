//! Waiting for what another process does.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

/// The first look again comes after this time, each further one after twice as long …
const FIRST: Duration = Duration::from_millis(2);
/// … up to this.
const LONGEST: Duration = Duration::from_millis(100);

/// Looks until `look` gives something. Panics after `limit`, naming `what`.
pub async fn until_some<T>(what: impl Debug, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    let mut pause = FIRST;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what:?} did not come about within {limit:?}");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Looks until `look` is true. Panics after `limit`, naming `what`.
pub async fn until(what: impl Debug, limit: Duration, mut look: impl AsyncFnMut() -> bool) {
    until_some(what, limit, async || look().await.then_some(())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_looks_until_it_sees() {
        let mut left = 3;
        let found = until_some("a third look", Duration::from_secs(1), async || {
            left -= 1;
            (left == 0).then_some("seen")
        });
        assert_eq!(found.await, "seen");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "\"spring\" did not come about within 1s")]
    async fn it_gives_up_in_the_end() {
        until("spring", Duration::from_secs(1), async || false).await;
    }
}
