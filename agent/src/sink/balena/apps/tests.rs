use super::*;
use crate::source::balena::{
    host,
    translate::{Kept, translate},
};

const UUID: &str = "abc";

/// The target state of one app with these services, as name and image.
fn target(commit: &str, services: &[(&str, &str)], kept: &Kept) -> Translation {
    let service = |(name, image): &(&str, &str)| {
        let restart = if *image == "rejected" { "sometimes" } else { "always" };
        let service = json!({ "id": 1, "image_id": 1, "image": image, "environment": {}, "labels": {}, "composition": { "restart": restart } });
        ((*name).to_owned(), service)
    };
    let services: Map<_, _> = services.iter().map(service).collect();
    let app = json!({ "id": 7, "name": "shop", "releases": { commit: { "id": 1, "services": services } } });
    translate(
        &json!({ UUID: { "name": "pump", "apps": { "cafe": app } } }),
        &host::facts(UUID, &[], None),
        kept,
    )
    .unwrap()
}

/// The status of what a translation wants: each service's phase, the image that its container is of, and more. What else there is and is not told of is as wanted.
fn status(of: &Translation, services: &[(&str, &str, &str, Value)]) -> AgentStatus {
    let ids =
        of.resources.iter().filter(|own| own["kind"] != "Container").filter_map(|own| own["id"].as_str());
    let rest = ids.filter_map(|id| id.strip_prefix("7.")).map(|name| (name, "Ready", "", json!({})));
    let resources: Map<_, _> = rest
        .collect::<Vec<_>>()
        .iter()
        .chain(services)
        .map(|(name, phase, image, more)| {
            let id = format!("7.{name}");
            let resource = of.resources.iter().find(|own| own["id"] == id.as_str());
            let kind = resource.map_or(json!("Container"), |resource| resource["kind"].clone());
            let mut own = json!({ "kind": kind, "phase": phase, "since": "2026-11-26T00:00:00Z" });
            if let Some(resource) = resource {
                own["specDigest"] = json!(Digest::of_json(&resource["spec"]));
            }
            if !image.is_empty() {
                own["details"] = json!({ "kind": "Container", "name": id, "containerId": "1", "state": "running", "image": image, "imageId": "sha256:1" });
            }
            own.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            (id, own)
        })
        .collect();
    let status = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "pump-17", "agentVersion": "0", "instanceId": "1", "manifestGeneration": 1,
        "observedGeneration": 1, "observedRevision": 1, "updatedAt": "2026-11-26T00:00:00Z", "conditions": [], "resources": resources
    });
    serde_json::from_value(status).unwrap()
}

fn app(told: &Value) -> &Value {
    &told["cafe"]
}

fn words(told: &Value, commit: &str) -> Vec<String> {
    let services = app(told)["releases"][commit]["services"].as_object().cloned().unwrap_or_default();
    services
        .iter()
        .map(|(name, line)| {
            format!("{name} {} {}", line["status"].as_str().unwrap(), line["download_progress"])
        })
        .collect()
}

