//! `holdfast explain`: why a resource is in its phase, in sentences. Pure.

use std::time::Duration;

use jiff::Timestamp;
use manifest_types::{
    name::ResourceId,
    status::{DriftAction, DriftField, DriftRecord, Phase, Progress},
};

use super::{
    age,
    status::phase_tone,
    table::{Paint, Tone, one_line},
};
use crate::ask::Explanation;

/// All that is known of a resource, the most important first.
pub(super) fn render(explanation: &Explanation, now: Timestamp, paint: Paint) -> String {
    let parts = [
        headline(explanation, now, paint),
        trouble(explanation),
        pause(explanation),
        dependencies(explanation, paint),
        differences(explanation),
        drifts(explanation, now),
        held(explanation),
    ];
    parts.into_iter().flatten().map(|line| format!("{line}\n")).collect()
}

fn headline(explanation: &Explanation, now: Timestamp, paint: Paint) -> Vec<String> {
    let Explanation { id, status, .. } = explanation;
    let phase = paint.paint(&status.phase.to_string(), phase_tone(status.phase));
    let kind = if status.kind.is_empty() { "kind unknown" } else { &status.kind };
    let age = age::since(now, status.since);
    let reason = status.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
    let mut lines = vec![
        format!("{id} ({}) is {phase} since {age}{reason}", one_line(kind)),
        meaning(status.phase).to_owned(),
    ];
    lines.extend(status.message.as_deref().map(|message| format!("  {}", one_line(message))));
    lines.extend(
        status.progress.as_ref().map(|progress| format!("  {}", one_line(&self::progress(progress)))),
    );
    if let Some(digest) = &status.spec_digest {
        lines.push(paint.paint(&format!("  spec {digest}"), Tone::Dim));
    }
    lines
}

fn meaning(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "  It waits before anything is done.",
        Phase::Reconciling => "  It is being brought to its spec, or starting.",
        Phase::Ready => "  It was seen to be as its spec wants, after the last change.",
        Phase::Failed => "  It is not as wanted.",
        Phase::Deleting => "  It is no longer wanted and being taken away.",
        Phase::Unknown => "  It cannot be said how it is.",
    }
}

/// How far a long step is, in words.
pub(super) fn progress(progress: &Progress) -> String {
    let Progress { message, done, total, unit } = progress;
    match total {
        Some(total) => format!("{message}: {done} of {total} {unit}"),
        None => format!("{message}: {done} {unit}"),
    }
}

fn trouble(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &explanation.status.error {
        lines.push(format!("Failed: {}: {}", one_line(&error.reason), one_line(&error.message)));
    }
    let attempts =
        explanation.status.error.as_ref().map_or(0, |error| error.attempts).max(explanation.attempts);
    match attempts {
        0 => {}
        1 => lines.push("Tried once in vain.".into()),
        _ => lines.push(format!("Tried {attempts} times in vain.")),
    }
    match retry(explanation).filter(|_| !is_paused(explanation)) {
        Some(time) => lines.push(format!(
            "Tried again in {}, or now with `holdfast retry {}`.",
            age::short(time),
            explanation.id
        )),
        None if explanation.status.phase == Phase::Failed => lines.push(format!(
            "Not tried again by itself: a new spec is needed, or `holdfast retry {}` once the cause is gone.",
            explanation.id
        )),
        None => {}
    }
    lines
}

/// An operator's pause, of this resource or of all.
fn pause(explanation: &Explanation) -> Vec<String> {
    let Explanation { id, paused_seconds, .. } = explanation;
    let line = |time, whose: &str| {
        vec![format!("Paused for another {}; `holdfast resume{whose}` ends it.", age::short(time))]
    };
    match (paused_seconds, retry(explanation)) {
        (Some(seconds), _) => line(Duration::from_secs(*seconds), &format!(" {id}")),
        (None, Some(time)) if is_paused(explanation) => line(time, ""),
        (None, _) => Vec::new(),
    }
}

fn is_paused(explanation: &Explanation) -> bool {
    explanation.status.reason.as_deref() == Some("Paused")
}

fn retry(explanation: &Explanation) -> Option<Duration> {
    Duration::try_from_secs_f64(explanation.retry_in_seconds?).ok()
}

fn dependencies(explanation: &Explanation, paint: Paint) -> Vec<String> {
    let told = |id: &ResourceId| match explanation.depends_on.get(id) {
        Some(phase) => format!("{id} ({})", paint.paint(&phase.to_string(), phase_tone(*phase))),
        None => id.to_string(),
    };
    let waits: Vec<_> = explanation.status.waiting_for.iter().map(told).collect();
    let met = explanation.depends_on.keys().filter(|id| !explanation.status.waiting_for.contains(id));
    let met: Vec<_> = met.map(told).collect();
    let line = |what: &str, ids: &[String]| (!ids.is_empty()).then(|| format!("{what}: {}", ids.join(", ")));
    [line("Waits for", &waits), line("Depends on", &met)].into_iter().flatten().collect()
}

fn differences(explanation: &Explanation) -> Vec<String> {
    if explanation.differences.is_empty() {
        return Vec::new();
    }
    let left = if explanation.status.drifted { ", and is left so, as its drift policy says" } else { "" };
    let mut lines = vec![format!("Differs from its spec now{left}:")];
    lines.extend(explanation.differences.iter().map(difference));
    lines
}

/// One field that differs, as a line.
pub(super) fn difference(field: &DriftField) -> String {
    let DriftField { path, want, got } = field;
    one_line(&format!("    {path}: {got} → {want}"))
}

fn drifts(explanation: &Explanation, now: Timestamp) -> Vec<String> {
    let Some(DriftRecord { at, action, fields }) = &explanation.status.last_drift else {
        return Vec::new();
    };
    let count = explanation.status.drift_count;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let done = match action {
        DriftAction::Repairing => "is being repaired",
        DriftAction::Repaired => "was repaired",
        DriftAction::Reported => "was reported and left",
    };
    let mut lines = vec![format!("Drifted {times}; the last, {} ago, {done}:", age::since(now, *at))];
    lines.extend(fields.iter().map(difference));
    lines
}

fn held(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if !explanation.holds.is_empty() {
        lines.push("Holds:".to_owned());
    }
    lines.extend(explanation.holds.iter().map(|(claim, before)| {
        let before = match before.as_str() {
            "Absent" => "nothing was there before; deleting leaves nothing",
            "Same" => "it was there as wanted before; deleting leaves it",
            "Original" => "the original is kept; deleting puts it back",
            other => other,
        };
        format!("    {} ({before})", one_line(claim))
    }));
    match explanation.revision {
        0 => {}
        1 => lines.push("Changed once since it is held.".to_owned()),
        count => lines.push(format!("Changed {count} times since it is held.")),
    }
    lines
}

#[cfg(test)]
mod tests;
