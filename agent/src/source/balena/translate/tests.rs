//! Cases are folders in `cases/`: `case.yaml` goes in, `expected.snap` comes out. A new case is a new folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use manifest_types::document;
use proptest::prelude::*;

use super::*;

const UUID: &str = "5e0d1f0c9a7b4c6f8d2e3a4b5c6d7e8f";
const APP: &str = "d0e1f2a3b4c54d5e86f708192a3b4c5d";
const COMMIT: &str = "77e1c0ffee0042d4a1b2c3d4e5f60718";

fn facts() -> Facts {
    let facts = json!({
        "uuid": UUID, "apiEndpoint": "https://api.example", "deviceKey": "key-of-the-device", "deviceType": "raspberrypi4-64", "arch": "aarch64",
        "osVersion": "balenaOS 6.5.39+rev1", "os": ["balena-os", "6.5.39+rev1"], "boardRev": "a1b2c3d", "kernel": "6.1.0-18-v8",
        "engineSocket": "/run/balena-engine.sock", "registryCredentials": "/var/lib/holdfast/balena/registries.json",
        "present": ["/run/dbus", "/lib/modules", "/run/log/journal", "/etc/machine-id", "/sys", "/proc"]
    });
    serde_json::from_value(facts).unwrap()
}

/// A document of one app with one service, and what a case changes in it.
fn with(case: &Value) -> Value {
    let mut service = json!({ "id": 90, "image_id": 2201, "image": "registry.example/v2/8c7b6a59", "environment": {}, "labels": {} });
    merge(&mut service, case.get("main").unwrap_or(&Value::Null));
    let mut release = json!({ "id": 1200, "services": { "main": service } });
    merge(&mut release, case.get("release").unwrap_or(&Value::Null));
    let mut app = json!({ "id": 42, "name": "greenhouse", "class": "fleet", "is_host": false, "releases": { COMMIT: release } });
    merge(&mut app, case.get("app").unwrap_or(&Value::Null));
    let mut device = json!({ "name": "amber-lynx", "config": {}, "apps": { APP: app } });
    merge(&mut device, case.get("device").unwrap_or(&Value::Null));
    json!({ UUID: device })
}

/// Members of objects go into objects; anything else goes before what is there.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, more) => *into = more.clone(),
    }
}

fn resource<'a>(of: &'a Translation, id: &str) -> Option<&'a Value> {
    of.resources.iter().find(|resource| resource["id"] == id)
}

/// What of a translation is not as in that of the plain document.
fn beyond(plain: &Translation, made: &Translation) -> Value {
    let mut told = json!({});
    for own in &made.resources {
        let id = own["id"].as_str().unwrap();
        let differing = match resource(plain, id) {
            Some(usual) => difference(usual, own),
            None => own.clone(),
        };
        if differing != json!({}) {
            told[id] = differing;
        }
    }
    let gone = plain.resources.iter().filter(|own| resource(made, own["id"].as_str().unwrap()).is_none());
    let gone: Vec<_> = gone.map(|own| own["id"].clone()).collect();
    let lines = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let outcome = made.apps.get(APP);
    let rejected = outcome.map(|outcome| lines(&outcome.rejected)).unwrap_or_default();
    let notes = outcome.map(|outcome| lines(&outcome.notes)).unwrap_or_default();
    let left_out = outcome.map(|outcome| outcome.left_out.clone()).unwrap_or_default();
    let all = [
        ("resources", told),
        ("gone", json!(gone)),
        ("rejected", json!(rejected)),
        ("leftOut", json!(left_out)),
        ("leftAlone", json!(made.left_alone)),
        ("notes", json!(notes)),
        ("documentNotes", json!(lines(&made.notes))),
    ];
    let is_told = |value: &Value| *value != json!([]) && *value != json!({});
    all.into_iter()
        .filter(|(_, value)| is_told(value))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn difference(usual: &Value, own: &Value) -> Value {
    let (Some(usual), Some(own)) = (usual.as_object(), own.as_object()) else { return own.clone() };
    let changed = own.iter().filter(|(key, value)| usual.get(*key) != Some(value));
    let changed = changed
        .map(|(key, value)| (key.clone(), difference(&usual.get(key).cloned().unwrap_or_default(), value)));
    let gone = usual.keys().filter(|key| !own.contains_key(*key)).map(|key| (key.clone(), json!("-")));
    changed.chain(gone).collect()
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(cases(&path));
        } else if path.ends_with("case.yaml") {
            found.push(folder.to_owned());
        }
    }
    found.sort();
    found
}

