//! `--wait`: follows a device until it is ready, refuses, or time runs out.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use manifest_types::{
    keys,
    name::{AgentId, ResourceId},
    status::AgentStatus,
};

use crate::{
    error::Error,
    follow::Follow,
    link::Link,
    store, table,
    terminal::Screen,
    verdict::{Awaited, Verdict, Waiting, verdict},
};

/// Waits for the device; what has failed is told at once, progress on a terminal in place.
pub(super) async fn until_ready(
    link: &Link,
    agent: &AgentId,
    awaited: Awaited,
    limit: Duration,
    quiet: bool,
    screen: &mut Screen,
) -> Result<(), Error> {
    let fleet = link.fleet().await?;
    let mut follow = Follow::start(link, &fleet, keys::actual_state(agent)).await?;
    let mut told = Told { quiet, ..Told::default() };
    let mut waiting = Waiting::default();
    let generation = awaited.generation;
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    told.progress(agent, &waiting, screen)?;
    loop {
        let entry = tokio::select! {
            entry = follow.next() => entry,
            () = &mut deadline => return Err(timed_out(link, agent, awaited, limit, &waiting).await),
        };
        // A status that cannot be read is as good as none: the next one may be better.
        let status: Option<AgentStatus> = serde_json::from_slice(&entry.value).ok();
        match verdict(status.as_ref(), awaited, Timestamp::now()) {
            Verdict::Ready => {
                return if quiet {
                    Ok(())
                } else {
                    screen.print(&format!("{agent}: generation {generation} is ready"))
                };
            }
            Verdict::Refused { reason, message } => {
                return Err(Error::Refused { agent: agent.clone(), generation, reason, message });
            }
            Verdict::Superseded { by } => {
                return Err(Error::Superseded { agent: agent.clone(), generation, newer: by });
            }
            Verdict::Waiting(now) => {
                waiting = now;
                told.progress(agent, &waiting, screen)?;
            }
        }
    }
}

/// What the person has been told, so that it is told once.
#[derive(Default)]
struct Told {
    quiet: bool,
    line: String,
    failed: BTreeMap<ResourceId, String>,
}

impl Told {
    fn progress(&mut self, agent: &AgentId, waiting: &Waiting, screen: &mut Screen) -> Result<(), Error> {
        if self.quiet {
            return Ok(());
        }
        for (id, why) in &waiting.failed {
            if self.failed.get(id).map(|told| cause(told)) != Some(cause(why)) {
                screen.print(&format!("{agent}: {id} failed: {}", table::one_line(why)))?;
                self.line.clear();
            }
        }
        self.failed.clone_from(&waiting.failed);
        let line = format!("{agent}: {waiting}");
        if line == self.line {
            return Ok(());
        }
        self.line.clone_from(&line);
        if screen.is_terminal() { screen.draw(&line) } else { screen.print(&line) }
    }
}

/// The failure without its count of attempts and its next try, which are no news.
fn cause(why: &str) -> &str {
    let end = why.find("; next try").unwrap_or(why.len());
    let cause = &why[..end];
    cause.rfind(" (").filter(|_| cause.ends_with(" attempts)")).map_or(cause, |end| &cause[..end])
}

async fn timed_out(
    link: &Link,
    agent: &AgentId,
    awaited: Awaited,
    limit: Duration,
    waiting: &Waiting,
) -> Error {
    let lines = if waiting.taken {
        let lines: Vec<_> =
            waiting.unready.iter().map(|(id, why)| format!("  {id}: {}", table::one_line(why))).collect();
        if lines.is_empty() {
            "  its resources are ready, but not the device as a whole".to_owned()
        } else {
            lines.join("\n")
        }
    } else if lives(link, agent).await {
        "  the device gives signs of life, but has not taken it up".to_owned()
    } else {
        "  the device has not taken it up and gives no sign of life: is its agent running and connected?"
            .to_owned()
    };
    Error::TimedOut {
        agent: agent.clone(),
        generation: awaited.generation,
        after: format!("{:#}", SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)),
        lines,
    }
}

async fn lives(link: &Link, agent: &AgentId) -> bool {
    let Ok(heartbeats) = link.heartbeats().await else { return false };
    store::get(&heartbeats, &keys::heartbeat(agent)).await.is_ok_and(|heartbeat| heartbeat.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_attempt_is_no_news() {
        assert_eq!(cause("NoSpace: disk full (3 attempts); next try in 30s"), "NoSpace: disk full");
        assert_eq!(cause("NoSpace: disk full"), "NoSpace: disk full");
        assert_eq!(cause("Odd: why (really)"), "Odd: why (really)");
    }
}