#[test]
fn a_release_runs_when_all_of_it_does_and_until_then_both_are_told() {
    let none = Kept::default();
    let first = target("aa", &[("web", "web:1"), ("db", "db:1")], &none);
    let waiting = [("web", "Pending", "", json!({})), ("db", "Pending", "", json!({}))];
    let pulling = json!({ "progress": { "message": "pulling", "done": 45, "total": 100, "unit": "bytes" } });
    let begun = [("image.web", "Reconciling", "", pulling), ("image.db", "Pending", "", json!({}))];
    let (told, _) =
        apps(&first, &status(&first, &[&waiting[..], &begun].concat()), &Running::default()).unwrap();
    assert_eq!(words(&told, "aa"), ["db Downloading 0", "web Downloading 45"]);
    assert_eq!(
        (&app(&told)["release_uuid"], app(&told)["releases"]["aa"]["update_status"].as_str()),
        (&Value::Null, Some("downloading"))
    );
    let half = [&waiting[..], &begun[1..]].concat();
    let (told, _) = apps(&first, &status(&first, &half), &Running::default()).unwrap();
    assert_eq!(words(&told, "aa"), ["db Downloading 0", "web Downloaded null"]);
    assert_eq!(app(&told)["releases"]["aa"]["update_status"], "downloading");
    let (told, running) = apps(&first, &status(&first, &waiting), &Running::default()).unwrap();
    assert_eq!(words(&told, "aa"), ["db Downloaded null", "web Downloaded null"]);
    assert_eq!(app(&told)["releases"]["aa"]["update_status"], "downloaded");
    let whole = status(
        &first,
        &[
            ("web", "Ready", "docker.io/library/web:1", json!({})),
            ("db", "Ready", "docker.io/library/db:1", json!({})),
        ],
    );
    let (told, running) = apps(&first, &whole, &running).unwrap();
    assert_eq!(
        (app(&told)["release_uuid"].as_str(), app(&told)["releases"]["aa"]["update_status"].as_str()),
        (Some("aa"), Some("done"))
    );
    assert_eq!(words(&told, "aa"), ["db Running null", "web Running null"]);

    // What ran once counts on, whatever is to be changed of it, or how it fares.
    let locked = status(
        &first,
        &[
            ("web", "Pending", "docker.io/library/web:1", json!({})),
            ("db", "Ready", "docker.io/library/db:1", json!({})),
        ],
    );
    let (told, _) = apps(&first, &locked, &running).unwrap();
    assert_eq!(words(&told, "aa"), ["db Running null", "web Running null"]);
    assert_eq!(app(&told)["releases"]["aa"]["update_status"], "done");
    let unwell = [
        ("web", "Failed", "docker.io/library/web:1", json!({})),
        ("db", "Ready", "docker.io/library/db:1", json!({})),
    ];
    let (told, _) = apps(&first, &status(&first, &unwell), &running).unwrap();
    assert_eq!(app(&told)["releases"]["aa"]["update_status"], "done");

    // The next one has another web, the same db, and a third service.
    let second = target("bb", &[("web", "web:2"), ("db", "db:1"), ("more", "more:1")], &first.kept);
    assert_eq!(apps(&second, &whole, &running), None, "a status of before says nothing of it yet");
    let half = status(
        &second,
        &[
            ("web", "Reconciling", "docker.io/library/web:1", json!({})),
            ("db", "Ready", "docker.io/library/db:1", json!({})),
            ("more", "Ready", "docker.io/library/more:1", json!({})),
        ],
    );
    let (told, still) = apps(&second, &half, &running).unwrap();
    assert_eq!(still, running);
    assert_eq!(app(&told)["release_uuid"], "aa");
    assert_eq!(words(&told, "bb"), ["db Running null", "more Running null", "web Installing null"]);
    // An image of both is told under both.
    assert_eq!(words(&told, "aa"), ["db Running null", "web Running null"]);
    assert_eq!(app(&told)["releases"]["bb"]["update_status"], "applying changes");
    let whole = status(
        &second,
        &[
            ("web", "Ready", "docker.io/library/web:2", json!({})),
            ("db", "Ready", "docker.io/library/db:1", json!({})),
            ("more", "Ready", "docker.io/library/more:1", json!({})),
        ],
    );
    let (told, running) = apps(&second, &whole, &running).unwrap();
    assert_eq!(app(&told)["release_uuid"], "bb");
    assert!(app(&told)["releases"].get("aa").is_none(), "{told}");

    // A service that is gone from the release is told until it is gone from the device.
    let third = target("cc", &[("web", "web:2")], &second.kept);
    let leaving = status(
        &third,
        &[
            ("web", "Ready", "docker.io/library/web:2", json!({})),
            ("db", "Deleting", "docker.io/library/db:1", json!({ "reason": "TakingAway" })),
        ],
    );
    let (told, _) = apps(&third, &leaving, &running).unwrap();
    assert_eq!(words(&told, "bb"), ["db Stopping null", "web Running null"]);
    assert_eq!(
        (app(&told)["release_uuid"].as_str(), &app(&told)["releases"]["cc"]["update_status"]),
        (Some("bb"), &json!("applying changes"))
    );
    let locked = json!({ "reason": "Locked" });
    let leaving = [
        ("web", "Ready", "docker.io/library/web:2", json!({})),
        ("db", "Deleting", "docker.io/library/db:1", locked),
    ];
    let (told, _) = apps(&third, &status(&third, &leaving), &running).unwrap();
    assert_eq!(words(&told, "bb"), ["db Running null", "web Running null"], "it runs on while it is locked");
    let gone = [("web", "Ready", "docker.io/library/web:2", json!({}))];
    let (told, _) = apps(&third, &status(&third, &gone), &running).unwrap();
    assert_eq!(app(&told)["release_uuid"], "cc");
}

