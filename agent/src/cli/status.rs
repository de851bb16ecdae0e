//! `holdfast status`: how the device fares, once or as it changes.

use std::{fmt::Write, time::Duration};

use jiff::Timestamp;
use manifest_types::status::{AgentStatus, Condition, ConditionStatus, Phase, ResourceStatus};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use super::{
    age,
    client::{Client, ClientError},
    error::CliError,
    screen::{self, Canvas},
    table::{Cell, Paint, Tone, one_line, table},
};
use crate::clock::Now;

/// The agent is asked so often.
const PERIOD: Duration = Duration::from_secs(1);

/// Shows the status as it changes, until interrupted. An agent that goes away meanwhile is waited for.
pub(super) async fn watch(client: &Client, json: bool, paint: Paint) -> Result<(), CliError> {
    let mut last = client.status().await?;
    let canvas = if json { None } else { Canvas::begin()? };
    let show = |status: &AgentStatus| match &canvas {
        Some(canvas) => canvas.draw(&render(status, Now::read().wall, paint)),
        None if json => screen::print(&line(status)),
        None => screen::print(&format!("{}\n", render(status, Now::read().wall, paint))),
    };
    show(&last)?;
    let mut is_away = false;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Either way the terminal is given back as it was.
    let ended = |kind| signal(kind).map_err(CliError::Start);
    let (mut interrupted, mut terminated) =
        (ended(SignalKind::interrupt())?, ended(SignalKind::terminate())?);
    loop {
        tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = ticks.tick() => {}
        }
        match client.status().await {
            Ok(status) => {
                // Ages grow on a terminal even when nothing changes.
                if canvas.is_some() || is_away || !is_same(&status, &last) {
                    show(&status)?;
                }
                (last, is_away) = (status, false);
            }
            Err(error) => {
                tell_away(&error, canvas.as_ref(), is_away, paint)?;
                is_away = true;
            }
        }
    }
}

fn tell_away(
    error: &ClientError,
    canvas: Option<&Canvas>,
    was_away: bool,
    paint: Paint,
) -> Result<(), CliError> {
    let told = format!("{error}; waiting for it\n");
    match canvas {
        Some(canvas) => canvas.draw(&paint.paint(&one_line(&told), Tone::Bad)),
        None if was_away => Ok(()),
        None => {
            screen::remark(&format!("holdfast: {told}"));
            Ok(())
        }
    }
}

/// Whether only the time of writing differs.
fn is_same(one: &AgentStatus, other: &AgentStatus) -> bool {
    *one == AgentStatus { updated_at: one.updated_at, ..other.clone() }
}

fn line(status: &AgentStatus) -> String {
    serde_json::to_string(status).expect("a status is plain JSON") + "\n"
}

/// The device, its conditions, its resources, and how many are in each phase. Pure.
pub(super) fn render(status: &AgentStatus, now: Timestamp, paint: Paint) -> String {
    let AgentStatus {
        agent_id, agent_version, manifest_generation, observed_generation, instance_id, ..
    } = status;
    let generation = match (manifest_generation, observed_generation) {
        (0, 0) => "no manifest yet".to_owned(),
        (held, seen) if held == seen => format!("generation {held}"),
        (held, seen) => format!("generation {held}, last seen {seen}"),
    };
    let mut text =
        format!("{agent_id}  {generation}  holdfast {agent_version}  instance {}\n\n", one_line(instance_id));
    let conditions: Vec<_> = status.conditions.iter().map(|condition| of_condition(condition, now)).collect();
    text += &table(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], &conditions, paint);
    if !status.resources.is_empty() {
        let lines: Vec<_> =
            status.resources.iter().map(|(id, resource)| of_resource(id.as_str(), resource, now)).collect();
        text += "\n";
        text += &table(["ID", "KIND", "PHASE", "SINCE", "DRIFT", "REASON", "MESSAGE"], &lines, paint);
    }
    text += &format!("\n{}\n", summary(status));
    text
}

fn summary(status: &AgentStatus) -> String {
    let counts = status.counts();
    let total: u64 = counts.values().sum();
    let mut told = match total {
        0 => "no resources".to_owned(),
        1 => "1 resource".to_owned(),
        _ => format!("{total} resources"),
    };
    for (index, (phase, count)) in counts.iter().enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        write!(told, "{separator}{count} {phase}").expect("a text takes all that is written");
    }
    match status.omitted.values().sum::<u64>() {
        0 => told,
        omitted => format!("{told}; {omitted} are not listed"),
    }
}

fn of_condition(condition: &Condition, now: Timestamp) -> [Cell; 5] {
    let Condition { condition_type, status, reason, message, since, .. } = condition;
    [
        condition_type.as_str().into(),
        Cell::new(status.to_string(), condition_tone(condition_type, *status)),
        reason.as_str().into(),
        age::since(now, *since).into(),
        message.as_str().into(),
    ]
}

/// Some conditions are good when they hold, the others tell of trouble.
fn condition_tone(condition_type: &str, status: ConditionStatus) -> Tone {
    let is_good =
        matches!(condition_type, "Ready" | "ManifestAccepted" | "SourceConnected" | "LedgerWritable");
    match (status, is_good) {
        (ConditionStatus::True, true) => Tone::Good,
        (ConditionStatus::False, true) => Tone::Bad,
        (ConditionStatus::False, false) => Tone::Plain,
        (ConditionStatus::True, false) | (ConditionStatus::Unknown, _) => Tone::Wait,
    }
}

fn of_resource(id: &str, resource: &ResourceStatus, now: Timestamp) -> [Cell; 7] {
    let ResourceStatus { kind, phase, since, .. } = resource;
    let (reason, message) = why(resource);
    [
        id.into(),
        kind.as_str().into(),
        Cell::new(phase.to_string(), phase_tone(*phase)),
        age::since(now, *since).into(),
        drift(resource, now),
        reason.into(),
        message.into(),
    ]
}

/// How a phase is to be taken.
pub(super) fn phase_tone(phase: Phase) -> Tone {
    match phase {
        Phase::Ready => Tone::Good,
        Phase::Failed => Tone::Bad,
        Phase::Pending | Phase::Reconciling | Phase::Deleting | Phase::Unknown => Tone::Wait,
    }
}

fn drift(resource: &ResourceStatus, now: Timestamp) -> Cell {
    let last = resource.last_drift.as_ref().map(|last| format!(", {} ago", age::since(now, last.at)));
    match (resource.drifted, resource.drift_count) {
        (false, 0) => Cell::default(),
        (false, count) => format!("{count}{}", last.unwrap_or_default()).into(),
        (true, _) => Cell::new("drifted now", Tone::Wait),
    }
}

/// The reason and the message that say most.
fn why(resource: &ResourceStatus) -> (&str, String) {
    let reason = resource.reason.as_deref().unwrap_or_default();
    if let Some(error) = &resource.error {
        return (&error.reason, error.message.clone());
    }
    if let Some(progress) = &resource.progress {
        return (reason, super::explain::progress(progress));
    }
    let waits = resource.waiting_for.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match &resource.message {
        Some(message) => (reason, message.clone()),
        None if waits.is_empty() => (reason, String::new()),
        None => (reason, format!("waits for {waits}")),
    }
}

#[cfg(test)]
mod tests;
