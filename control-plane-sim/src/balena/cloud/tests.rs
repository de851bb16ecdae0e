use super::*;
use crate::balena::admin::{ChangedDevice, ChangedFleet, NewFleet};

const UUID: &str = "5e0d1f0c9a7b4c6f8d2e3a4b5c6d7e8f";
const OTHER: &str = "ffffffffffffffffffffffffffffffff";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fleet with a device, whose key is `key`; the fleet's own is `fleet`.
fn cloud() -> Cloud {
    let mut cloud = Cloud::default();
    let new = NewFleet {
        id: Some(1),
        name: "shop".into(),
        device_type: "x".into(),
        provisioning_key: Some("fleet".into()),
    };
    assert_eq!(cloud.add_fleet(new).status, 201);
    assert_eq!(cloud.register("fleet", &registration(UUID, "key")).status, 201);
    cloud
}

fn registration(uuid: &str, key: &str) -> Value {
    json!({ "application": 1, "uuid": uuid, "device_type": "x", "api_key": key })
}

fn release(cloud: &mut Cloud, compose: Value) -> String {
    match cloud.add_release(1, &compose).body {
        Body::Json(told) => told["commit"].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn document(cloud: &mut Cloud) -> Value {
    match cloud.state("key", UUID, at(0)).body {
        Body::Json(document) => document,
        other => panic!("{other:?}"),
    }
}

#[test]
fn registration_is_answered_as_the_real_one_does() {
    let mut cloud = cloud();
    for (key, body, status) in [
        ("fleet", registration(UUID, "key"), 409),
        ("fleet", registration(OTHER, "key"), 409),
        ("wrong", registration(OTHER, "new"), 401),
        ("fleet", registration("short", "new"), 400),
        ("fleet", json!({ "application": "one", "uuid": OTHER, "device_type": "x" }), 400),
        ("fleet", json!({ "application": 1, "uuid": OTHER, "device_type": "y" }), 404),
        ("fleet", json!({ "application": "1", "uuid": OTHER, "device_type": "x" }), 201),
    ] {
        assert_eq!(cloud.register(key, &body).status, status, "{body}");
    }
    let taken = |cloud: &mut Cloud, uuid| cloud.register("fleet", &registration(uuid, "key")).body;
    assert_eq!(taken(&mut cloud, UUID), Body::Html("\"uuid\" must be unique.".into()), "it is told first");
    cloud.delete_device(UUID);
    assert_eq!(
        cloud.register("fleet", &registration(UUID, "key")).status,
        201,
        "a deleted one comes back at once"
    );
}

#[test]
fn a_device_is_seen_by_itself_and_by_its_fleet() {
    let mut cloud = cloud();
    let found = |cloud: &Cloud, key, uuid| match cloud.find(key, uuid) {
        Answer { status: 200, body: Body::Json(body) } => Ok(body["d"].as_array().unwrap().len()),
        Answer { status, .. } => Err(status),
    };
    assert_eq!(found(&cloud, "key", UUID), Ok(1));
    assert_eq!(found(&cloud, "fleet", UUID), Ok(1));
    assert_eq!(found(&cloud, "key", OTHER), Ok(0));
    assert_eq!(found(&cloud, "wrong", UUID), Err(401));
    assert_eq!(cloud.exchange("key", 1, &json!({ "apiKey": "new" })).status, 401);
    assert_eq!(cloud.exchange("fleet", 1, &json!({ "apiKey": "new" })).status, 200);
    assert_eq!(found(&cloud, "new", UUID), Ok(1));
}

#[test]
fn a_key_that_was_refused_is_refused_for_ten_minutes() {
    let mut cloud = cloud();
    assert_eq!(cloud.state("key", UUID, at(0)).status, 200);
    cloud.change_device(UUID, ChangedDevice { key: Some("new".into()), ..ChangedDevice::default() });
    assert_eq!(cloud.state("key", UUID, at(10)).status, 401);
    cloud.change_device(UUID, ChangedDevice { key: Some("key".into()), ..ChangedDevice::default() });
    assert_eq!(cloud.state("key", UUID, at(609)).status, 401);
    assert_eq!(cloud.state("key", UUID, at(610)).status, 200);
    // Of what is not there nothing has changed, whoever asks; and so of what is frozen.
    assert_eq!(cloud.state("whatever", OTHER, at(0)), Answer::bare(304));
    cloud.change_device(UUID, ChangedDevice { frozen: Some(true), ..ChangedDevice::default() });
    assert_eq!(cloud.state("key", UUID, at(700)), Answer::bare(304));
    assert_eq!(cloud.report("key", &json!({ UUID: { "status": "Idle" } }), at(700)).status, 401);
}

#[test]
fn variables_and_labels_are_merged() {
    let mut cloud = cloud();
    let commit = release(
        &mut cloud,
        json!({ "services": { "web": { "image": "R.example/Web:1", "labels": ["a=b"], "build": ".", "ports": ["80:80"] } }, "volumes": { "data": {} } }),
    );
    let texts = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    let fleet = ChangedFleet {
        variables: texts(&[("A", "fleet"), ("B", "fleet")]),
        config: texts(&[("RESIN_SUPERVISOR_UPDATE_STRATEGY", "hand-over")]),
        ..ChangedFleet::default()
    };
    cloud.change_fleet(1, fleet);
    let service = Some([("web".to_owned(), texts(&[("C", "service")]).unwrap())].into());
    let device = ChangedDevice {
        variables: texts(&[("B", "device"), ("C", "device")]),
        service_variables: service,
        ..ChangedDevice::default()
    };
    cloud.change_device(UUID, device);
    let document = document(&mut cloud);
    let app = &document[UUID]["apps"][&cloud.fleets[&1].uuid];
    let web = &app["releases"][&commit]["services"]["web"];
    assert_eq!(web["environment"], json!({ "A": "fleet", "B": "device", "C": "service" }));
    assert_eq!(web["labels"], json!({ "a": "b", "io.resin.update.strategy": "hand-over" }));
    assert_eq!((&web["image"], &web["composition"]["ports"]), (&json!("r.example/web:1"), &json!(["80:80"])));
    assert!(web["composition"].get("build").is_none());
    assert_eq!(document[UUID]["config"]["RESIN_SUPERVISOR_POLL_INTERVAL"], "600000");
}

#[test]
fn a_report_is_taken_whole_or_not_at_all() {
    let mut cloud = cloud();
    let commit = release(
        &mut cloud,
        json!({ "services": { "web": { "image": "web:1" }, "db": { "image": "db:1" } } }),
    );
    let fleet = cloud.fleets[&1].uuid.clone();
    let line = |image: &str| json!({ "image": image, "status": "Running" });
    let report = |apps: Value| json!({ UUID: { "status": "Idle", "apps": apps } });
    let whole = json!({ fleet.as_str(): { "release_uuid": commit, "releases": { commit.as_str(): { "update_status": "done", "services": { "web": line("web:1"), "db": line("db:1") } } } } });
    for (body, status) in [
        (report(whole.clone()), 200),
        (report(json!({ "dddd": { "releases": {} } })), 401),
        (report(json!({ fleet.as_str(): { "releases": { "none": {} } } })), 401),
        (report(json!({ fleet.as_str(): { "release_uuid": "none" } })), 401),
        (
            report(
                json!({ fleet.as_str(): { "releases": { commit.as_str(): { "services": { "web": line("other") } } } } }),
            ),
            401,
        ),
        (
            report(
                json!({ fleet.as_str(): { "releases": { commit.as_str(): { "update_status": "bogus" } } } }),
            ),
            400,
        ),
        (json!({ UUID: { "mac_address": null } }), 400),
        (json!({}), 401),
        (json!([]), 400),
        (json!({ OTHER: { "status": "Idle" } }), 401),
    ] {
        assert_eq!(cloud.report("key", &body, at(0)).status, status, "{body}");
    }
    assert_eq!(cloud.devices[UUID].reported.installs[&commit].len(), 2);
    // A snapshot: what is not in it is gone, and without apps nothing changes.
    cloud.report("key", &json!({ UUID: { "cpu_temp": 50 } }), at(1));
    assert_eq!(cloud.devices[UUID].reported.installs[&commit].len(), 2);
    cloud.report("key", &report(json!({ fleet.as_str(): { "releases": { commit.as_str(): { "services": { "web": line("web:1") } } } } })), at(2));
    assert_eq!(cloud.devices[UUID].reported.installs[&commit].len(), 1);
    cloud.report("key", &report(json!({})), at(3));
    assert!(cloud.devices[UUID].reported.installs.is_empty());
}

#[test]
fn measurements_and_progress_are_written_now_and_then() {
    let mut cloud = cloud();
    let temperature = |cloud: &Cloud| cloud.devices[UUID].reported.fields.get("cpu_temp").cloned();
    for (at_second, value, kept) in [(0, 50, 50), (30, 60, 50), (60, 70, 70)] {
        cloud.report("key", &json!({ UUID: { "cpu_temp": value } }), at(at_second));
        assert_eq!(temperature(&cloud), Some(json!(kept)));
    }
    let commit = release(&mut cloud, json!({ "services": { "web": { "image": "web:1" } } }));
    let fleet = cloud.fleets[&1].uuid.clone();
    for (at_second, percent, kept) in [
        (0, json!(10), Some(10.0)),
        (10, json!(20), Some(10.0)),
        (31, json!(30), Some(30.0)),
        (32, json!(100), Some(100.0)),
        (33, json!(null), None),
    ] {
        let line = json!({ "image": "web:1", "status": "Downloading", "download_progress": percent });
        let apps =
            json!({ fleet.as_str(): { "releases": { commit.as_str(): { "services": { "web": line } } } } });
        cloud.report("key", &json!({ UUID: { "apps": apps } }), at(1000 + at_second));
        assert_eq!(cloud.devices[UUID].reported.installs[&commit]["web"].progress, kept, "{percent}");
    }
}

#[test]
fn an_image_of_two_releases_is_told_under_both_or_the_report_is_refused() {
    let mut cloud = cloud();
    let services = |web: &str| json!({ "services": { "web": { "image": web }, "db": { "image": "db:1" } } });
    let (old, new) = (release(&mut cloud, services("web:1")), release(&mut cloud, services("web:2")));
    let fleet = cloud.fleets[&1].uuid.clone();
    let told = |old_services: Value, new_services: Value| {
        let releases =
            json!({ old.as_str(): { "services": old_services }, new.as_str(): { "services": new_services } });
        json!({ UUID: { "apps": { fleet.as_str(): { "releases": releases } } } })
    };
    let line = |image: &str| json!({ "image": image, "status": "Running" });
    let both = json!({ "web": line("web:2"), "db": line("db:1") });
    for (of_old, status) in [
        (json!({ "web": line("web:1") }), 401),
        (json!({}), 401),
        (json!({ "web": line("web:1"), "db": line("db:1") }), 200),
        (json!({ "db": line("db:1") }), 200),
    ] {
        assert_eq!(
            cloud.report("key", &told(of_old.clone(), both.clone()), at(0)).status,
            status,
            "{of_old}"
        );
    }
}

#[test]
fn what_was_dropped_and_comes_again_as_it_was_stays_deleted_for_a_while() {
    let mut cloud = cloud();
    let commit = release(&mut cloud, json!({ "services": { "web": { "image": "web:1" } } }));
    let fleet = cloud.fleets[&1].uuid.clone();
    let with = |services: Value| json!({ UUID: { "apps": { fleet.as_str(): { "releases": { commit.as_str(): { "services": services } } } } } });
    let web = |status: &str| with(json!({ "web": { "image": "web:1", "status": status } }));
    let mut seen = Vec::new();
    for (second, body) in [
        (0, web("Running")),
        (10, with(json!({}))),
        (20, web("Running")),
        (311, web("Running")),
        (320, with(json!({}))),
        (330, web("Downloaded")),
        (340, web("Running")),
    ] {
        assert_eq!(cloud.report("key", &body, at(second)).status, 200);
        seen.push(cloud.devices[UUID].reported.installs[&commit].contains_key("web"));
    }
    assert_eq!(seen, [true, false, false, true, false, true, true]);
}
