use serde_json::{Value, json};

use super::{apply, manifest, ready, written};

#[tokio::test]
async fn a_manifest_gets_its_generation_and_its_device() {
    let (server, control) = ready().await;
    assert_eq!(
        apply(&control, &manifest(&["a", "b", "c"])).await,
        "pump-17: generation 1 (revision 1), 3 resources"
    );
    let fleet = e2e::fleet(&server).await;
    let entry = fleet.desired(&"pump-17".parse().unwrap()).await.unwrap();
    let value: Value = serde_json::from_slice(&entry.value).unwrap();
    let mut expected = manifest(&["a", "b", "c"]);
    expected["agentId"] = json!("pump-17");
    expected["generation"] = json!(1);
    assert_eq!(value, expected);
    assert!(!entry.value.contains(&b'\n'), "compact");
}

#[tokio::test]
async fn what_is_there_already_is_not_written_again() {
    let (_server, control) = ready().await;
    apply(&control, &manifest(&["a"])).await;
    assert_eq!(
        apply(&control, &manifest(&["a"])).await,
        "pump-17: unchanged: generation 1 (revision 1), 1 resource"
    );
    assert_eq!(apply(&control, &manifest(&["b"])).await, "pump-17: generation 2 (revision 2), 1 resource");
    let history = control.run(["history", "pump-17", "-o", "json"]).await.json();
    assert_eq!(history.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_of_yaml_may_name_its_device() {
    let (_server, control) = ready().await;
    let text = "apiVersion: holdfast/v1\nkind: AgentManifest\nagentId: pump-18\nresources: []\n";
    let (_folder, path) = written("m.yaml", text);
    let told = control.run(["apply", "-f", &path]).await.printed();
    assert_eq!(told, "pump-18: generation 1 (revision 1), 0 resources\n");
    let refused = control.run(["apply", "-f", &path, "--agent", "pump-17"]).await.failed(1);
    assert!(
        refused.contains(&format!("{path}:3:1: $.agentId: is pump-18, but pump-17 was asked for")),
        "{refused}"
    );
}

#[tokio::test]
async fn every_problem_is_told_with_its_place_and_nothing_is_written() {
    let (server, control) = ready().await;
    let text = "\
apiVersion: holdfast/v1
kind: AgentManifest
resources:
  - id: a
    kind: File
    spec:
      path: etc/a
      colour: red
      content: { inline: x }
  - id: b
    kind: Hologram
    spec: {}
";
    let (_folder, path) = written("bad.yaml", text);
    let told = control.run(["apply", "-f", &path, "--agent", "pump-17"]).await.failed(1);
    for place in [
        "7:7: $.resources[0].spec.path: ",
        "8:7: $.resources[0].spec.colour: ",
        "11:5: $.resources[1].kind: ",
    ] {
        assert!(told.contains(&format!("{path}:{place}")), "{told}");
    }
    assert!(told.ends_with(&format!("{path} is not applied: 3 problems\n")), "{told}");
    assert_eq!(e2e::fleet(&server).await.desired(&"pump-17".parse().unwrap()).await, None);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told() {
    let (_server, control) = ready().await;
    let told = control.run(["apply", "-f", "/no/such.yaml", "--agent", "a"]).await.failed(1);
    assert!(told.starts_with("cannot read /no/such.yaml: No such file"), "{told}");
    let told = control.run_with(["apply", "-f", "-", "--agent", "a"], "{").await.failed(1);
    assert!(told.starts_with("<stdin>:"), "{told}");
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let (server, control) = ready().await;
    let input = manifest(&["a"]).to_string();
    let told =
        control.run_with(["apply", "-f", "-", "--agent", "pump-17", "--dry-run"], &input).await.printed();
    assert_eq!(told, "pump-17: would be generation 1, 1 resource; nothing was written\n");
    assert_eq!(e2e::fleet(&server).await.desired(&"pump-17".parse().unwrap()).await, None);
}

#[tokio::test]
async fn a_kind_that_only_the_device_knows_may_pass() {
    let (_server, control) = ready().await;
    let mut unknown = manifest(&["a"]);
    unknown["resources"][0]["kind"] = json!("Hologram");
    let line = ["apply", "-f", "-", "--agent", "pump-17", "--allow-unknown-kinds", "-o", "json"];
    let told = control.run_with(line, &unknown.to_string()).await.json();
    assert_eq!(
        told,
        json!({ "agentId": "pump-17", "generation": 1, "revision": 1, "resources": 1, "unchanged": false })
    );
}
