//! Random changes of the manifest, random abuse from outside, an agent that is killed at random: it always converges, with no orphan, no duplicate, and
//! nothing foreign touched.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use e2e::{Device, NatsServer, agent::LONG, fleet, parts, running::Start, until};
use manifest_types::kinds::container::ContainerSpec;
use reconcilers::engine::{
    Answer, ContainerEngine, NewContainer, contract::fresh, docker::Docker, marks, shape::Shape,
    terms::Activity,
};
use serde_json::{Value, json};

use crate::IMAGE;

/// What a seed gives at its turns.
struct Chance(u64, u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.1 += 1;
        let mut hasher = DefaultHasher::new();
        (self.0, self.1).hash(&mut hasher);
        hasher.finish() % limit
    }
}

/// The names of one device in an engine that others use, too.
struct Names(String);

impl Names {
    fn of(&self, name: &str) -> String {
        format!("{}-{name}", self.0)
    }
}

/// The manifest of a turn: containers come and go, and change in ways that need another container, or only a change in place.
fn turn(chance: &mut Chance, names: &Names) -> Value {
    let mut resources = vec![json!({
        "id": "net", "kind": "ContainerNetwork",
        "spec": { "name": names.of("net"), "internal": true, "labels": { "turn": chance.below(3).to_string() } }
    })];
    for name in ["a", "b", "c"] {
        if chance.below(4) == 0 {
            continue;
        }
        let mut spec = json!({
            "name": names.of(name), "image": IMAGE, "env": { "MODE": chance.below(3).to_string() }, "stopGracePeriod": "0s",
            "resources": { "memory": format!("{}Mi", 32 << chance.below(2)) },
            "update": { "strategy": if chance.below(2) == 0 { "StartFirst" } else { "StopFirst" }, "healthyWithin": "20s" }
        });
        if chance.below(2) == 0 {
            spec["networks"] = json!([{ "name": names.of("net"), "aliases": [name] }]);
        } else {
            spec["networkMode"] = json!("None");
        }
        resources.push(json!({ "id": name, "kind": "Container", "dependsOn": ["net"], "spec": spec }));
    }
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources })
}

/// The containers that a manifest wants.
fn wanted(manifest: &Value) -> Vec<(String, ContainerSpec)> {
    let all = manifest["resources"].as_array().unwrap().iter();
    let specs = all.filter(|entry| entry["kind"] == "Container").map(|entry| entry["spec"].clone());
    specs
        .map(|spec| (spec["name"].as_str().unwrap().to_owned(), serde_json::from_value(spec).unwrap()))
        .collect()
}

/// Somebody does something to a container. That it is not there, or cannot be done now, is as good.
async fn abuse(chance: &mut Chance, place: &str, names: &Names) {
    let name = names.of(["a", "b", "c"][chance.below(3) as usize]);
    let (net, other) = (names.of("net"), names.of("renamed"));
    let arguments: Vec<&str> = match chance.below(7) {
        0 => vec!["kill", &name],
        1 => vec!["rm", "--force", &name],
        2 => vec!["pause", &name],
        3 => vec!["rename", &name, &other],
        4 => vec!["network", "disconnect", "--force", &net, &name],
        5 => vec!["update", "--memory", "48m", "--memory-swap", "96m", &name],
        _ => vec!["stop", "--time", "0", &name],
    };
    let mut docker = Start::new("docker", "docker").args(["--host", place]).args(arguments).start();
    docker.wait(LONG).await;
}

/// What is not as it should be.
async fn wrongs(engine: &Docker, names: &Names, manifest: &Value, foreign: &str) -> Vec<String> {
    // Podman's list fails when a container ends while it is made.
    look(engine, names, manifest, foreign).await.unwrap_or_else(|error| vec![error.to_string()])
}

async fn look(engine: &Docker, names: &Names, manifest: &Value, foreign: &str) -> Answer<Vec<String>> {
    let mut wrongs = Vec::new();
    let mut expected: BTreeSet<String> = BTreeSet::from([foreign.to_owned()]);
    for (name, spec) in wanted(manifest) {
        match engine.container(&name).await? {
            None => wrongs.push(format!("{name} is missing")),
            Some(found) => {
                let differences =
                    Shape::wanted(&spec).differences(&found.shape, &marks::birth(&found.labels));
                if !differences.is_empty() || found.state.activity != Activity::Running {
                    wrongs.push(format!("{name} is {}: {differences:?}", found.state.activity));
                }
            }
        }
        expected.insert(name);
    }
    let all = engine.containers().await?.into_iter().map(|listed| listed.name);
    let there: BTreeSet<_> = all.filter(|name| name.starts_with(&names.0)).collect();
    if there != expected {
        wrongs.push(format!("there are {there:?}, not {expected:?}"));
    }
    let networks = engine.networks().await?.into_iter().map(|network| network.name);
    let own: Vec<_> = networks.filter(|name| name.starts_with(&names.0)).collect();
    let is_wanted = !manifest["resources"].as_array().unwrap().is_empty();
    if own != Vec::from_iter(is_wanted.then(|| names.of("net"))) {
        wrongs.push(format!("there are the networks {own:?}"));
    }
    Ok(wrongs)
}

async fn it_always_converges(place: String, rounds: u64) {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let names = Names(fresh("seed"));
    let engine = Docker::new(vec![place.clone()]);
    let device = Device::with_flags(&names.0, &["--nats-url", &server.url(), "--docker-host", &place]);
    let foreign = names.of("foreign");
    let spec: ContainerSpec =
        serde_json::from_value(json!({ "image": IMAGE, "networkMode": "None" })).unwrap();
    let none = Default::default();
    let theirs = engine.create(&NewContainer { name: &foreign, spec: &spec, marks: &none }).await.unwrap();
    engine.start(&theirs).await.unwrap();
    let started = engine.container(&theirs).await.unwrap().unwrap().state.started_at;

    let mut agent = device.start();
    let mut manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [] });
    let mut generation = 0;
    for seed in 0..rounds {
        let mut chance = Chance(seed, 0);
        if chance.below(3) > 0 {
            manifest = turn(&mut chance, &names);
            generation = fleet.apply(&device.id, &manifest).await.generation.get();
        }
        for _ in 0..chance.below(3) {
            tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
            abuse(&mut chance, &place, &names).await;
        }
        if chance.below(2) == 0 {
            tokio::time::sleep(Duration::from_millis(chance.below(600))).await;
            agent.kill();
            agent = device.start();
        }
        let is_right = async || wrongs(&engine, &names, &manifest, &foreign).await.is_empty();
        let what = format!("seed {seed} converges: {manifest}");
        if tokio::time::timeout(LONG, until(what.clone(), 2 * LONG, is_right)).await.is_err() {
            panic!("{what}: {:?}", wrongs(&engine, &names, &manifest, &foreign).await);
        }
        if generation > 0 {
            device.ready(&fleet, generation).await;
        }
    }
    fleet
        .apply(&device.id, &json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [] }))
        .await;
    device.ready(&fleet, generation + 1).await;
    let left = engine.container(&theirs).await.unwrap().expect("what is foreign is there");
    assert_eq!((left.state.activity, left.state.started_at), (Activity::Running, started));
    engine.remove(&theirs).await.unwrap();
}

#[tokio::test]
async fn whatever_happens_it_converges_on_docker() {
    it_always_converges(parts::docker(), parts::rounds(24)).await;
}

#[tokio::test]
async fn whatever_happens_it_converges_on_podman() {
    it_always_converges(parts::podman(), parts::rounds(10)).await;
}
