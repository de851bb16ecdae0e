//! The floor of `converge-file`: a bare loop that receives the write, puts the file in place durably, and writes one value back.

use std::{
    fs::{File, rename},
    io::Write,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use async_nats::jetstream;
use e2e::NatsServer;
use futures_util::StreamExt;
use manifest_types::{keys, name::AgentId};
use serde_json::Value;
use tokio::sync::oneshot;

/// The bare loop, on a thread of its own, as the agent is a process of its own.
pub(crate) struct Floor {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Floor {
    /// Starts it, and waits until it listens.
    pub(crate) async fn start(server: &NatsServer, id: AgentId, folder: PathBuf) -> Self {
        let (end, ended) = oneshot::channel();
        let (listens, listening) = oneshot::channel();
        let url = server.url();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                tokio::select! {
                    () = serve(&url, &id, &folder, listens) => {}
                    _ = ended => {}
                }
            });
        });
        listening.await.expect("the floor does not panic");
        Self { end, thread }
    }

    pub(crate) fn end(self) {
        // A loop that has ended already needs no word.
        let _ = self.end.send(());
        self.thread.join().expect("the floor does not panic");
    }
}

async fn serve(url: &str, id: &AgentId, folder: &Path, listens: oneshot::Sender<()>) {
    let client = async_nats::connect(url).await.expect("the server is there");
    let states = jetstream::new(client.clone()).get_key_value(keys::FLEET_BUCKET).await;
    let states = states.expect("the bucket is there");
    let (_, to) = keys::republish(keys::FLEET_BUCKET);
    let mut writes = client.subscribe(to.replace('>', id.as_str())).await.expect("the server is there");
    client.flush().await.expect("the server is there");
    listens.send(()).expect("somebody waits for it");
    let key = keys::actual_state(id);
    let mut revision = 0;
    while let Some(write) = writes.next().await {
        let value: Value = serde_json::from_slice(&write.payload).expect("the benchmark writes JSON");
        let content =
            value["resources"][0]["spec"]["content"]["inline"].as_str().expect("it has a file").to_owned();
        let place = folder.join("file");
        let placed = tokio::task::spawn_blocking(move || put(&place, content.as_bytes())).await;
        placed.expect("nothing panics").expect("the folder is ours");
        let status = serde_json::json!({ "generation": value["generation"] }).to_string();
        revision = states.update(&key, status.into(), revision).await.expect("nobody else writes");
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
