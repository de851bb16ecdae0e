//! What is wrong, or meant badly, is refused with its reason, and changes nothing on the device.

use serde_json::{Value, json};

use crate::rig::Rig;

/// All that a bad manifest might have changed, in the words of tools that are not ours.
const SEEN: &str = "find /etc /usr/lib/systemd -newer /var/lib/holdfast/mark ! -type d; \
     ip -oneline address show scope global | sed 's, valid_lft.*,,'; ip route show; ip -oneline link | wc -l; systemctl list-units --all --plain --no-legend 'x*' 'evil*'";
/// Not more than a server takes, and than a manifest may be.
const LONG: usize = 900 * 1024;

fn unit(spec: Value) -> (&'static str, Value) {
    ("SystemdUnit", spec)
}

fn link(spec: Value) -> (&'static str, Value) {
    ("NetworkConfig", spec)
}

fn bridge(name: &str, ipv4: Value) -> (&'static str, Value) {
    link(json!({ "match": { "name": name }, "type": "Bridge", "confirm": { "within": "5s" }, "ipv4": ipv4 }))
}

#[tokio::test]
async fn what_is_meant_badly_is_refused_with_its_reason_and_changes_nothing() {
    let rig =
        Rig::prepared("ip link add docker0 type bridge; ip address add 172.30.0.1/16 dev docker0").await;
    let own = rig.board.sh("cat /sys/class/net/docker0/address").await;
    rig.board.sh("touch /var/lib/holdfast/mark").await;
    let before = rig.board.sh(SEEN).await;
    let service = "[Service]\nExecStart=/bin/true\n";
    let with_drop_in = |name: &str| unit(json!({ "name": "x.service", "dropIns": { name: service } }));
    let bad = [
        (unit(json!({ "name": "../x.service", "content": service })), "InvalidSpec"),
        (unit(json!({ "name": "x/y.service", "content": service })), "InvalidSpec"),
        (unit(json!({ "name": "x\0.service", "content": service })), "InvalidSpec"),
        (unit(json!({ "name": "x.service\nevil.service", "content": service })), "InvalidSpec"),
        (unit(json!({ "name": "x", "content": service })), "InvalidSpec"),
        (unit(json!({ "name": "x.service", "content": "[Service]\0" })), "InvalidSpec"),
        (
            unit(json!({ "name": "x1.service", "content": service.repeat(LONG / service.len()) })),
            "InvalidSpec",
        ),
        (with_drop_in("../../evil.conf"), "InvalidSpec"),
        (with_drop_in("a\n[Service]\nExecStart=/bin/false.conf"), "InvalidSpec"),
        (unit(json!({ "name": "holdfast.service", "state": "Inactive" })), "Protected"),
        (unit(json!({ "name": "dbus.service", "masked": true })), "Protected"),
        (link(json!({ "match": { "name": "a234567890123456" } })), "InvalidSpec"),
        (link(json!({ "match": { "name": "eth0\n[Match]" } })), "InvalidSpec"),
        (link(json!({ "match": { "name": "lo" }, "state": "Down" })), "InvalidSpec"),
        (link(json!({ "match": { "mac": "00:00:00:00:00:00" } })), "InvalidSpec"),
        (link(json!({ "match": { "mac": own }, "state": "Down" })), "Protected"),
        (bridge("x0", json!({ "addresses": ["10.91.0.1/24", "10.91.0.1/16"] })), "InvalidSpec"),
        (bridge("x1", json!({ "addresses": ["10.92.0.1/24"] })), "SharedAddress"),
        (bridge("x2", json!({ "addresses": ["10.92.0.1/16"] })), "SharedAddress"),
        (
            bridge(
                "x3",
                json!({ "addresses": ["10.93.0.1/24"], "routes": [{ "to": "10.94.0.0/16", "via": "10.95.0.1" }] }),
            ),
            "InvalidSpec",
        ),
    ];
    let resources: Vec<_> = bad
        .iter()
        .enumerate()
        .map(|(number, ((kind, spec), _))| json!({ "id": format!("bad-{number}"), "kind": kind, "spec": spec }))
        .collect();
    let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": 1, "resources": resources });
    // The way of a control plane that checks nothing.
    rig.fleet.put_desired(&rig.board.id, manifest.to_string()).await;
    let mut told = Vec::new();
    for (number, (entry, reason)) in bad.iter().enumerate() {
        let it = rig.resource(&format!("bad-{number}"), "it is refused", |it| it.error.is_some()).await;
        let error = it.error.unwrap();
        if error.reason != *reason {
            let entry = entry.1.to_string();
            told.push(format!(
                "{}: {} ({}), not {reason}",
                &entry[..entry.len().min(120)],
                error.reason,
                error.message
            ));
        }
    }
    assert!(told.is_empty(), "{told:#?}");
    assert_eq!(rig.board.sh(SEEN).await, before);
}
