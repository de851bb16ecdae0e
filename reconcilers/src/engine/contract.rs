//! What every engine promises, as tests over any: the fake, Docker, and Podman.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use manifest_types::kinds::{
    container::ContainerSpec, container_network::ContainerNetworkSpec, engine::Texts, volume::VolumeSpec,
};
use serde_json::{Value, json};

pub use self::{
    choices::{what_is_left_to_the_engine_is_its_choice, who_is_shared_with_is_told_by_name},
    full::full,
    names::{fresh, listed},
    others::{Pause, what_is_offered_is_pulled, what_was_paused_goes_on},
};
use super::{
    Answer, ContainerEngine, NewContainer,
    error::{Cause, EngineError},
    last_output,
    shape::{Birth, Shape},
    terms::{Activity, Container, Printed, Subject},
};

mod choices;
mod full;
mod names;
mod others;

/// How long an engine may take to tell of something.
const SOON: Duration = Duration::from_secs(20);

/// An engine under test.
#[derive(Debug)]
pub struct Rig<E> {
    /// The engine.
    pub engine: E,
    /// An image that it has, with a shell.
    pub image: String,
    /// Whether limits can be changed in place.
    pub adjusts: bool,
    /// Whether it knows annotations.
    pub annotates: bool,
    /// Whether it does what only Docker does: chooses one port out of some, and gives a container the network of another one.
    pub is_docker: bool,
    /// How somebody else pauses a container there.
    pub pause: Pause,
}

/// Makes a test of every promise for a rig.
#[macro_export]
macro_rules! engine_promises {
    ($rig:expr) => {
        $crate::engine_promises!(@each $rig;
            a_container_is_made_started_stopped_and_removed,
            what_ends_tells_its_code,
            what_was_paused_goes_on,
            a_name_is_given_once,
            what_is_not_there_is_none,
            every_setting_is_read_back,
            limits_change_in_place_or_are_refused,
            who_is_shared_with_is_told_by_name,
            what_is_left_to_the_engine_is_its_choice,
            networks_are_made_joined_left_and_removed,
            volumes_are_made_and_removed_when_nothing_uses_them,
            what_happens_is_told,
            who_leaves_a_network_is_told,
            programs_are_run_in_containers,
            images_are_listed_and_not_removed_while_they_are_used,
        );
    };
    (@each $rig:expr; $($promise:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::engine::contract::$promise(&$rig.await).await;
            }
        )+
    };
}

impl<E: ContainerEngine> Rig<E> {
    /// A spec of this rig's image, with `more` in it.
    pub fn spec(&self, more: Value) -> ContainerSpec {
        let mut spec = json!({ "image": self.image, "command": ["sleep", "10000"], "restartPolicy": "No" });
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().expect("it is one").extend(more);
        serde_json::from_value(spec).expect("the contract writes good specs")
    }

    async fn make(&self, name: &str, spec: &ContainerSpec) -> Answer<String> {
        let marks = Texts::from([("holdfast.agent-id".to_owned(), "contract".to_owned())]);
        self.engine.create(&NewContainer { name, spec, marks: &marks }).await
    }

    async fn see(&self, name: &str) -> Container {
        self.engine.container(name).await.expect("the engine answers").expect("it is there")
    }

