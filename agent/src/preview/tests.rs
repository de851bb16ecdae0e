use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use futures_util::FutureExt;
use manifest_types::{digest::Digest, document};
use reconcilers::{
    host::{Blob, BlobError, BlobSource, Blobs, Host},
    observation::{Before, Health},
};
use serde_json::json;

use super::*;
use crate::ledger::row::{Applied, Quarantine};

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn manifest(resources: serde_json::Value) -> AgentManifest {
    let value = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources });
    AgentManifest::read(&value).unwrap()
}

fn file(id: &str, path: &str) -> serde_json::Value {
    json!({ "id": id, "kind": "File", "spec": { "path": path, "mode": "0644", "content": { "inline": "x" } } })
}

fn entry(value: serde_json::Value) -> Resource {
    manifest(json!([value])).resources.remove(0)
}

fn row(path: &str) -> Row {
    let written = json!({ "path": path, "mode": "0644", "content": { "inline": "x" } });
    let spec = Arc::new(Spec::read("File", &written).unwrap().unwrap());
    let held = BTreeMap::from([(Claim::Path(path.into()), Before::Absent)]);
    let applied = Some(Applied { digest: Digest::of_json(&written), spec });
    Row { held: Arc::new(held), applied, reached: true, ..Row::new("File") }
}

fn rows<const N: usize>(rows: [(&str, &str); N]) -> Rows {
    rows.into_iter().map(|(own, path)| (id(own), Arc::new(row(path)))).collect()
}

fn seen(present: bool, differences: &[(&str, &str, &str)]) -> Result<Observation, Failure> {
    let difference = |(path, want, got): &(&str, &str, &str)| Difference::in_place(*path, *want, *got);
    Ok(Observation {
        present,
        differences: differences.iter().map(difference).collect(),
        health: Health::Healthy,
        details: None,
        running: false,
        holder: None,
        marked_ours: false,
        keeps_original: false,
        fingerprint: 0,
    })
}