fn all_cases() -> Vec<(PathBuf, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/balena/cases");
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("case.yaml")).unwrap();
        let case =
            document::from_yaml(&text).unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()));
        (folder, case)
    };
    cases(&root).into_iter().map(read).collect()
}

/// A release that nobody understands.
fn wrong() -> Value {
    with(&json!({ "main": { "composition": { "privileged": "who knows" } } }))
}

fn by_id(resources: &[Value]) -> BTreeMap<&str, &Value> {
    resources.iter().map(|resource| (resource["id"].as_str().unwrap(), resource)).collect()
}

#[test]
fn what_a_manifest_says_stays_where_all_that_was_accepted_is_forgotten() {
    let mut seen = 0;
    for (folder, case) in all_cases() {
        let Ok(made) = translate(&with(&case), &facts(), &Kept::default()) else { continue };
        let Some(outcome) = made.apps.get(APP).filter(|outcome| !outcome.services.is_empty()) else {
            continue;
        };
        let forgetful = Kept::of_manifest(&made.resources);
        let rejects = translate(&wrong(), &facts(), &forgetful).unwrap();
        let mut before = by_id(&made.resources);
        before.retain(|id, _| id.starts_with("42."));
        assert!(by_id(&rejects.resources) == before, "{}", folder.display());
        let lines = |outcome: &Outcome| -> Vec<_> {
            let line = |(name, line): (&String, &Line)| {
                (name.clone(), line.resource.clone(), line.image_resource.clone(), line.service_id)
            };
            outcome.services.iter().map(line).collect()
        };
        assert_eq!(lines(&rejects.apps[APP]), lines(outcome), "{}", folder.display());
        assert_eq!((rejects.apps[APP].held.as_ref(), rejects.apps[APP].rejected.len()), (None, 1));
        let plain = translate(&with(&json!({})), &facts(), &forgetful).unwrap();
        let volumes = |of: &Translation| -> Vec<_> {
            by_id(&of.resources)
                .into_iter()
                .filter(|(id, _)| id.starts_with("42.volume."))
                .map(|(_, own)| own.clone())
                .collect()
        };
        assert_eq!(volumes(&plain), volumes(&made), "{}: volumes stay", folder.display());
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
    assert_eq!(Kept::of_manifest(&[json!({ "id": "web", "kind": "File", "spec": {} })]), Kept::default());
}

#[test]
fn one_app_does_not_grow_into_the_room_of_another() {
    let app = |id: u64, bytes: usize| {
        let service = json!({ "id": 90, "image_id": 1, "image": "registry.example/v2/a", "environment": { "MUCH": "x".repeat(bytes) }, "labels": {} });
        json!({ "id": id, "name": "a", "class": "fleet", "is_host": false, "releases": { format!("{id}{bytes}"): { "id": 1, "services": { "main": service } } } })
    };
    let both = |first: usize, second: usize| json!({ UUID: { "name": "a", "config": {}, "apps": { "aaaa": app(1, first), "bbbb": app(2, second) } } });
    let before = translate(&both(400_000, 500_000), &facts(), &Kept::default()).unwrap();
    assert!(before.apps.values().all(|outcome| outcome.rejected.is_empty()));
    let grown = translate(&both(700_000, 500_000), &facts(), &before.kept).unwrap();
    assert_eq!(grown.apps["aaaa"].rejected.len(), 1, "what does not fit is rejected");
    assert!(grown.apps["bbbb"].rejected.is_empty());
    assert_eq!(by_id(&grown.resources), by_id(&before.resources));
}

#[test]
fn every_case_comes_out_as_expected() {
    let plain = translate(&with(&json!({})), &facts(), &Kept::default()).unwrap();
    for (folder, case) in all_cases() {
        let told = match translate(&with(&case), &facts(), &Kept::default()) {
            Ok(made) => beyond(&plain, &made),
            Err(problems) => {
                json!({ "unusable": problems.iter().map(ToString::to_string).collect::<Vec<_>>() })
            }
        };
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_json_snapshot!("expected", told));
    }
}

