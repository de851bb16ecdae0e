use std::fs;

use manifest_types::status::DriftField;

use super::*;
use crate::ask::ToldProblem;

fn preview(forecasts: &[(&str, Forecast)]) -> Preview {
    let resources = forecasts.iter().map(|(id, forecast)| (id.parse().unwrap(), forecast.clone())).collect();
    Preview { resources, problems: vec![] }
}

fn change() -> Forecast {
    Forecast::Change {
        fields: vec![DriftField { path: "mode".into(), want: "0644".into(), got: "0600".into() }],
    }
}

#[test]
fn a_plan_reads_as_a_difference() {
    let unclear = Forecast::Unclear { reason: "InvalidSpec".into(), message: "a\nb".into() };
    let mut preview = preview(&[
        ("a", Forecast::Create),
        ("b", change()),
        ("c", Forecast::Delete),
        ("d", unclear),
        ("e", Forecast::Unchanged),
    ]);
    let path = "$.resources[3].spec".to_owned();
    preview.problems.push(ToldProblem { path, line: Some(9), column: Some(5), message: "is wrong".into() });
    insta::assert_snapshot!(render(Path::new("m.yaml"), &preview, Paint(false)));
}

#[test]
fn a_quiet_plan_says_so() {
    let quiet = preview(&[("a", Forecast::Unchanged)]);
    assert_eq!(render(Path::new("m.yaml"), &quiet, Paint(false)), "Nothing to do: 1 as wanted.\n");
}

#[test]
fn a_refusal_tells_every_problem() {
    let refusal = manifest::parse(b"apiVersion: holdfast/v1\nkind: AgentManifest\nresources: 5\nmore: 1\n")
        .unwrap_err();
    let told = render_refused(Path::new("m.yaml"), &manifest::refused(&refusal));
    assert!(told.starts_with("m.yaml would be refused: Invalid: these are its problems\nm.yaml:"), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}

const TEXT: &str = "apiVersion: holdfast/v1
kind: AgentManifest
resources:
  - id: there
    kind: File
    spec: { path: /there, content: { inline: hello } }
  - id: missing
    kind: File
    spec: { path: /missing, content: { inline: hello } }
  - id: bad
    kind: File
    spec: { path: bad }
";

#[tokio::test]
async fn without_an_agent_the_device_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("there"), "hello").unwrap();
    let place = Place {
        root: Some(dir.path().to_owned()),
        state_dir: Some(dir.path().join("state")),
        ..Place::default()
    };
    let client = Client::new(dir.path().join("none.sock"));
    let preview = plan(&client, TEXT.into(), place).await.unwrap().unwrap();
    let forecast = |id: &str| preview.resources[id].clone();
    assert_eq!((forecast("there"), forecast("missing")), (Forecast::Unchanged, Forecast::Create));
    assert!(matches!(forecast("bad"), Forecast::Unclear { .. }));
    assert!(preview.problems.iter().all(|problem| problem.line == Some(12)), "{:?}", preview.problems);
    assert!(!dir.path().join("missing").exists());
}

#[test]
fn an_agents_problems_are_found_in_the_text() {
    let manifest = manifest::parse(TEXT.as_bytes()).unwrap();
    let strip = |problem: &manifest_types::problem::Problem| ToldProblem {
        line: None,
        column: None,
        ..problem.into()
    };
    let mut told = Preview { problems: manifest.problems().map(strip).collect(), ..Preview::default() };
    assert!(!told.problems.is_empty());
    manifest::locate_told(TEXT.as_bytes(), &mut told);
    let expected: Vec<ToldProblem> = manifest.problems().map(Into::into).collect();
    assert_eq!(told.problems, expected);
    assert!(expected.iter().all(|problem| problem.line.is_some()));
}