#[test]
fn a_release_of_the_same_images_is_another_one_and_what_is_no_service_counts() {
    let first = target("aa", &[("web", "web:1")], &Kept::default());
    let ready = ("web", "Ready", "docker.io/library/web:1", json!({}));
    let (_, running) =
        apps(&first, &status(&first, std::slice::from_ref(&ready)), &Running::default()).unwrap();
    let second = target("bb", &[("web", "web:1")], &first.kept);
    let locked =
        status(&second, &[("web", "Pending", "docker.io/library/web:1", json!({ "reason": "Locked" }))]);
    let (told, _) = apps(&second, &locked, &running).unwrap();
    assert_eq!(
        (words(&told, "aa"), words(&told, "bb")),
        (vec!["web Running null".to_owned()], vec!["web Running null".to_owned()])
    );
    assert_eq!(
        (app(&told)["release_uuid"].as_str(), &app(&told)["releases"]["bb"]["update_status"]),
        (Some("aa"), &json!("downloaded"))
    );
    let of_before = json!({ "specDigest": Digest::of(b"another") });
    let of_before = status(&second, &[ready.clone(), ("network.default", "Ready", "", of_before)]);
    assert_eq!(apps(&second, &of_before, &running), None, "of the network it says nothing yet");
    // Its network is still to be made anew.
    let cut_off =
        status(&second, &[ready.clone(), ("network.default", "Pending", "", json!({ "reason": "Locked" }))]);
    let (told, _) = apps(&second, &cut_off, &running).unwrap();
    assert_eq!(
        (app(&told)["release_uuid"].as_str(), &app(&told)["releases"]["bb"]["update_status"]),
        (Some("aa"), &json!("applying changes"))
    );
    let (told, _) = apps(&second, &status(&second, &[ready]), &running).unwrap();
    assert_eq!(
        (app(&told)["release_uuid"].as_str(), &app(&told)["releases"]["bb"]["update_status"]),
        (Some("bb"), &json!("done"))
    );
}

#[test]
fn a_rejected_release_is_told_beside_the_one_that_runs() {
    let first = target("aa", &[("web", "web:1")], &Kept::default());
    let whole = status(&first, &[("web", "Ready", "docker.io/library/web:1", json!({}))]);
    let (_, running) = apps(&first, &whole, &Running::default()).unwrap();
    let second = target("bb", &[("web", "rejected")], &first.kept);
    let (told, _) = apps(&second, &whole, &running).unwrap();
    assert_eq!(app(&told)["releases"]["bb"], json!({ "update_status": "rejected", "services": {} }));
    // What it shares with the one that runs is told under both.
    let third = target("cc", &[("bad", "rejected"), ("front", "web:1")], &first.kept);
    let (shared, _) = apps(&third, &whole, &running).unwrap();
    assert_eq!(
        (words(&shared, "cc"), app(&shared)["releases"]["cc"]["update_status"].as_str()),
        (vec!["front Running null".to_owned()], Some("rejected"))
    );
    assert_eq!(
        (words(&told, "aa"), app(&told)["release_uuid"].as_str()),
        (vec!["web Running null".to_owned()], Some("aa"))
    );
    let (told, _) = apps(
        &target("bb", &[("web", "rejected")], &Kept::default()),
        &status(&first, &[]),
        &Running::default(),
    )
    .unwrap();
    assert_eq!(*app(&told), json!({ "releases": { "bb": { "update_status": "rejected", "services": {} } } }));
}

