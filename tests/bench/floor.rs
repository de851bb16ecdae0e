//! The floor of `converge-file`: a bare loop that receives the write, puts the file in place durably, and writes one value back.

use std::{
    fs::{File, rename},
    io::Write,
    path::{Path, PathBuf},
};

use async_nats::Client;
use e2e::Fleet;
use futures_util::StreamExt;
use manifest_types::{keys, name::AgentId};
use serde_json::Value;

/// Runs until it is dropped.
pub(crate) async fn run(client: Client, fleet: Fleet, id: AgentId, folder: PathBuf) {
    let (_, to) = keys::republish(keys::FLEET_BUCKET);
    let mut writes = client.subscribe(to.replace('>', id.as_str())).await.expect("the server is there");
    client.flush().await.expect("the server is there");
    let key = keys::actual_state(&id);
    let mut revision = 0;
    while let Some(write) = writes.next().await {
        let value: Value = serde_json::from_slice(&write.payload).expect("the benchmark writes JSON");
        let content =
            value["resources"][0]["spec"]["content"]["inline"].as_str().expect("it has a file").to_owned();
        let place = folder.join("file");
        let placed = tokio::task::spawn_blocking(move || put(&place, content.as_bytes())).await;
        placed.expect("nothing panics").expect("the folder is ours");
        let status = serde_json::json!({ "generation": value["generation"] }).to_string();
        revision = fleet.states.update(&key, status.into(), revision).await.expect("nobody else writes");
    }
}

/// Written beside, fsynced, renamed, directory fsynced.
fn put(place: &Path, content: &[u8]) -> std::io::Result<()> {
    let beside = place.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(&beside, place)?;
    File::open(place.parent().expect("it is in a folder"))?.sync_all()
}
