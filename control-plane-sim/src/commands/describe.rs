//! `describe`: all that is known of a device.

use std::fmt::Write as _;

use jiff::Timestamp;
use manifest_types::{
    keys,
    name::AgentId,
    status::{AgentStatus, ConditionStatus, DriftRecord, ResourceStatus},
};
use serde_json::{Value, json};

use super::get;
use crate::{
    age,
    cli::Output,
    error::Error,
    fleet::{Device, Fleet, LinkState, Row, Status},
    history::Content,
    link::Link,
    store,
    table::{Style, Tone, one_line},
    terminal::Screen,
    verdict,
};

pub(super) async fn run(
    link: &Link,
    agent: &AgentId,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let states = link.fleet().await?;
    let beats = link.heartbeats().await?;
    let mut fleet = Fleet::default();
    let mut found = Vec::new();
    for (store, key) in [
        (&states, keys::desired_state(agent)),
        (&states, keys::actual_state(agent)),
        (&beats, keys::heartbeat(agent)),
    ] {
        let entry = store.entry(&key).await.map_err(|source| Error::Read { key: key.clone(), source })?;
        if let Some(entry) = &entry {
            fleet.take(entry);
        }
        found.push(entry.map_or(Value::Null, |entry| match store::content(&entry) {
            Content::Json(value) => value,
            Content::Deleted | Content::Unreadable => Value::Null,
        }));
    }
    let now = Timestamp::now();
    let device = fleet.get(agent).ok_or_else(|| Error::UnknownDevice { agent: agent.clone() })?;
    let row = Row::of(agent, device, now);
    match output {
        Output::Json => screen.print(&super::json(&json!({
            // The manifest itself may hold secrets, which nobody asked for here.
            "desired": { "generation": row.wanted, "revision": device.desired.as_ref().map(|desired| desired.revision) },
            "status": found[1],
            "heartbeat": found[2],
        }))),
        Output::Table => {
            let text = describe(&row, device, screen.style(), now);
            screen.print(&text)
        }
    }
}

fn describe(row: &Row, device: &Device, style: Style, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12}{}", one_line(&value));
    };
    line("Device", row.id.to_string());
    line("Link", link(row));
    line("Wanted", wanted(device, now));
    match &device.status {
        None => line("Status", "none".to_owned()),
        Some(Status::Unreadable(why)) => line("Status", format!("cannot be read: {why}")),
        Some(Status::Read(status)) => {
            line("Seen", seen(status));
            line(
                "Status",
                format!(
                    "written {} ago by agent {} (instance {})",
                    age::since(now, status.updated_at),
                    status.agent_version,
                    status.instance_id
                ),
            );
            for (name, capability) in &status.capabilities {
                let api = capability.api_version.as_ref().map_or(String::new(), |api| format!(", API {api}"));
                line("Offers", format!("{name}: {} {}{api}", capability.name, capability.version));
            }
            text += "\nConditions\n";
            text += &conditions(status, style, now);
            text += "\nResources\n";
            text += &resources(status, style, now);
        }
    }
    text
}

fn link(row: &Row) -> String {
    match (&row.heartbeat, row.link) {
        (Some(age), LinkState::Online) => format!("online, last heartbeat {age} ago"),
        (Some(age), _) => format!("offline, last heartbeat {age} ago"),
        (None, LinkState::Never) => "never seen".to_owned(),
        (None, _) => "offline, no heartbeat".to_owned(),
    }
}

fn wanted(device: &Device, now: Timestamp) -> String {
    let Some(desired) = &device.desired else {
        return "no manifest".to_owned();
    };
    let when = format!("revision {}, {} ago", desired.revision, age::since(now, desired.written));
    match (&desired.content, desired.generation()) {
        (Content::Deleted, _) => format!("manifest deleted ({when}); the device keeps what it holds"),
        (Content::Unreadable, _) => format!("not JSON ({when})"),
        (Content::Json(_), None) => format!("a manifest without a possible generation ({when})"),
        (Content::Json(_), Some(generation)) => {
            format!("generation {generation} ({when}), {} resources", desired.resources().unwrap_or(0))
        }
    }
}

fn seen(status: &AgentStatus) -> String {
    let holds = status.manifest_generation;
    let observed = status.observed_generation;
    let last = format!("(revision {})", status.observed_revision);
    if holds == observed {
        format!("generation {holds} {last}")
    } else {
        format!("holds generation {holds}, last saw {observed} {last}")
    }
}

