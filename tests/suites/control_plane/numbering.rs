use e2e::{Fleet, fleet};
use manifest_types::{keys, name::AgentId, status::AgentStatus};
use serde_json::{Value, json};

use super::{apply, manifest, ready};

fn pump() -> AgentId {
    "pump-17".parse().unwrap()
}

fn seen(generation: u64) -> AgentStatus {
    let value = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": generation, "observedGeneration": generation, "observedRevision": 1,
        "updatedAt": "2026-01-01T00:00:00Z", "conditions": [], "resources": {},
    });
    serde_json::from_value(value).unwrap()
}

async fn generation(fleet: &Fleet) -> u64 {
    let value: Value = serde_json::from_slice(&fleet.desired(&pump()).await.unwrap().value).unwrap();
    value["generation"].as_u64().unwrap()
}

#[tokio::test]
async fn a_new_manifest_counts_on_beneath_a_delete_marker() {
    let (server, control) = ready().await;
    apply(&control, &manifest(&["a"])).await;
    apply(&control, &manifest(&["b"])).await;
    let told = control.run(["delete", "pump-17"]).await.printed();
    assert!(told.contains("manifest deleted. This changes nothing on the device"), "{told}");
    let again = control.run(["delete", "pump-17"]).await.failed(1);
    assert!(again.contains("pump-17 has no manifest"), "{again}");
    assert_eq!(apply(&control, &manifest(&["b"])).await, "pump-17: generation 3 (revision 4), 1 resource");
    assert_eq!(generation(&fleet(&server).await).await, 3);

    let history = control.run(["history", "pump-17"]).await.printed();
    let lines: Vec<Vec<&str>> = history.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["GENERATION", "REVISION", "WRITTEN", "RESOURCES", "NOTE"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1].get(4)), ("1", "1", None));
    assert_eq!((lines[3][0], lines[3][1], lines[3][4]), ("-", "3", "deleted"));
    assert_eq!((lines[4][0], lines[4][1], lines[4][4]), ("3", "4", "present"));
}

#[tokio::test]
async fn a_purged_key_counts_on_from_what_the_device_has_seen() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    apply(&control, &manifest(&["a"])).await;
    fleet.put_status(&seen(41)).await;
    fleet.states.purge(keys::desired_state(&pump())).await.unwrap();
    assert!(apply(&control, &manifest(&["a"])).await.starts_with("pump-17: generation 42 "));
}

#[tokio::test]
async fn what_others_have_written_there_counts_as_far_as_it_can_be_read() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    fleet.put_desired(&pump(), r#"{ "generation": 6, "more": true }"#).await;
    fleet.put_desired(&pump(), b"\xff not JSON".as_slice()).await;
    assert_eq!(apply(&control, &manifest(&["a"])).await, "pump-17: generation 7 (revision 3), 1 resource");
    let history = control.run(["history", "pump-17"]).await.printed();
    assert!(history.contains("not JSON"), "{history}");
}

#[tokio::test]
async fn past_the_highest_generation_nothing_is_written() {
    let (server, control) = ready().await;
    let highest = manifest_types::manifest::Generation::MAX;
    fleet(&server).await.put_desired(&pump(), json!({ "generation": highest }).to_string()).await;
    let input = manifest(&["a"]).to_string();
    let run = control.run_with(["apply", "-f", "-", "--agent", "pump-17"], &input);
    let told = run.await.failed(1);
    assert!(told.contains("pump-17 has no generation left"), "{told}");
}

#[tokio::test]
async fn a_rollback_is_a_new_generation_with_the_old_content() {
    let (server, control) = ready().await;
    apply(&control, &manifest(&["a"])).await;
    apply(&control, &manifest(&["b", "c"])).await;
    let told = control.run(["rollback", "pump-17", "--to", "1"]).await.printed();
    assert_eq!(told, "pump-17: generation 3 (revision 3), 1 resource\n");
    let entry = fleet(&server).await.desired(&pump()).await.unwrap();
    let value: Value = serde_json::from_slice(&entry.value).unwrap();
    assert_eq!((&value["resources"], &value["generation"]), (&manifest(&["a"])["resources"], &json!(3)));

    let again = control.run(["rollback", "pump-17", "--to", "3"]).await.printed();
    assert_eq!(again, "pump-17: unchanged: generation 3 (revision 3), 1 resource\n");
    let never = control.run(["rollback", "pump-17", "--to", "9"]).await.failed(1);
    assert!(never.contains("generation 9 of pump-17 is not in the history, which holds 1, 2, 3"), "{never}");
}

#[tokio::test]
async fn two_that_apply_at_once_both_get_their_own_generation() {
    let (server, control) = ready().await;
    let six = async |writer: &str| {
        for round in 0..6 {
            apply(&control, &manifest(&[&format!("{writer}-{round}")])).await;
        }
    };
    tokio::join!(six("left"), six("right"));
    assert_eq!(generation(&fleet(&server).await).await, 12, "none was lost, none written twice");
    let history = control.run(["history", "pump-17", "-o", "json"]).await.json();
    let generations: Vec<_> =
        history.as_array().unwrap().iter().map(|row| row["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_write_after_somebody_elses_is_a_conflict() {
    let (server, control) = ready().await;
    apply(&control, &manifest(&["a"])).await;
    let fleet = fleet(&server).await;
    assert!(!fleet.swap_desired(&pump(), &json!({}), 0).await, "as if the key were new");
    assert!(fleet.swap_desired(&pump(), &json!({}), 1).await);
    assert!(!fleet.swap_desired(&pump(), &json!({}), 1).await, "as if nobody had written since");
}
