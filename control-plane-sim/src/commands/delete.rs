//! `delete`: takes a device's manifest away, and with `--status` what it said of itself.

use async_nats::jetstream::kv::Store;
use manifest_types::{keys, name::AgentId};
use serde_json::json;

use crate::{cli::Output, error::Error, history::Content, link::Link, store, terminal::Screen};

pub(super) async fn run(
    link: &Link,
    agent: &AgentId,
    status: bool,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let fleet = link.fleet().await?;
    let deleted = manifest(&fleet, agent).await?;
    let mut lines = vec![if deleted {
        format!(
            "{agent}: manifest deleted. This changes nothing on the device: it keeps what it holds, and a new manifest continues the generations."
        )
    } else {
        format!("{agent}: there is no manifest to delete.")
    }];
    let mut reported = Vec::new();
    if status {
        let heartbeats = link.heartbeats().await?;
        reported.push(("status", purge(&fleet, &keys::actual_state(agent)).await?));
        reported.push(("heartbeat", purge(&heartbeats, &keys::heartbeat(agent)).await?));
        lines.extend(reported.iter().map(|(what, was)| {
            let done = if *was {
                "deleted. An agent that still runs writes it again, within minutes"
            } else {
                "not there"
            };
            format!("{agent}: {what} {done}.")
        }));
    }
    if !deleted && reported.iter().all(|(_, was)| !was) {
        return Err(Error::NoManifest { agent: agent.clone() });
    }
    match output {
        Output::Table => screen.print(&lines.join("\n")),
        Output::Json => {
            let mut told = json!({ "agentId": agent, "manifest": deleted });
            for (what, was) in reported {
                told[what] = was.into();
            }
            screen.print(&super::json(&told))
        }
    }
}

/// Sets a delete marker above the manifest as it is now; the history stays. One written meanwhile is not deleted unseen.
async fn manifest(fleet: &Store, agent: &AgentId) -> Result<bool, Error> {
    let key = keys::desired_state(agent);
    let history = store::history(fleet, &key).await?;
    let Some(last) = history.last().filter(|last| last.content != Content::Deleted) else {
        return Ok(false);
    };
    match fleet.delete_expect_revision(&key, Some(last.revision)).await {
        Ok(()) => Ok(true),
        Err(error) if store::is_conflict(&error) => Err(Error::Contended { key, attempts: 1 }),
        Err(source) => Err(Error::Write { key, source }),
    }
}

/// Whether there was something.
async fn purge(store: &Store, key: &str) -> Result<bool, Error> {
    let was = store::get(store, key).await?.is_some();
    if was {
        store.purge(key).await.map_err(|source| Error::Write { key: key.to_owned(), source })?;
    }
    Ok(was)
}
