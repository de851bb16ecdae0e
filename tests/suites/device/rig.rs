//! A device with systemd, whose agent runs as it is packaged.

use std::{fs, path::Path, time::Duration};

use e2e::{Board, Fleet, NatsServer, agent::LONG, board, fleet, until_some};
use manifest_types::{
    document,
    status::{AgentStatus, ResourceStatus},
};
use serde_json::{Value, json};

/// A device, and the server that its agent hears.
pub(crate) struct Rig {
    pub(crate) board: Board,
    pub(crate) fleet: Fleet,
    _server: NatsServer,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::prepared("true").await
    }

    /// The same, after a line for the device's shell.
    pub(crate) async fn prepared(line: &str) -> Self {
        let server = board::server().await;
        let fleet = fleet(&server).await;
        let board = Board::start(&server).await;
        board.sh(line).await;
        board.sh("systemctl enable --quiet --now holdfast.service").await;
        Self { board, fleet, _server: server }
    }

    /// Of a device that is prepared already.
    pub(crate) fn of(board: Board, fleet: Fleet, server: NatsServer) -> Self {
        Self { board, fleet, _server: server }
    }

    pub(crate) async fn apply(&self, resources: Value) -> u64 {
        let manifest =
            json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources });
        self.fleet.apply(&self.board.id, &manifest).await.generation.into()
    }

    pub(crate) async fn status(&self, what: &str, is: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
        until_some(what, LONG, async || self.fleet.try_status(&self.board.id).await.filter(&is)).await
    }

    pub(crate) async fn ready(&self, generation: u64) -> AgentStatus {
        self.status("all is Ready", |status| e2e::agent::is_ready(status, generation)).await
    }

    /// Waits until one resource is as `is` says.
    pub(crate) async fn resource(
        &self,
        id: &str,
        what: &str,
        is: impl Fn(&ResourceStatus) -> bool,
    ) -> ResourceStatus {
        let status = self.status(what, |status| status.resources.get(id).is_some_and(&is)).await;
        status.resources[id].clone()
    }

    /// What is as wanted comes to rest: a look at all of it is all that comes, now and then. What the last change has caused comes first.
    pub(crate) async fn is_left_in_peace(&self, kind: &str) {
        let looks = format!("journalctl --unit holdfast --output cat | grep -c 'command=observe {kind}'");
        let looks = async || self.board.sh(&looks).await.parse::<u32>().unwrap();
        for _ in 0..6 {
            let so_far = looks().await;
            let looked_again = async {
                while looks().await < so_far + 3 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(5), looked_again).await.is_err() {
                return;
            }
        }
        panic!("it is looked at again and again: {}", self.board.log().await);
    }
}

/// The resources of an example.
pub(crate) fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let text = fs::read_to_string(&path).unwrap();
    document::from_yaml(&text).unwrap()["resources"].clone()
}
