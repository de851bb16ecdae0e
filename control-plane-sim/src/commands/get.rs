//! `get`: the fleet, or the resources of one device.

use jiff::Timestamp;
use manifest_types::{
    keys,
    name::AgentId,
    status::{AgentStatus, Phase},
};

use super::json;
use crate::{
    age,
    cli::Output,
    error::Error,
    fleet::{self, Fleet},
    link::Link,
    store,
    table::{self, Cell, Style, Tone},
    terminal::Screen,
    verdict,
};

pub(super) async fn fleet(link: &Link, output: Output, screen: &mut Screen) -> Result<(), Error> {
    let rows = known(link).await?.rows(Timestamp::now());
    match output {
        Output::Json => screen.print(&json(&rows)),
        Output::Table => {
            let table = fleet::render(&rows, screen.style());
            screen.print(&table)
        }
    }
}

/// All that both buckets hold of the fleet.
async fn known(link: &Link) -> Result<Fleet, Error> {
    let mut fleet = Fleet::default();
    for store in [link.fleet().await?, link.heartbeats().await?] {
        store::list(&store).await?.iter().for_each(|entry| fleet.take(entry));
    }
    Ok(fleet)
}

pub(super) async fn device(
    link: &Link,
    agent: &AgentId,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let entry = store::get(&link.fleet().await?, &keys::actual_state(agent)).await?;
    let entry = entry.ok_or_else(|| Error::NoStatus { agent: agent.clone() })?;
    let unreadable = |source| Error::Status { agent: agent.clone(), source };
    match output {
        Output::Json => {
            // As the device wrote it: what this build does not know must not get lost.
            let status: serde_json::Value = serde_json::from_slice(&entry.value).map_err(unreadable)?;
            screen.print(&json(&status))
        }
        Output::Table => {
            let status: AgentStatus = serde_json::from_slice(&entry.value).map_err(unreadable)?;
            let table = resources(&status, screen.style(), Timestamp::now());
            screen.print(&table)
        }
    }
}

/// The resources of a status, one a line.
pub(super) fn resources(status: &AgentStatus, style: Style, now: Timestamp) -> String {
    let rows: Vec<_> = status
        .resources
        .iter()
        .map(|(id, resource)| {
            [
                id.as_str().into(),
                resource.kind.as_str().into(),
                Cell::new(resource.phase.to_string(), tone(resource.phase)),
                age::since(now, resource.since).into(),
                resource.drift_count.to_string().into(),
                verdict::why(resource, now).into(),
            ]
        })
        .collect();
    let mut text = if rows.is_empty() {
        "no resources\n".to_owned()
    } else {
        table::render(["RESOURCE", "KIND", "PHASE", "SINCE", "DRIFT", "WHY"], &rows, style)
    };
    for (phase, count) in &status.omitted {
        text += &format!("and {count} more that are {phase}, left out to fit the server's limit\n");
    }
    text
}

/// How a phase is to be taken.
pub(super) fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Ready => Tone::Good,
        Phase::Failed => Tone::Bad,
        Phase::Pending | Phase::Reconciling | Phase::Deleting | Phase::Unknown => Tone::Wait,
    }
}