#[test]
fn what_cannot_be_pulled_is_aborted_and_what_runs_is_told() {
    let first = target("aa", &[("web", "web:1")], &Kept::default());
    let whole = status(&first, &[("web", "Ready", "docker.io/library/web:1", json!({}))]);
    let (_, running) = apps(&first, &whole, &Running::default()).unwrap();
    let second = target("bb", &[("web", "web:2")], &first.kept);
    let failed = json!({ "error": { "reason": "ImageNotFound", "message": "no such image", "attempts": 3 } });
    let waiting = ("web", "Pending", "docker.io/library/web:1", json!({}));
    let failed = status(&second, &[("image.web", "Failed", "", failed), waiting]);
    let (told, _) = apps(&second, &failed, &running).unwrap();
    assert_eq!(app(&told)["releases"]["bb"]["update_status"], "aborted");
    assert_eq!(
        (words(&told, "aa"), words(&told, "bb")),
        (vec!["web Running null".to_owned()], vec!["web Downloading 0".to_owned()])
    );
    assert_eq!(app(&told)["release_uuid"], "aa");
}

#[test]
fn a_service_is_told_as_it_is() {
    let first = target("aa", &[("web", "web:1")], &Kept::default());
    let word = |phase: &str, image: &str, more: Value| {
        let (told, _) =
            apps(&first, &status(&first, &[("web", phase, image, more)]), &Running::default()).unwrap();
        words(&told, "aa").remove(0)
    };
    let details = |state: &str, image: &str| json!({ "details": { "kind": "Container", "name": "web", "containerId": "1", "state": state, "image": image, "imageId": "sha256:1" } });
    let states = [
        ("created", "Installed"),
        ("paused", "paused"),
        ("exited", "exited"),
        ("dead", "Dead"),
        ("removing", "Stopping"),
        ("running", "Running"),
    ];
    for (state, told) in states {
        assert_eq!(word("Ready", "", details(state, "docker.io/library/web:1")), format!("web {told} null"));
    }
    let error = |reason: &str| json!({ "error": { "reason": reason, "message": "", "attempts": 1 } });
    assert_eq!(word("Failed", "docker.io/library/web:0", error("ImageNotFound")), "web Downloading 0");
    assert_eq!(word("Failed", "docker.io/library/web:0", error("CannotStart")), "web Installing null");
    assert_eq!(word("Failed", "docker.io/library/web:1", error("CannotStart")), "web Running null");
    let progress = |done: u64, total: Value| json!({ "progress": { "message": "", "done": done, "total": total, "unit": "bytes" } });
    assert_eq!(word("Reconciling", "", progress(1, json!(0))), "web Downloading 0");
    assert_eq!(word("Reconciling", "", progress(9, json!(4))), "web Downloading 100");
}

#[test]
fn one_image_has_many_names() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let (one, other) = (format!("r.example/a@{}", digest("1")), format!("r.example/a@{}", digest("2")));
    assert!(is_same_image(&one, &format!("r.example/a:1@{}", digest("1"))) && !is_same_image(&one, &other));
    assert!(is_same_image("web", "docker.io/library/web:latest") && !is_same_image("web:1", "web:2"));
    assert!(is_same_image("no image!", "no image!") && !is_same_image("no image!", "none!"));
}

#[test]
fn an_app_without_a_release_has_none() {
    let none = translate(
        &json!({ UUID: { "name": "pump", "apps": { "cafe": { "id": 7, "name": "shop" } } } }),
        &host::facts(UUID, &[], None),
        &Kept::default(),
    );
    let none = none.unwrap();
    let (told, _) = apps(&none, &status(&none, &[]), &Running::default()).unwrap();
    assert_eq!(*app(&told), json!({ "releases": {} }));
}
