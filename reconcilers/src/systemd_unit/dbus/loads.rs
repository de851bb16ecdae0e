//! Which units systemd has loaded for our sake. To ask about a unit that nobody uses loads it, and soon after it is unloaded: systemd tells both, as if something had happened,
//! and whoever looked again because of that would look for ever.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// For so long after a question it is its own doing that a unit comes and goes. One that is started or ends tells that in other ways, too.
const ECHO: Duration = Duration::from_secs(2);

/// The units that were asked about, and when.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<String, Instant>);

impl Loads {
    /// These are about to be asked about.
    pub(super) fn ask<'n>(&mut self, units: impl IntoIterator<Item = &'n str>) {
        let now = Instant::now();
        self.0.retain(|_, asked| now.duration_since(*asked) < ECHO);
        self.0.extend(units.into_iter().map(|unit| (unit.to_owned(), now)));
    }

    /// Whether it is news that a unit was loaded or unloaded.
    pub(super) fn is_news_of(&self, unit: &str) -> bool {
        self.0.get(unit).is_none_or(|asked| asked.elapsed() >= ECHO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_asking_has_caused_is_no_news() {
        let mut loads = Loads::default();
        assert!(loads.is_news_of("a.service"));
        loads.ask(["a.service"]);
        assert!(!loads.is_news_of("a.service") && loads.is_news_of("b.service"));
        tokio::time::advance(ECHO).await;
        assert!(loads.is_news_of("a.service"));
        loads.ask(["b.service"]);
        assert_eq!(loads.0.len(), 1, "what is long ago is forgotten");
    }
}