fn reason(forecast: &Forecast) -> &str {
    match forecast {
        Forecast::Unclear { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_seen_decides() {
    let wanted = entry(file("a", "/a"));
    let forecast = |row: Option<&Row>, sight| forecast(&wanted, row, Some(&sight));
    assert_eq!(forecast(None, seen(false, &[])), Forecast::Create);
    assert_eq!(forecast(None, seen(true, &[])), Forecast::Unchanged);
    assert_eq!(forecast(Some(&row("/a")), seen(true, &[])), Forecast::Unchanged);
    let change = Forecast::Change { fields: vec![field("mode", "0644", "0600")] };
    assert_eq!(forecast(None, seen(true, &[("mode", "0644", "0600")])), change);
    let failure = Failure::new("PermissionDenied", "no", true);
    assert_eq!(reason(&forecast(None, Err(failure))), "PermissionDenied");
    assert_eq!(reason(&super::forecast(&wanted, None, None)), "NotObserved");
}

#[test]
fn an_entry_that_cannot_be_understood_is_unclear() {
    let unknown = entry(json!({ "id": "h", "kind": "Hologram", "spec": {} }));
    assert_eq!(reason(&forecast(&unknown, Some(&row("/a")), None)), "UnknownKind");
    let invalid = entry(json!({ "id": "h", "kind": "File", "spec": { "path": "a", "colour": 1 } }));
    assert_eq!(reason(&forecast(&invalid, Some(&row("/a")), None)), "InvalidSpec");
}

#[test]
fn a_drift_that_is_left_is_no_change() {
    let mut wanted = file("a", "/a");
    let drifted = seen(true, &[("mode", "0644", "0600")]);
    for (policy, left) in [("Report", true), ("Ignore", true), ("Enforce", false)] {
        wanted["drift"] = policy.into();
        let forecast = forecast(&entry(wanted.clone()), Some(&row("/a")), Some(&drifted));
        assert_eq!(forecast == Forecast::Unchanged, left, "{policy}: {forecast:?}");
    }
    wanted["drift"] = "Report".into();
    let unreached = Row { reached: false, ..row("/a") };
    assert!(matches!(forecast(&entry(wanted), Some(&unreached), Some(&drifted)), Forecast::Change { .. }));
}

#[test]
fn another_place_or_kind_is_a_change() {
    let wanted = entry(file("a", "/b"));
    let Forecast::Change { fields } = forecast(&wanted, Some(&row("/a")), Some(&seen(false, &[]))) else {
        panic!("the old place has to be let go of");
    };
    assert_eq!(fields, [field("holds", vec!["path:/b"], vec!["path:/a"])]);
    let other = Row { kind: "Hologram".into(), ..row("/b") };
    let change = Forecast::Change { fields: vec![field("kind", "File", "Hologram")] };
    assert_eq!(forecast(&wanted, Some(&other), None), change);
    assert!(
        targets(&Rows::from([(id("a"), Arc::new(other))]), &manifest(json!([file("a", "/b")])))["File"][0]
            .owned
            .is_none()
    );
}

#[test]
fn a_spec_in_quarantine_is_not_tried() {
    let mut row = row("/a");
    let digest = row.applied_digest().unwrap();
    row.quarantine = Some(Quarantine {
        digest,
        reason: "Broken".into(),
        message: "it broke".into(),
        with: Default::default(),
    });
    let forecast = forecast(&entry(file("a", "/a")), Some(&row), Some(&seen(true, &[])));
    assert_eq!(reason(&forecast), "Broken");
}

#[test]
fn what_is_held_and_not_wanted_goes_unless_it_is_handed_over() {
    let rows = rows([("old", "/a"), ("gone", "/b")]);
    let wanted = manifest(json!([file("new", "/a"), { "id": "bad", "kind": "File", "spec": {} }]));
    let sights = Sights::from([(id("new"), seen(true, &[]))]);
    let preview = forecast_all(&rows, &wanted, &sights);
    let actions: Vec<_> = preview.resources.iter().map(|(id, forecast)| (id.as_str(), forecast)).collect();
    assert_eq!(actions[1..], [("gone", &Forecast::Delete), ("new", &Forecast::Unchanged)]);
    assert_eq!((actions[0].0, reason(actions[0].1)), ("bad", "InvalidSpec"));
    assert!(!preview.problems.is_empty() && !preview.is_quiet());
    // Two files of one row's claims would not be an heir; neither is one that holds something already.
    let rows = self::rows([("old", "/a"), ("new", "/a")]);
    assert_eq!(forecast_all(&rows, &wanted, &sights).resources[&id("old")], Forecast::Delete);
}

struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, source: &BlobSource) -> futures_util::future::BoxFuture<'static, Result<Blob, BlobError>> {
        let from = source.clone();
        async move { Err(BlobError::Unreachable { from, why: "a test".into() }) }.boxed()
    }
}

#[tokio::test]
async fn the_device_is_looked_at_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host {
        root: dir.path().join("root"),
        state_dir: dir.path().join("state"),
        protected: Vec::new(),
        agent_id: "pump-17".parse().unwrap(),
        engine_places: Vec::new(),
        services: Default::default(),
        blobs: Arc::new(NoBlobs),
        reach: Arc::new(reconcilers::host::AlwaysThere),
    };
    fs::create_dir_all(host.root.join("etc")).unwrap();
    for (name, mode) in [("same", 0o644), ("other", 0o600)] {
        let path = host.root.join("etc").join(name);
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n".to_owned()
        + &["same", "other", "missing"].map(|name| {
            format!("  - id: {name}\n    kind: File\n    spec: {{ path: /etc/{name}, mode: \"0644\", content: {{ inline: x }} }}\n")
        }).concat();
    let manifest = AgentManifest::read(&document::from_yaml(&text).unwrap()).unwrap();
    let rows = rows([("unwanted", "/etc/unwanted")]);
    let preview = preview(&Arc::new(Registry::new(&host)), &Looks::default(), &rows, &manifest).await;
    let change = Forecast::Change { fields: vec![field("mode", "0644", "0600")] };
    let expected = BTreeMap::from([
        (id("same"), Forecast::Unchanged),
        (id("other"), change),
        (id("missing"), Forecast::Create),
        (id("unwanted"), Forecast::Delete),
    ]);
    assert_eq!(preview.resources, expected);
    assert!(!host.root.join("etc/missing").exists() && !host.state_dir.exists());
}
