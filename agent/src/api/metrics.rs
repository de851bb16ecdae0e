//! The numbers as Prometheus reads them (text format 0.0.4). Pure.

use std::{collections::BTreeMap, fmt::Write};

use manifest_types::status::Phase;

use crate::ask::Metrics;

/// Every phase has a line, so that a graph begins at 0 and not with a gap.
const PHASES: [Phase; 6] =
    [Phase::Pending, Phase::Reconciling, Phase::Ready, Phase::Failed, Phase::Deleting, Phase::Unknown];

/// All numbers, each with what it means.
pub fn render(metrics: &Metrics) -> String {
    let mut text = String::new();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    family(&mut text, "build_info", "gauge", "The agent's version; always 1.", [line(&version, 1.0)]);
    let uptime = metrics.uptime.as_secs_f64();
    family(&mut text, "uptime_seconds", "gauge", "For how long the agent runs.", [line(&[], uptime)]);
    let phases = PHASES.map(|phase| {
        let count = metrics.resources.get(&phase).copied().unwrap_or_default();
        line(&[("phase", &phase.to_string())], count)
    });
    family(&mut text, "resources", "gauge", "Resources by phase.", phases);
    let generation = metrics.manifest_generation;
    family(&mut text, "manifest_generation", "gauge", "The generation in force.", [line(&[], generation)]);
    let observed = metrics.observed_generation;
    let help = "The generation last processed, admitted or refused.";
    family(&mut text, "observed_generation", "gauge", help, [line(&[], observed)]);
    let steps = by_kind(&metrics.steps_done, "done").chain(by_kind(&metrics.steps_failed, "failed"));
    family(
        &mut text,
        "steps_total",
        "counter",
        "Changes of resources that ended, by kind and outcome.",
        steps,
    );
    let looks = metrics.observations.iter().map(|(kind, count)| line(&[("kind", kind)], *count));
    family(&mut text, "observations_total", "counter", "Looks at resources, by kind.", looks);
    // What goes away takes its drifts with it, so the sum can fall: no counter.
    family(
        &mut text,
        "drifts",
        "gauge",
        "Drifts ever found of the resources held now.",
        [line(&[], metrics.drifts)],
    );
    let sent = metrics.statuses_sent;
    family(&mut text, "statuses_sent_total", "counter", "Statuses delivered.", [line(&[], sent)]);
    let commits = metrics.ledger_commits;
    family(&mut text, "ledger_commits_total", "counter", "Commits of the ledger.", [line(&[], commits)]);
    let up = u8::from(metrics.link_up);
    family(&mut text, "link_up", "gauge", "Whether the source and sink can be reached.", [line(&[], up)]);
    text
}

fn by_kind(counts: &BTreeMap<String, u64>, outcome: &'static str) -> impl Iterator<Item = String> {
    counts.iter().map(move |(kind, count)| line(&[("kind", kind), ("outcome", outcome)], *count))
}

/// Labels and value of one line.
fn line(labels: &[(&str, &str)], value: impl std::fmt::Display) -> String {
    if labels.is_empty() {
        return format!(" {value}");
    }
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}} {value}", labels.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn family(text: &mut String, name: &str, kind: &str, help: &str, lines: impl IntoIterator<Item = String>) {
    let mut write = |line: String| text.write_str(&line).expect("a text takes all that is written");
    write(format!("# HELP holdfast_{name} {help}\n# TYPE holdfast_{name} {kind}\n"));
    for line in lines {
        write(format!("holdfast_{name}{line}\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_numbers_read_as_prometheus_wants_them() {
        let metrics = Metrics {
            resources: BTreeMap::from([(Phase::Ready, 3), (Phase::Failed, 1)]),
            manifest_generation: 7,
            observed_generation: 8,
            steps_done: BTreeMap::from([("File".into(), 12)]),
            steps_failed: BTreeMap::from([("File".into(), 2), ("a\"b\\c\n".into(), 1)]),
            observations: BTreeMap::from([("File".into(), 400)]),
            drifts: 5,
            statuses_sent: 9,
            ledger_commits: 21,
            link_up: true,
            uptime: Duration::from_millis(90_500),
        };
        insta::assert_snapshot!(render(&metrics));
    }
}