#[test]
fn a_plain_service_is_one_container_in_one_network() {
    let plain = translate(&with(&json!({})), &facts(), &Kept::default()).unwrap();
    insta::assert_json_snapshot!(plain);
}

#[test]
fn a_rejected_release_leaves_the_one_before_it() {
    let first =
        translate(&with(&json!({ "release": { "volumes": { "data": {} } } })), &facts(), &Kept::default())
            .unwrap();
    let wrong = json!({ "app": { "releases": { COMMIT: { "services": { "main": { "composition": { "restart": "sometimes" } } } } } } });
    let second = translate(&with(&wrong), &facts(), &first.kept).unwrap();
    assert_eq!(second.resources, first.resources);
    assert_eq!(second.kept, first.kept);
    assert_eq!(second.apps[APP].rejected.len(), 1);
    let again = serde_json::to_string(&second.kept).unwrap();
    assert_eq!(serde_json::from_str::<Kept>(&again).unwrap(), second.kept, "it outlives the agent");
}

#[test]
fn a_volume_that_a_release_drops_stays_as_long_as_its_app() {
    let ids = |made: &Translation| -> Vec<String> {
        made.resources.iter().map(|own| own["id"].as_str().unwrap().to_owned()).collect()
    };
    let first =
        translate(&with(&json!({ "release": { "volumes": { "data": {} } } })), &facts(), &Kept::default())
            .unwrap();
    assert_eq!(ids(&first), ["42.image.main", "42.network.default", "42.main", "42.volume.data"]);
    let second = translate(&with(&json!({})), &facts(), &first.kept).unwrap();
    assert_eq!(ids(&second), ids(&first));
    let mut without = with(&json!({}));
    without[UUID]["apps"][APP].as_object_mut().unwrap().remove("releases");
    let third = translate(&without, &facts(), &second.kept).unwrap();
    assert_eq!(ids(&third), ["42.volume.data"]);
    assert_eq!((&third.apps[APP].wanted, &third.apps[APP].held), (&None, &None));
    let mut another = with(&json!({}));
    let app = another[UUID]["apps"].as_object_mut().unwrap().remove(APP).unwrap();
    another[UUID]["apps"]["0000"] = app;
    let fourth = translate(&another, &facts(), &third.kept).unwrap();
    assert_eq!(ids(&fourth), ["42.image.main", "42.network.default", "42.main"]);
}