    async fn until(&self, name: &str, what: &str, is: impl Fn(&Container) -> bool) -> Container {
        let wait = async {
            loop {
                let container = self.see(name).await;
                if is(&container) {
                    return container;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{name} is not {what}"))
    }
}

/// This moment, as engines tell it.
fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).expect("it is not 2262 yet")
}

fn cause<T: std::fmt::Debug>(answer: Answer<T>) -> Cause {
    let error = answer.expect_err("it is refused");
    error.cause().unwrap_or_else(|| panic!("{error}"))
}

/// A container goes from made to gone, and each call can be made twice.
pub async fn a_container_is_made_started_stopped_and_removed<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("lives");
    let id = rig.make(&name, &rig.spec(json!({}))).await.expect("the engine does as it is asked");
    let all = listed(&rig.engine).await;
    let own = all.iter().find(|listed| listed.id == id).expect("it is listed");
    assert_eq!((own.name.as_str(), own.activity), (name.as_str(), Activity::Created));
    assert_eq!(own.labels["holdfast.agent-id"], "contract");
    let made = rig.see(&name).await;
    let image = rig
        .engine
        .image(&made.image)
        .await
        .expect("the engine does as it is asked")
        .expect("its image is there");
    assert_eq!((&made.id, &made.image_id, &own.image_id), (&id, &image.id, &image.id));
    for _ in 0..2 {
        rig.engine.start(&id).await.expect("the engine does as it is asked");
    }
    let running = rig.see(&id).await;
    assert_eq!(running.state.activity, Activity::Running);
    assert!(running.state.started_at.is_some());
    for _ in 0..2 {
        rig.engine.stop(&id, Duration::from_secs(1)).await.expect("the engine does as it is asked");
    }
    assert_eq!(rig.see(&name).await.state.activity, Activity::Exited);
    for _ in 0..2 {
        rig.engine.remove(&id).await.expect("the engine does as it is asked");
    }
    assert_eq!(rig.engine.container(&name).await.expect("the engine does as it is asked"), None);
    assert!(listed(&rig.engine).await.iter().all(|listed| listed.id != id));
}

/// With what something ended is told.
pub async fn what_ends_tells_its_code<E: ContainerEngine>(rig: &Rig<E>) {
    for code in [0, 3] {
        let name = fresh("ends");
        let spec = rig.spec(json!({ "command": ["sh", "-c", format!("exit {code}")] }));
        let id = rig.make(&name, &spec).await.expect("the engine does as it is asked");
        rig.engine.start(&id).await.expect("the engine does as it is asked");
        let ended = rig.until(&name, "ended", |own| own.state.activity == Activity::Exited).await;
        assert_eq!(ended.state.exit_code, code);
        assert!(ended.state.finished_at.is_some());
        rig.engine.remove(&id).await.expect("the engine does as it is asked");
    }
}

/// Two containers never have one name.
pub async fn a_name_is_given_once<E: ContainerEngine>(rig: &Rig<E>) {
    let (one, other) = (fresh("one"), fresh("other"));
    let spec = rig.spec(json!({}));
    let id = rig.make(&one, &spec).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.make(&one, &spec).await), Cause::InConflict);
    let second = rig.make(&other, &spec).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.engine.rename(&second, &one).await), Cause::InConflict);
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    rig.engine.rename(&second, &one).await.expect("the engine does as it is asked");
    assert_eq!(rig.see(&one).await.id, second);
    rig.engine.start(&second).await.expect("the engine does as it is asked");
    let third = fresh("third");
    rig.engine.rename(&second, &third).await.expect("what runs can be renamed, too");
    assert_eq!(rig.see(&third).await.id, second);
    rig.engine.remove(&second).await.expect("the engine does as it is asked");
}

/// Absence is a value where it is asked for, and an error where something is to be done.
pub async fn what_is_not_there_is_none<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("absent");
    assert_eq!(rig.engine.container(&name).await.expect("the engine does as it is asked"), None);
    assert_eq!(
        rig.engine
            .image(&format!("localhost/holdfast/{name}:1"))
            .await
            .expect("the engine does as it is asked"),
        None
    );
    assert_eq!(cause(rig.engine.start(&name).await), Cause::NotFound);
    assert_eq!(cause(rig.engine.stop(&name, SOON).await), Cause::NotFound);
    // Nor is what only begins like an id, of one or of several.
    let bare = rig.spec(json!({}));
    let mut ids = Vec::new();
    for _ in 0..17 {
        ids.push(rig.make(&fresh("many"), &bare).await.expect("the engine does as it is asked"));
    }
    let beginnings: BTreeSet<_> =
        [1, 2, 12].iter().flat_map(|length| ids.iter().filter_map(|id| id.get(..*length))).collect();
    for beginning in beginnings.into_iter().filter(|beginning| ids.iter().all(|id| id != beginning)) {
        let found = rig.engine.container(beginning).await.expect("the engine does as it is asked");
        assert_eq!(found, None, "{beginning}");
    }
    for id in &ids {
        rig.engine.remove(id).await.expect("the engine does as it is asked");
    }
    let spec = rig.spec(json!({ "image": format!("localhost/holdfast/{name}:1") }));
    assert_eq!(cause(rig.make(&name, &spec).await), Cause::ImageNotFound);
    let spec = rig.spec(json!({ "networks": [{ "name": name }] }));
    assert_eq!(cause(create_and_start(rig, &name, &spec).await), Cause::NetworkNotFound);
    rig.engine.remove(&name).await.expect("the engine does as it is asked");
}

