//! `rollback`: an earlier manifest as a new generation.

use manifest_types::{keys, manifest::Generation, name::AgentId};

use crate::{
    error::Error,
    history::{self, Revision},
    link::Link,
    manifest_file::Wanted,
    store,
};

/// The manifest of that generation, as it was written: what was good then is not judged again.
pub(super) async fn wanted(link: &Link, agent: &AgentId, to: Generation) -> Result<Wanted, Error> {
    let history = store::history(&link.fleet().await?, &keys::desired_state(agent)).await?;
    if history.is_empty() {
        return Err(Error::NoManifest { agent: agent.clone() });
    }
    let found = history::find(&history, to);
    let json = found.and_then(Revision::json).ok_or_else(|| Error::NotInHistory {
        agent: agent.clone(),
        generation: to,
        held: held(&history),
    })?;
    let resources = found.and_then(Revision::resources).unwrap_or(0);
    Ok(Wanted { agent: agent.clone(), content: json.clone(), resources })
}

fn held(history: &[Revision]) -> String {
    let held: Vec<_> = history::generations(history).iter().map(ToString::to_string).collect();
    if held.is_empty() { "none".to_owned() } else { held.join(", ") }
}