#[test]
fn what_is_wrong_in_the_frame_makes_all_of_it_unusable() {
    let told = |document: Value| match translate(&document, &facts(), &Kept::default()) {
        Ok(_) => panic!("{document} is translated"),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    let device = |apps: Value| json!({ UUID: { "name": "a", "apps": apps } });
    insta::assert_snapshot!(
        [
            told(json!(null)),
            told(json!({})),
            told(json!({ "another": {} })),
            told(json!({ UUID: { "name": "a" } })),
            told(device(json!({}))),
            told(device(json!([]))),
            told(device(json!({ "../a": {} }))),
            told(device(json!({ APP: { "id": 0, "name": "a" } }))),
            told(device(json!({ APP: { "id": "x" } }))),
        ]
        .join("\n")
    );
}

#[test]
fn two_apps_of_one_number_are_not_both_run() {
    let mut document = with(&json!({}));
    document[UUID]["apps"]["ffff"] = document[UUID]["apps"][APP].clone();
    let made = translate(&document, &facts(), &Kept::default()).unwrap();
    assert!(made.apps[APP].rejected.is_empty());
    assert!(!made.apps["ffff"].rejected.is_empty() && made.apps["ffff"].services.is_empty());
}

#[test]
fn what_a_device_is_renamed_to_changes_nothing_that_runs() {
    let first = translate(&with(&json!({})), &facts(), &Kept::default()).unwrap();
    let renamed = with(&json!({ "device": { "name": "other" }, "app": { "name": "glasshouse" } }));
    let second = translate(&renamed, &facts(), &first.kept).unwrap();
    let strip = |made: &Translation| {
        let mut resources = made.resources.clone();
        for own in &mut resources {
            own["spec"].as_object_mut().unwrap().remove("initialEnv");
        }
        resources
    };
    assert_eq!(strip(&first), strip(&second));
    assert_ne!(first.resources, second.resources);
}

/// JSON of any form, of the words that mean something here and of others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:/.=\\-\\[\\]# '\"$]{0,12}".prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "80:80",
            "data:/data",
            "1m30s",
            "64m",
            "always",
            "host",
            "service:main",
            "service_healthy",
            "a=b",
            "CMD",
            "/dev/null"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "main",
                "data",
                "target",
                "source",
                "type",
                "test",
                "condition",
                "soft",
                "hard",
                "aliases",
                "config",
                "subnet"
            ])
            .prop_map(str::to_owned),
            "[a-z_]{1,6}".prop_map(|key| key),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// The fields of compositions, from the cases: each has one.
fn fields() -> Vec<String> {
    let of = |(_, case): (PathBuf, Value)| {
        let composition = case["main"]["composition"].as_object().cloned().unwrap_or_default();
        composition.keys().cloned().collect::<Vec<_>>()
    };
    let mut all: Vec<_> = all_cases().into_iter().flat_map(of).collect();
    all.sort();
    all.dedup();
    all
}

/// A document in which a field of the composition, or something above it, is anything.
fn any_document() -> impl Strategy<Value = Value> {
    let place = prop::sample::select(
        [
            "main",
            "release",
            "app",
            "device",
            "labels",
            "contract",
            "environment",
            "networks",
            "volumes",
            "services",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(fields())
        .collect::<Vec<_>>(),
    );
    prop::collection::vec((place, any_json()), 1..5).prop_map(|places| {
        let mut case = json!({});
        for (place, value) in places {
            match place.as_str() {
                "main" | "release" | "app" | "device" => merge(&mut case, &json!({ place: value })),
                "labels" | "contract" | "environment" => {
                    merge(&mut case, &json!({ "main": { place: value } }))
                }
                "networks" | "volumes" | "services" => {
                    merge(&mut case, &json!({ "release": { place: value } }))
                }
                _ => merge(&mut case, &json!({ "main": { "composition": { place: value } } })),
            }
        }
        with(&case)
    })
}

/// The same document, its members in another order.
fn turned(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .rev()
                .map(|(key, value)| format!("{}:{}", json!(key), turned(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(turned).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

proptest! {
    #[test]
    fn whatever_comes_it_is_translated_or_refused_and_always_in_the_same_way(document in any_document()) {
        let once = translate(&document, &facts(), &Kept::default());
        prop_assert_eq!(&once, &translate(&document, &facts(), &Kept::default()));
        let other_order: Value = serde_json::from_str(&turned(&document)).unwrap();
        prop_assert_eq!(&once, &translate(&other_order, &facts(), &Kept::default()));
        if let Ok(made) = once {
            // What is accepted is a manifest without a bad entry.
            let manifest = AgentManifest::read(&made.manifest()).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
            prop_assert_eq!(manifest.problems().count(), 0);
            // Whatever comes next is translated on it, and what is rejected leaves it.
            let next = translate(&with(&json!({})), &facts(), &made.kept).unwrap();
            prop_assert!(next.apps[APP].rejected.is_empty());
        }
    }

    #[test]
    fn any_json_at_all_is_answered(document in any_json()) {
        drop(translate(&document, &facts(), &Kept::default()));
        drop(translate(&json!({ UUID: document }), &facts(), &Kept::default()));
    }
}