fn conditions(status: &AgentStatus, style: Style, now: Timestamp) -> String {
    if status.conditions.is_empty() {
        return "  none\n".to_owned();
    }
    let lines = status.conditions.iter().map(|condition| {
        let tone = match (condition.status, condition.condition_type.as_str()) {
            (ConditionStatus::Unknown, _) | (_, "Drifted") => Tone::Wait,
            (ConditionStatus::True, _) => Tone::Good,
            (ConditionStatus::False, _) => Tone::Bad,
        };
        let message = if condition.message.is_empty() {
            String::new()
        } else {
            format!(": {}", one_line(&condition.message))
        };
        format!(
            "  {} is {} for {}, generation {}, {}{message}\n",
            condition.condition_type,
            style.paint(&condition.status.to_string(), tone),
            age::since(now, condition.since),
            condition.observed_generation,
            condition.reason,
        )
    });
    lines.collect()
}

fn resources(status: &AgentStatus, style: Style, now: Timestamp) -> String {
    let mut text = String::new();
    for (id, resource) in &status.resources {
        let phase = style.paint(&resource.phase.to_string(), get::tone(resource.phase));
        let _ = writeln!(
            text,
            "  {id} ({}): {phase} for {}",
            one_line(&resource.kind),
            age::since(now, resource.since)
        );
        for line in told(resource, now) {
            let _ = writeln!(text, "    {}", one_line(&line));
        }
    }
    for (phase, count) in &status.omitted {
        let _ = writeln!(text, "  and {count} more that are {phase}, left out to fit the server's limit");
    }
    if text.is_empty() { "  none\n".to_owned() } else { text }
}

fn told(resource: &ResourceStatus, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let why = verdict::why(resource, now);
    if !why.is_empty() {
        lines.push(why);
    }
    if let Some(drift) = &resource.last_drift {
        lines.extend(drifted(drift, resource.drift_count, now));
    }
    if let Some(digest) = &resource.spec_digest {
        lines.push(format!("spec {}", digest.short()));
    }
    lines
}

fn drifted(drift: &DriftRecord, count: u64, now: Timestamp) -> Vec<String> {
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let action = format!("{:?}", drift.action).to_lowercase();
    let first = format!("drifted {times}, last {} ago, {action}", age::since(now, drift.at));
    let fields = drift
        .fields
        .iter()
        .map(|field| format!("  {}: wanted {}, was {}", field.path, field.want, field.got));
    std::iter::once(first).chain(fields).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::status;

    #[test]
    fn a_device_is_described_with_all_a_person_wants() {
        let since = "2026-01-01T00:00:00Z";
        let status = status(
            7,
            8,
            &[("Ready", "False", 7)],
            json!({
                "web": { "kind": "File", "phase": "Failed", "since": since, "driftCount": 2,
                    "error": { "reason": "NoSpace", "message": "disk\nfull", "attempts": 3 }, "retryAfter": "2026-01-01T00:01:30Z",
                    "lastDrift": { "at": since, "action": "Repaired", "fields": [{ "path": "mode", "want": "0640", "got": "0644" }] } },
                "app": { "kind": "File", "phase": "Pending", "since": since, "waitingFor": ["web"] },
            }),
        );
        let device = Device { status: Some(Status::Read(Box::new(status))), ..Device::default() };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let row = Row {
            id: "a".parse().unwrap(),
            version: String::new(),
            link: LinkState::Offline,
            heartbeat: None,
            wanted: None,
            seen: None,
            ready: 0,
            failed: 1,
            pending: 1,
            drift: 2,
            age: None,
            note: String::new(),
        };
        let expected = "\
Device      a
Link        offline, no heartbeat
Wanted      no manifest
Seen        holds generation 7, last saw 8 (revision 48)
Status      written 60s ago by agent 0.1.0 (instance i)

Conditions
  Ready is False for 60s, generation 7, Why: because

Resources
  app (File): Pending for 60s
    waits for web
  web (File): Failed for 60s
    NoSpace: disk full (3 attempts); next try in 30s
    drifted 2 times, last 60s ago, repaired
      mode: wanted \"0640\", was \"0644\"
";
        let text = describe(&row, &device, Style::default(), now);
        assert_eq!(text, expected, "\n{text}");
    }
}
