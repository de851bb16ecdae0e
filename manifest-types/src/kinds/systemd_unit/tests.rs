use serde_json::{Value, json};

use super::*;

fn read(spec: Value) -> Result<SystemdUnitSpec, Vec<String>> {
    let read = crate::kinds::read::<SystemdUnitSpec>(&spec);
    read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_unit_is_read_and_written_as_it_was() {
    let spec = json!({
        "name": "pump@1.service", "scope": "User", "content": "[Service]\nExecStart=/bin/pump\n",
        "dropIns": { "10-fast.conf": "[Service]\nNice=-5\n" }, "enabled": true, "masked": false, "state": "Active",
        "onChange": "ReloadOrRestart", "startTimeout": "30s"
    });
    let read = read(spec.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), spec);
    assert_eq!(read.wanted_start_timeout().as_secs(), 30);
}

#[test]
fn it_claims_its_name_and_its_files() {
    let id = "pump".parse().unwrap();
    let claims = |spec: Value| -> Vec<String> {
        read(spec).unwrap().claims(&id).iter().map(ToString::to_string).collect()
    };
    assert_eq!(claims(json!({ "name": "ssh.service", "state": "Inactive" })), ["unit:ssh.service"]);
    assert_eq!(
        claims(json!({
            "name": "a.service", "content": "[Service]\nExecStart=/a\n", "dropIns": { "b.conf": "[Service]\nNice=1\n" }
        })),
        [
            "unit:a.service",
            "path:/etc/systemd/system/a.service",
            "path:/etc/systemd/system/a.service.d/b.conf"
        ]
    );
    assert_eq!(
        claims(json!({ "name": "a.service", "masked": true })),
        ["unit:a.service", "path:/etc/systemd/system/a.service"]
    );
    assert_eq!(claims(json!({ "name": "a.service", "scope": "User" })), ["unit:user/a.service"]);
}

#[test]
fn what_does_not_go_together_is_told() {
    let told = |spec: Value| read(spec).unwrap_err().join("\n");
    for (spec, why) in [
        (json!({ "name": "a@.service", "state": "Active" }), "$.state: does not go with a template"),
        (json!({ "name": "a.device", "state": "Active" }), "$.state: does not go with a device"),
        (json!({ "name": "a.scope", "enabled": true }), "$.enabled: does not go with a scope"),
        (
            json!({ "name": "a.service", "masked": true, "state": "Active" }),
            "$.state: does not go with `masked: true`",
        ),
        (json!({ "name": "a.service", "masked": true, "enabled": true }), "$.enabled: does not go with"),
        (
            json!({ "name": "a.service", "startTimeout": "5s" }),
            "$.startTimeout: goes with `state: Active` only",
        ),
        (
            json!({ "name": "a.service", "state": "Active", "startTimeout": "21m" }),
            "$.startTimeout: must be more than 0s and 20m at most",
        ),
        (
            json!({ "name": "a.service", "content": "[Service]\nRestart=maybe\n" }),
            "$.content: line 2: Restart= must be",
        ),
        (
            json!({ "name": "a.service", "dropIns": { "a.conf": "[Timer]\n" } }),
            "$.dropIns[\"a.conf\"]: line 1: a service has no section [Timer]",
        ),
        (json!({ "name": "a.service", "dropIns": { "../a.conf": "" } }), "must be a file name"),
        (json!({ "name": "a.service", "dropIns": { "a\n.conf": "" } }), "must be a file name"),
        (json!({ "name": "a/b.service" }), "$.name: must have letters"),
        (json!({ "name": "a\u{0}.service" }), "$.name: must have letters"),
        (
            json!({ "name": "a.service", "content": "x".repeat(1 << 20) }),
            "$.content: has 1048576 bytes, 262144 at most",
        ),
        (json!({ "name": "a.service", "frob": 1 }), "frob"),
    ] {
        assert!(told(spec.clone()).contains(why), "{spec}: {}", told(spec.clone()));
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = read(json!({
        "name": "a.service", "content": "[Service]\nRestart=maybe\nType=x\n", "masked": true, "state": "Active"
    }));
    assert_eq!(problems.unwrap_err().len(), 4);
}

#[test]
fn other_texts_contradict() {
    let of = |text: &str| read(json!({ "name": "a.service", "content": text })).unwrap();
    let (one, other) = (of("[Service]\nExecStart=/a\n"), of("[Service]\nExecStart=/b\n"));
    assert!(one.contradicts(&other) && !one.contradicts(&one));
    let bare = read(json!({ "name": "a.service", "state": "Active" })).unwrap();
    assert!(!one.contradicts(&bare) && !bare.contradicts(&one));
}
