//! A manifest as a person writes it, checked in full before anything is sent. Pure.

use manifest_types::{
    document,
    kinds::KINDS,
    manifest::{AgentManifest, Body, MANIFEST_LIMIT},
    name::AgentId,
    problem::{JsonPath, Problem},
};
use serde_json::Value;

/// So many problems are located in the text. Each costs one more reading of it, and nobody mends more at a time.
const LOCATED: usize = 200;

/// A manifest that may be published: complete but for its generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The device.
    pub agent: AgentId,
    /// The manifest, `agentId` included.
    pub content: Value,
    /// How many resources it lists.
    pub resources: usize,
}

/// What the command line says about the file.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The device, where the file need not say it.
    pub agent: Option<AgentId>,
    /// Whether a kind that this build does not know may pass: the device's agent may be newer.
    pub unknown_kinds: bool,
}

/// Reads a manifest of `text`, YAML or, if `json` says so, JSON. What a device would only count as one bad entry is an error here.
pub fn read(text: &str, json: bool, reading: &Reading) -> Result<Wanted, Vec<Problem>> {
    let value = if json { document::from_json(text) } else { document::from_yaml(text) };
    let value = value.map_err(|problem| vec![problem])?;
    check(value, reading).map_err(|problems| located(text, problems))
}

/// Checks a manifest that is already a value.
pub fn check(mut value: Value, reading: &Reading) -> Result<Wanted, Vec<Problem>> {
    let manifest = AgentManifest::read(&value).map_err(|refusal| refusal.problems)?;
    let mut problems: Vec<_> = manifest.problems().cloned().collect();
    if !reading.unknown_kinds {
        problems.extend(unknown_kinds(&manifest));
    }
    let agent = device(&manifest, reading, &mut problems);
    let (Some(agent), true) = (agent, problems.is_empty()) else {
        return Err(problems);
    };
    value["agentId"] = agent.as_str().into();
    let bytes = value.to_string().len();
    if bytes > MANIFEST_LIMIT {
        let message = format!("is {bytes} bytes as JSON; a device takes {MANIFEST_LIMIT} at most");
        return Err(vec![Problem::new(JsonPath::root(), message)]);
    }
    Ok(Wanted { agent, content: value, resources: manifest.resources.len() })
}

fn device(manifest: &AgentManifest, reading: &Reading, problems: &mut Vec<Problem>) -> Option<AgentId> {
    let at = JsonPath::root().key("agentId");
    match (&manifest.agent_id, &reading.agent) {
        (Some(written), Some(asked)) if written != asked => {
            problems.push(Problem::new(at, format!("is {written}, but {asked} was asked for")));
            None
        }
        (Some(agent), _) | (None, Some(agent)) => Some(agent.clone()),
        (None, None) => {
            problems.push(Problem::new(at, "is missing: name the device here or with --agent"));
            None
        }
    }
}

fn unknown_kinds(manifest: &AgentManifest) -> impl Iterator<Item = Problem> {
    let unknown = manifest
        .resources
        .iter()
        .enumerate()
        .filter(|(_, resource)| matches!(resource.body, Body::UnknownKind));
    unknown.map(|(index, resource)| {
        let path = JsonPath::root().key("resources").index(index).key("kind");
        let known = KINDS.join(", ");
        Problem::new(path, format!("{:?} is no kind known here ({known})", resource.kind))
    })
}

fn located(text: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in problems.iter_mut().filter(|problem| problem.position.is_none()).take(LOCATED) {
        problem.position = document::locate(text, &problem.path);
    }
    problems.sort_by_key(|problem| (problem.position.is_none(), problem.position));
    problems
}

/// One line for each problem: `FILE:LINE:COL: PATH: message`.
pub fn render(file: &str, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| match problem.position {
            Some(_) => format!("{file}:{problem}"),
            None => format!("{file}: {problem}"),
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_pump() -> Reading {
        Reading { agent: "pump-17".parse().ok(), unknown_kinds: false }
    }

    fn told(text: &str, reading: &Reading) -> String {
        render("m.yaml", &read(text, false, reading).unwrap_err())
    }

    const GOOD: &str = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n  - id: a\n    kind: File\n    spec: { path: /a, content: { inline: x } }\n";

    #[test]
    fn a_good_file_is_complete_but_for_its_generation() {
        let wanted = read(GOOD, false, &for_pump()).unwrap();
        assert_eq!(wanted.agent.as_str(), "pump-17");
        assert_eq!(wanted.content["agentId"], "pump-17");
        assert_eq!(wanted.content.get("generation"), None);
        assert_eq!(wanted.resources, 1);
        let named = format!("agentId: pump-18\n{GOOD}");
        assert_eq!(read(&named, false, &Reading::default()).unwrap().agent.as_str(), "pump-18");
    }

    #[test]
    fn all_problems_are_told_where_they_stand() {
        let text = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n  - id: a\n    kind: File\n    spec:\n      path: /a\n      colour: red\n      content: { inline: 1 }\n  - id: b\n    kind: Hologram\n    spec: {}\n";
        let lines = told(text, &for_pump());
        let starts: Vec<_> =
            lines.lines().map(|line| line.splitn(5, ": ").take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            starts,
            [
                "m.yaml:8:7 $.resources[0].spec.colour",
                "m.yaml:9:18 $.resources[0].spec.content.inline",
                "m.yaml:11:5 $.resources[1].kind",
            ],
            "{lines}"
        );
        assert!(lines.contains("\"Hologram\" is no kind known here (File"), "{lines}");
    }

    #[test]
    fn a_kind_that_only_the_device_knows_may_be_let_through() {
        let text = GOOD.replace("kind: File", "kind: Hologram");
        let reading = Reading { unknown_kinds: true, ..for_pump() };
        assert!(read(&text, false, &reading).is_ok());
        assert!(told(&text, &for_pump()).contains("Hologram"));
    }

    #[test]
    fn the_device_is_told_once() {
        let named = format!("agentId: pump-18\n{GOOD}");
        assert_eq!(told(&named, &for_pump()), "m.yaml:1:1: $.agentId: is pump-18, but pump-17 was asked for");
        assert!(told(GOOD, &Reading::default()).contains("$.agentId: is missing"));
    }

    #[test]
    fn what_no_device_would_take_is_not_sent() {
        let large = GOOD.replace("inline: x", &format!("inline: {}", "x".repeat(200 * 1024)));
        let entry = large.split_once("resources:\n").unwrap().1.to_owned();
        let six: String = (0..6)
            .map(|n| {
                entry.replace("id: a", &format!("id: a{n}")).replace("path: /a", &format!("path: /a{n}"))
            })
            .collect();
        let text = format!("apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n{six}");
        assert!(told(&text, &for_pump()).contains("a device takes 1048576 at most"));
    }

    #[test]
    fn a_text_that_cannot_be_read_is_one_problem() {
        assert!(told("a: [", &for_pump()).starts_with("m.yaml:"));
        let json = read("{\"a\": 1,}", true, &for_pump()).unwrap_err();
        assert!(json[0].to_string().contains("is not JSON"), "{json:?}");
    }
}