async fn create_and_start<E: ContainerEngine>(rig: &Rig<E>, name: &str, spec: &ContainerSpec) -> Answer<()> {
    let id = rig.make(name, spec).await?;
    rig.engine.start(&id).await
}

/// What was set is what is read, before and after the start, however often.
pub async fn every_setting_is_read_back<E: ContainerEngine>(rig: &Rig<E>) {
    let (network, volume, name) = (fresh("net"), fresh("vol"), fresh("full"));
    // Engines of one machine share its addresses.
    let subnet = format!(
        "10.61.{}",
        fresh("").bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
    );
    let ipam = json!({ "ipam": { "pools": [{ "subnet": format!("{subnet}.0/24") }] } });
    let of_network: ContainerNetworkSpec =
        serde_json::from_value(ipam).expect("the contract writes good specs");
    rig.engine
        .create_network(&network, &of_network, &Texts::new())
        .await
        .expect("the engine does as it is asked");
    let of_volume: VolumeSpec = serde_json::from_value(json!({})).expect("the contract writes good specs");
    rig.engine
        .create_volume(&volume, &of_volume, &Texts::new())
        .await
        .expect("the engine does as it is asked");
    let spec = rig.spec(full(rig.annotates, &network, &volume, &format!("{subnet}.5")));
    let bare = rig.spec(json!({}));
    let bare_name = fresh("bare");
    for (name, spec) in [(&name, &spec), (&bare_name, &bare)] {
        let id = rig.make(name, spec).await.expect("the engine does as it is asked");
        let wanted = Shape::wanted(spec);
        let read = |own: &Container| wanted.differences(&own.shape, &Birth::of(&wanted));
        assert_eq!(read(&rig.see(name).await), [], "{name} when it was made");
        rig.engine.start(&id).await.expect("the engine does as it is asked");
        for _ in 0..3 {
            assert_eq!(read(&rig.see(name).await), [], "{name} when it runs");
        }
        rig.engine.stop(&id, Duration::ZERO).await.expect("the engine does as it is asked");
        assert_eq!(read(&rig.see(name).await), [], "{name} when it was stopped");
        rig.engine.remove(&id).await.expect("the engine does as it is asked");
    }
    rig.engine.remove_network(&network).await.expect("the engine does as it is asked");
    rig.engine.remove_volume(&volume).await.expect("the engine does as it is asked");
}

/// Limits and restart policy change without a new container, where the engine can do that.
pub async fn limits_change_in_place_or_are_refused<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("limits");
    let spec = rig.spec(json!({ "resources": { "memory": "64Mi" } }));
    let id = rig.make(&name, &spec).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let more = rig.spec(json!({ "resources": { "memory": "256Mi", "cpus": 0.25, "pids": 50 }, "restartPolicy": "UnlessStopped" }));
    let answer = rig.engine.adjust(&id, &super::terms::Adjustment::of(&more)).await;
    if rig.adjusts {
        answer.expect("the engine does as it is asked");
        let seen = rig.see(&name).await;
        assert_eq!(Shape::wanted(&more).differences(&seen.shape, &Birth::default()), []);
        assert_eq!((seen.id, seen.state.activity), (id.clone(), Activity::Running));
    } else {
        assert!(matches!(answer, Err(EngineError::Unsupported { .. })), "{answer:?}");
    }
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
}

