use manifest_types::digest::Digest;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn agent() -> AgentId {
    "pump-17".parse().unwrap()
}

fn judge(value: &Value, form: Form, last: Option<Admission>) -> Result<Admitted, Rejection> {
    let agent_id = agent();
    admit(value.to_string().as_bytes(), &Terms { agent_id: &agent_id, source: "nats", form, last })
}

fn manifest(generation: Option<u64>, path: &str) -> Value {
    let mut value = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentManifest",
        "resources": [{ "id": "a", "kind": "File", "spec": { "path": path, "content": { "inline": "" } } }],
    });
    if let Some(generation) = generation {
        value["generation"] = generation.into();
    }
    value
}

fn last(generation: u64, value: &Value) -> Option<Admission> {
    Some(Admission { generation: generation.try_into().unwrap(), digest: Digest::of_json(value) })
}

#[test]
fn generations_only_rise() {
    let present = manifest(Some(7), "/a");
    let reason = |value: &Value| {
        judge(value, Form::Json, last(7, &present)).map(|ok| ok.generation.get()).map_err(|no| no.reason)
    };
    assert_eq!(reason(&manifest(Some(8), "/b")), Ok(8));
    assert_eq!(reason(&present), Ok(7), "the same once more is accepted");
    assert_eq!(reason(&manifest(Some(7), "/b")), Err(RejectionReason::GenerationReused));
    assert_eq!(reason(&manifest(Some(6), "/a")), Err(RejectionReason::StaleGeneration));
    assert_eq!(reason(&manifest(None, "/a")), Err(RejectionReason::NoGeneration));
}

#[test]
fn a_persons_file_is_numbered_by_the_ledger() {
    let present = manifest(None, "/a");
    let number = |value: &Value, last| {
        judge(value, Form::Yaml, last).map(|ok| ok.generation.get()).map_err(|no| no.reason)
    };
    assert_eq!(number(&present, None), Ok(1));
    assert_eq!(number(&present, last(3, &present)), Ok(3));
    assert_eq!(number(&manifest(None, "/b"), last(3, &present)), Ok(4));
    assert_eq!(number(&manifest(Some(9), "/b"), last(3, &present)), Ok(9));
    assert_eq!(number(&manifest(Some(2), "/b"), last(3, &present)), Err(RejectionReason::StaleGeneration));
}

#[test]
fn what_is_refused_says_why() {
    let told = |bytes: &[u8], form| {
        let agent_id = agent();
        let rejection =
            admit(bytes, &Terms { agent_id: &agent_id, source: "nats", form, last: None }).unwrap_err();
        format!(
            "{}: {} ({:?})",
            rejection.reason,
            rejection.message,
            rejection.generation.map(Generation::get)
        )
    };
    let mut other = manifest(Some(5), "/a");
    other["agentId"] = "pump-18".into();
    let mut extra = manifest(Some(5), "/a");
    extra["extra"] = 1.into();
    insta::assert_snapshot!(
        [
            told(b"\xff", Form::Json),
            told(b"generation: 3", Form::Json),
            told(b"", Form::Json),
            told(b"generation: 3", Form::Yaml),
            told(&vec![b' '; MANIFEST_LIMIT + 1], Form::Json),
            told(other.to_string().as_bytes(), Form::Json),
            told(extra.to_string().as_bytes(), Form::Json),
            told(serde_json::to_string_pretty(&extra).unwrap().as_bytes(), Form::Json),
        ]
        .join("\n")
    );
}

#[test]
fn what_was_admitted_is_read_again() {
    let admitted = judge(&manifest(None, "/a"), Form::Yaml, None).unwrap();
    assert_eq!(readmit(&admitted.saved), Some(admitted));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, yaml: bool) {
        let agent_id = agent();
        let form = if yaml { Form::Yaml } else { Form::Json };
        let verdict = admit(&bytes, &Terms { agent_id: &agent_id, source: "nats", form, last: None });
        prop_assert!(verdict.is_err());
    }
}
