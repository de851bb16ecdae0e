use proptest::prelude::*;
use serde_json::json;

use super::*;

fn manifest(resources: Value) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": MANIFEST_KIND, "generation": 7, "resources": resources })
}

fn file(id: &str, path: &str) -> Value {
    json!({ "id": id, "kind": "File", "spec": { "path": path, "content": { "inline": "" } } })
}

fn refused(value: Value) -> String {
    let refusal = AgentManifest::read(&value).unwrap_err();
    format!("{:?}: {refusal}", refusal.reason)
}

#[test]
fn a_good_manifest_is_read() {
    let mut web = file("web", "/a");
    web["dependsOn"] = json!(["db"]);
    web["dependsUntil"] = json!({ "db": "Started" });
    web["restartOn"] = json!(["conf"]);
    web["drift"] = json!("Report");
    let value = manifest(json!([web, file("db", "/b"), file("conf", "/c")]));
    let read = AgentManifest::read(&value).unwrap();
    assert_eq!(read.generation.unwrap().get(), 7);
    let web = &read.resources[0];
    let edges: Vec<_> = web.edges.depends_on.iter().map(|(id, until)| (id.as_str(), *until)).collect();
    assert_eq!(edges, [("conf", Until::Ready), ("db", Until::Started)]);
    assert_eq!(web.drift, DriftPolicy::Report);
    let Body::Spec(_, digest) = &web.body else { panic!("{web:?}") };
    assert_eq!(*digest, Digest::of_json(&json!({ "content": { "inline": "" }, "path": "/a" })));
}

#[test]
fn two_wrong_fields_in_one_spec_and_one_in_another_are_three_problems() {
    let value = manifest(json!([
        { "id": "a", "kind": "File", "spec": { "path": "/a", "mode": 7, "owner": {}, "content": { "inline": "" } } },
        file("b", "/b"),
        { "id": "c", "kind": "File", "spec": { "path": "/c", "content": { "inline": 1 } } },
    ]));
    let read = AgentManifest::read(&value).unwrap();
    let told: Vec<_> = read.problems().map(|problem| problem.path.to_string()).collect();
    assert_eq!(
        told,
        ["$.resources[0].spec.mode", "$.resources[0].spec.owner", "$.resources[2].spec.content.inline"]
    );
    assert!(read.resources[1].spec().is_some(), "the good entry stays good");
}

#[test]
fn a_bad_entry_costs_only_itself() {
    let value = manifest(json!([
        file("good", "/a"),
        { "id": "new", "kind": "Hologram", "spec": { "x": 1 } },
        { "id": "bad", "kind": "File", "spec": { "path": "/b", "colour": "red" }, "dependson": [] },
        { "id": "bare", "kind": "File" },
        { "id": "untyped" },
    ]));
    let read = AgentManifest::read(&value).unwrap();
    assert!(read.resources[0].spec().is_some());
    assert_eq!(read.resources[1].body, Body::UnknownKind);
    let told: Vec<_> = read.problems().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_makes_the_whole_unusable_is_refused() {
    let mut cycle = [file("a", "/a"), file("b", "/b"), file("c", "/c")];
    cycle[0]["dependsOn"] = json!(["b"]);
    cycle[1]["restartOn"] = json!(["c"]);
    cycle[2]["dependsOn"] = json!(["a"]);
    let mut dangling = file("a", "/a");
    dangling["restartOn"] = json!(["nowhere"]);
    let mut itself = file("a", "/a");
    itself["dependsOn"] = json!(["a"]);
    let generation = |number: Value| {
        let mut value = manifest(json!([]));
        value["generation"] = number;
        value
    };
    let many: Vec<_> = (0..=RESOURCE_LIMIT).map(|n| file(&format!("f{n}"), &format!("/{n}"))).collect();
    insta::assert_snapshot!([
        refused(json!(null)),
        refused(json!({ "apiVersion": "holdfast/v2", "kind": 1 })),
        refused(json!({ "apiVersion": API_VERSION, "kind": "AgentStatus", "resources": [], "extra": 1 })),
        refused(json!({ "apiVersion": API_VERSION, "kind": MANIFEST_KIND })),
        refused(json!({ "apiVersion": API_VERSION, "kind": MANIFEST_KIND, "agentId": "A", "resources": {} })),
        refused(generation(json!(0))),
        refused(generation(json!(u64::MAX))),
        refused(generation(json!(1.5))),
        refused(manifest(json!([{ "kind": "File", "spec": { "path": "/a" } }, 3, { "id": "Ü", "kind": "File", "spec": {} }]))),
        refused(manifest(json!([file("a", "/a"), file("a", "/b"), file("b", "/b")]))),
        refused(manifest(json!([file("a", "/x"), file("b", "/x")]))),
        refused(manifest(Value::from(cycle.to_vec()))),
        refused(manifest(json!([itself]))),
        refused(manifest(json!([dangling]))),
        refused(manifest(many.into())),
    ].join("\n"));
}

proptest! {
    /// Whatever the envelope says, reading ends with an answer, and the same for another order of members.
    #[test]
    fn reading_never_panics(
        id in ".{0,5}", kind in "(File|Hologram|.{0,3})", path in "(/[a-z.]{0,3}){0,3}", edges in proptest::collection::vec("[a-c]", 0..3),
    ) {
        let entry = json!({ "id": id, "kind": kind, "dependsOn": edges, "spec": { "path": path, "content": { "inline": "" } } });
        let value = manifest(json!([entry, file("b", "/b"), file("c", "/c")]));
        let _ = AgentManifest::read(&value);
    }
}

/// A reading of this once took minutes: every part of a large spec was held against every mistake found before, though nobody wants to know of it.
#[test]
fn a_large_entry_with_many_mistakes_is_read_soon() {
    let mut spec = json!(vec![0; 100_000]);
    for _ in 0..100 {
        spec = json!({ "a": spec });
    }
    let mut entry = json!({ "id": "a", "kind": "File", "spec": spec });
    for number in 0..150 {
        entry[format!("z{number:03}")] = json!(1);
    }
    let manifest = AgentManifest::read(&json!({
        "apiVersion": API_VERSION, "kind": MANIFEST_KIND, "generation": 1, "resources": [entry]
    }));
    let manifest = manifest.unwrap();
    assert!(manifest.resources[0].problems().len() > 100);
}

#[test]
fn what_is_quoted_is_short() {
    let long = "x".repeat(1_000_000);
    for document in
        [json!({ "apiVersion": long }), json!({ "apiVersion": API_VERSION, "kind": long, "resources": [] })]
    {
        let told = AgentManifest::read(&document).unwrap_err().to_string();
        assert!(told.len() < 1000, "{} bytes", told.len());
    }
}
