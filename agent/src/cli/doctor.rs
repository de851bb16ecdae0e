//! `holdfast doctor`: what the agent needs from this device, and what is missing for which kind.
//!
//! `probe` looks and tries, `judge` says what follows from what was found.

use manifest_types::status::AgentStatus;
use serde::Serialize;

use super::{
    client::{Client, ClientError},
    place::Place,
    table::{Cell, Paint, Tone, one_line, table},
};
use crate::{chain::chain, clock::Now, config::RunArgs};

mod judge;
mod probe;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// The agent can work, but not in full.
    Warn,
    /// The agent, or a kind, cannot work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    /// What was looked at.
    pub(super) name: String,
    /// The kinds that need it; the agent itself, without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    /// How it ended.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Check {
    fn new(name: &str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), kind: None, verdict, found: found.into(), advice: None }
    }

    fn of(self, kind: &str) -> Self {
        let before = self.kind.map(|kinds| kinds + ", ").unwrap_or_default();
        Self { kind: Some(before + kind), ..self }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Looks at everything.
pub(super) async fn examine(client: &Client, place: Place) -> Vec<Check> {
    let answer = client.status().await;
    let mut checks = vec![configuration(&place), judge::clock(Now::read().wall), agent(client, &answer)];
    if let Ok(config) = place.clone().resolve() {
        checks.extend(probe::device(&config.state_dir, &config.root));
    }
    if let Ok(registry) = place.registry() {
        checks.extend(judge::capabilities(registry.find_capabilities().await));
    }
    checks
}

/// Whether an agent could start with the configuration as it is.
fn configuration(place: &Place) -> Check {
    match place.clone().args().with_file().and_then(RunArgs::resolve) {
        Ok(config) => Check::new("configuration", Verdict::Ok, format!("agent {}, source {}", config.agent_id, config.source)),
        Err(error) => Check::new("configuration", Verdict::Fail, chain(&error))
            .advise("`holdfast run --print-config` shows what results; flags and variables of the service are not seen here"),
    }
}

fn agent(client: &Client, answer: &Result<AgentStatus, ClientError>) -> Check {
    match answer {
        Ok(status) => judge::agent(status, client.socket()),
        Err(error) => {
            let verdict = match error {
                ClientError::NoAgent { .. } | ClientError::NotAllowed { .. } => Verdict::Warn,
                _ => Verdict::Fail,
            };
            Check::new("agent", verdict, chain(error)).advise("`systemctl status holdfast` says more")
        }
    }
}

/// Whether any check failed.
pub(super) fn has_failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.verdict == Verdict::Fail)
}

/// All checks, a line each, and what to do. Pure.
pub(super) fn render(checks: &[Check], paint: Paint) -> String {
    let row = |check: &Check| {
        let (word, tone) = match check.verdict {
            Verdict::Ok => ("ok", Tone::Good),
            Verdict::Warn => ("warn", Tone::Wait),
            Verdict::Fail => ("fail", Tone::Bad),
        };
        let kind = check.kind.as_deref().unwrap_or("agent");
        [Cell::new(word, tone), check.name.as_str().into(), kind.into(), check.found.as_str().into()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let mut text = table(["", "CHECK", "FOR", "FOUND"], &rows, paint);
    let advised = checks.iter().filter(|check| check.verdict != Verdict::Ok);
    let advice =
        advised.filter_map(|check| Some(format!("{}: {}\n", check.name, one_line(check.advice.as_deref()?))));
    let advice: String = advice.collect();
    if !advice.is_empty() {
        text += &format!("\nWhat to do:\n{advice}");
    }
    text
}

#[cfg(test)]
mod tests;