/// A network has its containers while they are in it.
pub async fn networks_are_made_joined_left_and_removed<E: ContainerEngine>(rig: &Rig<E>) {
    let (network, name) = (fresh("net"), fresh("joins"));
    let spec: ContainerNetworkSpec =
        serde_json::from_value(json!({ "internal": true, "labels": { "a": "b" } }))
            .expect("the contract writes good specs");
    rig.engine.create_network(&network, &spec, &Texts::new()).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.engine.create_network(&network, &spec, &Texts::new()).await), Cause::InConflict);
    let all = rig.engine.networks().await.expect("the engine does as it is asked");
    let seen = all.iter().find(|own| own.name == network).expect("it is listed");
    assert!(seen.internal && seen.driver == "bridge" && seen.labels["a"] == "b", "{seen:?}");
    let id = rig
        .make(&name, &rig.spec(json!({ "networks": [{ "name": network }] })))
        .await
        .expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.engine.remove_network(&network).await), Cause::InConflict);
    for _ in 0..2 {
        rig.engine.disconnect(&id, &network).await.expect("the engine does as it is asked");
    }
    let path = format!("networks.{network}");
    assert_eq!(rig.see(&name).await.shape.get(&path), None);
    let back: manifest_types::kinds::container::Attachment =
        serde_json::from_value(json!({ "name": network, "aliases": ["again"] }))
            .expect("the contract writes good specs");
    rig.engine.connect(&id, &back).await.expect("the engine does as it is asked");
    let shape = rig.see(&name).await.shape;
    let aliases =
        shape.get(&format!("{path}.aliases")).and_then(Value::as_array).cloned().unwrap_or_default();
    let all = listed(&rig.engine).await;
    assert_eq!(
        all.into_iter().find(|listed| listed.id == id).expect("it is listed").networks,
        [network.as_str()]
    );
    assert!(shape.get(&path).is_some() && aliases.contains(&json!("again")), "{aliases:?}");
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    for _ in 0..2 {
        rig.engine.remove_network(&network).await.expect("the engine does as it is asked");
    }
}

/// What is in use is not removed.
pub async fn volumes_are_made_and_removed_when_nothing_uses_them<E: ContainerEngine>(rig: &Rig<E>) {
    let (volume, name) = (fresh("vol"), fresh("uses"));
    let spec: VolumeSpec =
        serde_json::from_value(json!({ "labels": { "a": "b" } })).expect("the contract writes good specs");
    for _ in 0..2 {
        rig.engine
            .create_volume(&volume, &spec, &Texts::new())
            .await
            .expect("the engine does as it is asked");
    }
    let all = rig.engine.volumes().await.expect("the engine does as it is asked");
    let seen = all.iter().find(|own| own.name == volume).expect("it is listed");
    assert!(seen.driver == "local" && seen.labels["a"] == "b", "{seen:?}");
    let mounts = json!({ "mounts": [{ "type": "Volume", "source": volume, "target": "/data" }] });
    let id = rig.make(&name, &rig.spec(mounts)).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.engine.remove_volume(&volume).await), Cause::InConflict);
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    for _ in 0..2 {
        rig.engine.remove_volume(&volume).await.expect("the engine does as it is asked");
    }
    let all = rig.engine.volumes().await.expect("the engine does as it is asked");
    assert!(all.iter().all(|own| own.name != volume));
}

/// Each change of a container is told, also to those who come later and ask for what they have missed.
pub async fn what_happens_is_told<E: ContainerEngine>(rig: &Rig<E>) {
    rig.engine.identify().await.expect("the engine does as it is asked");
    let name = fresh("told");
    let mut events = rig.engine.events(now());
    let id = rig.make(&name, &rig.spec(json!({}))).await.expect("the engine does as it is asked");
    let about = |subject: &Subject| matches!(subject, Subject::Container { id: own, .. } if *own == id);
    let next =
        async |events: &mut futures_util::stream::BoxStream<'static, Answer<super::terms::EngineEvent>>| {
            let told = async {
                loop {
                    let event: super::terms::EngineEvent =
                        events.next().await.expect("the stream goes on").expect("the engine answers");
                    if about(&event.subject) {
                        return event;
                    }
                }
            };
            tokio::time::timeout(SOON, told).await.expect("it is told soon")
        };
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let first = next(&mut events).await;
    drop(events);
    rig.engine.stop(&id, Duration::ZERO).await.expect("the engine does as it is asked");
    let mut again = rig.engine.events(first.at);
    let mut later = next(&mut again).await;
    while later.at <= first.at {
        later = next(&mut again).await;
    }
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    next(&mut again).await;
}

