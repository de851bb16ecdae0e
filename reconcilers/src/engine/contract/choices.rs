//! What engines promise of what a spec leaves to them, and of what containers share.

use serde_json::{Value, json};

use super::{Rig, cause, fresh};
use crate::engine::{
    ContainerEngine,
    error::Cause,
    shape::{Birth, Shape},
    terms::Container,
};

/// With whom a container shares namespaces is told by the name of that one, for as long as it is that one.
pub async fn who_is_shared_with_is_told_by_name<E: ContainerEngine>(rig: &Rig<E>) {
    let (host, guest) = (fresh("host"), fresh("guest"));
    let of_host = rig.spec(json!({}));
    let first = rig.make(&host, &of_host).await.expect("the engine does as it is asked");
    rig.engine.start(&first).await.expect("the engine does as it is asked");
    let mut shares = json!({ "pid": format!("container:{host}") });
    if rig.is_docker {
        shares["networkOf"] = host.as_str().into();
    }
    let shares = rig.spec(shares);
    let id = rig.make(&guest, &shares).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let wanted = Shape::wanted(&shares);
    let differing = |seen: &Container| -> Vec<String> {
        let differences = wanted.differences(&seen.shape, &Birth::of(&wanted));
        differences.into_iter().map(|difference| difference.path).collect()
    };
    assert_eq!(differing(&rig.see(&guest).await), Vec::<String>::new());
    rig.engine.rename(&first, &fresh("former")).await.expect("the engine does as it is asked");
    let second = rig.make(&host, &of_host).await.expect("the engine does as it is asked");
    let expected: &[&str] = if rig.is_docker { &["networkMode", "pid"] } else { &["pid"] };
    assert_eq!(differing(&rig.see(&guest).await), expected, "it is another one");
    for id in [id, first, second] {
        rig.engine.remove(&id).await.expect("the engine does as it is asked");
    }
    assert_eq!(cause(rig.make(&guest, &shares).await), Cause::NotFound, "there is none to share with");
}

/// A volume without a name is the container's own, and goes with it; one port of many is the engine's to choose; what is given at birth is there and not compared.
pub async fn what_is_left_to_the_engine_is_its_choice<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("chooses");
    let range = |port| json!({ "container": port, "host": "23000-23010", "ip": "127.0.0.1" });
    let ports = json!([range(80), range(81)]);
    let spec = rig.spec(json!({
        "mounts": [{ "type": "Volume", "target": "/own" }, { "type": "Volume", "target": "/more" }],
        "ports": if rig.is_docker { ports } else { json!([]) },
        "env": { "MODE": "kiosk" }, "initialEnv": { "NAME": "pump" }, "entrypoint": []
    }));
    let wanted = Shape::wanted(&spec);
    let id = rig.make(&name, &spec).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let seen = rig.see(&name).await;
    assert_eq!(wanted.differences(&seen.shape, &Birth::of(&wanted)), []);
    let own = |path| seen.shape.get(path).and_then(Value::as_str).and_then(|text| text.split(' ').nth(1));
    let own: Vec<_> = ["mounts./own", "mounts./more"].into_iter().filter_map(own).collect();
    let there = || async {
        let all = rig.engine.volumes().await.expect("the engine answers");
        all.iter().filter(|volume| own.contains(&volume.name.as_str())).count()
    };
    assert_eq!(there().await, 2);
    let is_given = ["sh", "-c", "test \"$NAME$MODE\" = pumpkiosk"].map(str::to_owned);
    assert_eq!(rig.engine.run_in(&id, &is_given).await.expect("the engine answers"), 0);
    let another = rig.spec(json!({ "initialEnv": { "NAME": "valve" }, "env": { "MODE": "kiosk" } }));
    let told = Shape::wanted(&another).differences(&seen.shape, &Birth::of(&wanted));
    assert!(told.iter().all(|difference| !difference.path.starts_with("env")), "{told:?}");
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    assert_eq!(there().await, 0);
}
