use manifest_types::kinds::container::ContainerSpec;
use serde_json::{Value, json};

use super::*;

fn spec(more: Value) -> ContainerSpec {
    let mut spec = json!({ "image": "web:1" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// The paths where a container that was made from `born` and is still like that differs from `wanted`; those that need a new one are marked.
fn between(born: Value, wanted: Value) -> Vec<String> {
    let (born, wanted) = (Shape::wanted(&spec(born)), Shape::wanted(&spec(wanted)));
    let told = |difference: Difference| {
        let replaces = if difference.in_place { "" } else { " !" };
        format!("{}{replaces}", difference.path)
    };
    wanted.differences(&born, &Birth::of(&born)).into_iter().map(told).collect()
}

#[test]
fn each_change_of_a_spec_is_a_difference_and_says_whether_it_needs_a_new_container() {
    for (born, wanted, paths) in [
        (json!({}), json!({}), &[][..]),
        (json!({ "env": { "A": "1" } }), json!({ "env": { "A": "2" } }), &["env.A !"]),
        (json!({ "env": { "A": "1", "B": "2" } }), json!({ "env": { "B": "2" } }), &["env.A !"]),
        (json!({}), json!({ "user": "1000" }), &["user !"]),
        (json!({ "user": "1000" }), json!({}), &["user !"]),
        (json!({ "sysctls": { "net.a": "1" } }), json!({}), &["sysctls.net.a !"]),
        (
            json!({ "resources": { "memory": "64Mi" } }),
            json!({ "resources": { "memory": "32Mi" } }),
            &["resources.memory"],
        ),
        (json!({ "resources": { "memory": "64Mi" } }), json!({}), &["resources.memory !"]),
        (json!({ "resources": { "pids": 5 } }), json!({}), &["resources.pids"]),
        (json!({}), json!({ "restartPolicy": "No" }), &["restartPolicy"]),
        (
            json!({ "networks": [{ "name": "a" }, { "name": "b" }] }),
            json!({ "networks": [{ "name": "a" }] }),
            &["networks.b"],
        ),
        (
            json!({}),
            json!({ "networks": [{ "name": "a" }] }),
            &["networkMode !", "networks.a", "networks.bridge"],
        ),
        (
            json!({ "ports": [{ "container": 80, "host": 80 }] }),
            json!({ "ports": [{ "container": 80, "host": 81 }] }),
            &["ports.80/tcp !"],
        ),
        (
            json!({ "ports": [{ "container": 80, "host": 80 }] }),
            json!({ "ports": [{ "container": 80 }] }),
            &[],
        ),
        (json!({ "stopSignal": "SIGINT" }), json!({ "stopSignal": "2" }), &[]),
        (json!({ "stopSignal": "SIGRTMIN+3" }), json!({ "stopSignal": "37" }), &[]),
        (json!({ "resources": { "cpus": 0.33333 } }), json!({ "resources": { "cpus": 0.333333 } }), &[]),
        (
            json!({ "resources": { "cpus": 0.3 } }),
            json!({ "resources": { "cpus": 0.31 } }),
            &["resources.cpus"],
        ),
        (
            json!({ "capabilities": { "add": ["NET_ADMIN"] } }),
            json!({ "capabilities": { "add": ["CAP_NET_ADMIN"] } }),
            &[],
        ),
        (json!({ "groups": ["a", "b"] }), json!({ "groups": ["b", "a"] }), &[]),
        (json!({ "command": ["a", "b"] }), json!({ "command": ["b", "a"] }), &["command !"]),
        (
            json!({ "mounts": [{ "type": "Volume", "source": "a", "target": "/a" }] }),
            json!({ "mounts": [{ "type": "Volume", "source": "a", "target": "/a", "readOnly": true }] }),
            &["mounts./a !"],
        ),
    ] {
        assert_eq!(between(born.clone(), wanted.clone()), paths, "{born} -> {wanted}");
    }
}

#[test]
fn what_an_engine_adds_or_does_not_tell_is_no_difference() {
    let wanted = Shape::wanted(&spec(json!({
        "networks": [{ "name": "a", "aliases": ["www"], "ip": ["10.0.0.5"] }], "securityOpt": ["no-new-privileges"], "init": true
    })));
    let mut seen = wanted.clone();
    seen.set("networks.a.aliases", json!(["0123456789ab", "www"]));
    seen.set("securityOpt", json!(["label=disable", "no-new-privileges"]));
    seen.set("hostname", "0123456789ab");
    seen.variable("PATH", "/bin");
    seen.unset_below("networks.a.ip");
    seen.unset_below("init");
    let birth = Birth::parse(&Birth::of(&wanted).to_string());
    assert_eq!(birth, Birth::of(&wanted));
    assert_eq!(wanted.differences(&seen, &birth), []);
    let paths = |wanted: &Shape, birth: &Birth| -> Vec<_> {
        wanted.differences(&seen, birth).into_iter().map(|difference| difference.path).collect()
    };
    assert_eq!(paths(&wanted, &Birth::default()), ["init"], "without its birth nothing is known of it");
    let without = Shape::wanted(&spec(json!({ "networks": [{ "name": "a" }] })));
    assert_eq!(paths(&without, &birth), ["init", "securityOpt"]);
}

#[test]
fn what_no_spec_can_name_is_a_difference_all_the_same() {
    let wanted = Shape::wanted(&spec(json!({ "resources": { "memory": "64Mi" } })));
    for (path, in_place) in [
        ("networks.other", true),
        ("resources.cpuset", false),
        ("resources.blkioWeight", false),
        ("resources.memorySwap", true),
    ] {
        let mut seen = wanted.clone();
        seen.set(path, true);
        let told = wanted.differences(&seen, &Birth::of(&wanted));
        assert_eq!(told, [Difference { path: path.into(), want: Value::Null, got: json!(true), in_place }]);
    }
}

#[test]
fn a_birth_that_says_less_than_is_asked_today_is_no_reason_for_another_container() {
    let wanted = Shape::wanted(&spec(json!({ "networks": [{ "name": "a" }] })));
    let mut seen = wanted.clone();
    seen.unset_below("networkMode");
    let older = Birth::of(&wanted)
        .to_string()
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(wanted.differences(&seen, &Birth::parse(&older)), []);
}

#[test]
fn no_secret_is_in_a_shape_or_in_the_mark_of_a_birth() {
    let wanted = Shape::wanted(&spec(json!({ "env": { "PASSWORD": "hunter2" } })));
    let told = format!("{wanted:?} {}", Birth::of(&wanted));
    assert!(told.contains("env.PASSWORD") && !told.contains("hunter2"), "{told}");
}

#[test]
fn an_address_of_hardware_is_given_at_birth() {
    let mac = "02:42:ac:11:00:02";
    let wanted = Shape::wanted(&spec(json!({ "networks": [{ "name": "a", "mac": mac }] })));
    let told = |seen: &Shape| -> Vec<_> {
        let differences = wanted.differences(seen, &Birth::default());
        differences.into_iter().map(|found| (found.path, found.in_place)).collect()
    };
    let mut seen = wanted.clone();
    seen.set("networks.a.mac", "02:42:ac:11:00:03");
    assert_eq!(told(&seen), [("networks.a.mac".to_owned(), false)]);
    // Somebody has taken it out of its network: it goes back in.
    seen.unset_below("networks.a");
    assert_eq!(told(&seen), [("networks.a".to_owned(), true)]);
}