/// A program's end is told, and what a container prints.
pub async fn programs_are_run_in_containers<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("runs");
    let spec = rig.spec(json!({ "command": ["sh", "-c", "echo the fake was here; exec sleep 10000"] }));
    let id = rig.make(&name, &spec).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let codes: BTreeMap<&str, i64> = BTreeMap::from([("true", 0), ("false", 1)]);
    for (program, code) in codes {
        assert_eq!(
            rig.engine.run_in(&id, &[program.to_owned()]).await.expect("the engine does as it is asked"),
            code
        );
    }
    let printed = async {
        while last_output(&rig.engine, &id, 2048).await.expect("the engine does as it is asked")
            != "the fake was here"
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, printed).await.expect("what it prints is told");
    assert_eq!(last_output(&rig.engine, &id, 4).await.expect("the engine does as it is asked"), "here");
    let wanted = Printed { last: Some(1), since: None, follow: true };
    let mut followed = rig.engine.output(&id, &wanted).await.expect("the engine does as it is asked");
    let first = tokio::time::timeout(SOON, followed.next()).await.expect("what it printed is told");
    assert_eq!(first.expect("it has printed").expect("it is told").bytes, "the fake was here\n");
    assert!(followed.next().now_or_never().is_none(), "it runs and prints nothing more");
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    let end = tokio::time::timeout(SOON, followed.next()).await.expect("it ends with the container");
    assert!(end.is_none_or(|told| told.is_err()), "nothing was printed at its end");
}

/// That a container leaves a network, and comes back, is told of the container.
pub async fn who_leaves_a_network_is_told<E: ContainerEngine>(rig: &Rig<E>) {
    rig.engine.identify().await.expect("the engine does as it is asked");
    let (network, name) = (fresh("net"), fresh("leaves"));
    let spec = serde_json::from_value(json!({ "internal": true })).expect("the contract writes good specs");
    rig.engine.create_network(&network, &spec, &Texts::new()).await.expect("the engine does as it is asked");
    let spec = rig.spec(json!({ "networks": [{ "name": network }] }));
    let id = rig.make(&name, &spec).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    // Who listens hears nothing of what was before.
    rig.until(&name, "running", |container| container.state.activity == Activity::Running).await;
    for is_back in [false, true] {
        let mut events = rig.engine.events(now());
        match is_back {
            false => rig.engine.disconnect(&id, &network).await,
            true => rig.engine.connect(&id, &spec.networks[0]).await,
        }
        .expect("the engine does as it is asked");
        let is_told = |subject: &Subject| match subject {
            Subject::Container { id: own, .. } | Subject::Network { container: Some(own), .. } => *own == id,
            _ => false,
        };
        let told = async {
            while let Some(event) = events.next().await {
                if is_told(&event.expect("the engine answers").subject) {
                    return;
                }
            }
            panic!("the stream ends");
        };
        tokio::time::timeout(SOON, told).await.unwrap_or_else(|_| panic!("back: {is_back} is not told"));
    }
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    rig.engine.remove_network(&network).await.expect("the engine does as it is asked");
}

/// All images are listed by id, with their names; one in use stays, and one that is not there is as good as removed.
pub async fn images_are_listed_and_not_removed_while_they_are_used<E: ContainerEngine>(rig: &Rig<E>) {
    let id = rig.make(&fresh("uses"), &rig.spec(json!({}))).await.expect("the engine does as it is asked");
    let image = rig.see(&id).await.image_id;
    let listed = rig.engine.images().await.expect("the engine does as it is asked");
    let own = listed.iter().find(|listed| listed.id == image).expect("it is listed");
    assert!(own.names.contains(&rig.image), "{own:?}");
    assert_eq!(cause(rig.engine.remove_image(&image).await), Cause::InConflict);
    assert_eq!(cause(rig.engine.remove_image(&rig.image).await), Cause::InConflict);
    for absent in [format!("localhost/holdfast/{}:1", fresh("none")), format!("sha256:{}", "01".repeat(32))] {
        rig.engine.remove_image(&absent).await.expect("absent already is success");
    }
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
}
