//! What others have made, and is taken over.

use super::*;

fn spec(more: Value) -> ContainerSpec {
    let mut spec = json!({ "image": GOOD, "takeOver": { "labels": { "app": "shop" } } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// Makes a container as somebody else does, and starts it.
async fn made_by_others(rig: &Rig, name: &str, spec: &ContainerSpec, labels: &[(&str, &str)]) -> String {
    let labels: Texts =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let id = rig.fake.create(&NewContainer { name, spec, marks: &labels }).await.unwrap();
    rig.fake.start(&id).await.unwrap();
    id
}

#[tokio::test]
async fn what_is_as_wanted_goes_on_under_its_own_name_and_what_is_beside_it_goes() {
    let rig = Rig::new().await;
    let wanted = spec(json!({}));
    let id = made_by_others(&rig, "shop_1_2_3", &spec(json!({})), &[("app", "shop")]).await;
    let started = rig.fake.container(&id).await.unwrap().unwrap().state.started_at;
    let other = made_by_others(&rig, "yard_1_2_3", &spec(json!({})), &[("app", "yard")]).await;
    assert_eq!(rig.drift(&wanted).await, ["beside", "container"], "it is seen");
    rig.put(None, &wanted, false).await.unwrap();
    let found = rig.fake.container("web").await.unwrap().unwrap();
    assert_eq!((found.id, found.state.started_at), (id.clone(), started));
    assert_eq!(rig.drift(&wanted).await, Vec::<String>::new());
    assert!(rig.see(&wanted).await.marked_ours);
    // What has the labels, too, is another one of it.
    made_by_others(&rig, "old_shop_1_2_3", &spec(json!({})), &[("app", "shop")]).await;
    assert_eq!(rig.drift(&wanted).await, ["beside"]);
    rig.put(Some(&wanted), &wanted, false).await.unwrap();
    let names: Vec<_> = rig.all().await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["web", "yard_1_2_3"]);
    // What is not wanted any more is gone, though nothing of ours is on it.
    rig.take(&wanted).await;
    assert_eq!(rig.all().await.len(), 1);
    assert!(rig.fake.container(&other).await.unwrap().is_some(), "it is not what was meant");
}

#[tokio::test]
async fn what_is_not_as_wanted_is_replaced_and_comes_back_where_that_fails() {
    let rig = Rig::new().await;
    let id = made_by_others(&rig, "shop_1", &spec(json!({ "env": { "A": "1" } })), &[("app", "shop")]).await;
    let bad = spec(json!({ "image": BAD }));
    let failure = rig.put(None, &bad, false).await.unwrap_err();
    assert_eq!(failure.reason, "UpdateRolledBack");
    assert_eq!(rig.fake.container("web").await.unwrap().unwrap().id, id, "it runs again");
    let wanted = spec(json!({ "env": { "A": "2" } }));
    rig.put(None, &wanted, false).await.unwrap();
    let all = rig.all().await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_ne!(rig.fake.container("web").await.unwrap().unwrap().id, id);
}

#[tokio::test]
async fn what_another_agent_has_marked_is_not_taken_over() {
    let rig = Rig::new().await;
    let labels = [("app", "shop"), ("holdfast.agent-id", "another")];
    made_by_others(&rig, "shop_1", &spec(json!({})), &labels).await;
    rig.put(None, &spec(json!({})), false).await.unwrap();
    let names: Vec<_> = rig.all().await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["shop_1", "web"]);
}

#[tokio::test]
async fn a_terminal_that_nobody_asked_for_is_no_reason_for_another_one() {
    let rig = Rig::new().await;
    let id = made_by_others(&rig, "web", &spec(json!({ "tty": true })), &[("app", "shop")]).await;
    let wanted = spec(json!({}));
    rig.put(None, &wanted, false).await.unwrap();
    assert_eq!(rig.fake.container("web").await.unwrap().unwrap().id, id);
    // One of ours that had it and is not to have it any more is made anew.
    let with = spec(json!({ "tty": true, "env": { "A": "1" } }));
    rig.put(Some(&wanted), &with, false).await.unwrap();
    assert_eq!(rig.drift(&spec(json!({ "env": { "A": "1" } }))).await, ["tty"]);
}
