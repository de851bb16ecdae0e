//! The fleet's buckets on a server, made as the control plane makes them.

use async_nats::jetstream::{
    self,
    kv::{Entry, Operation, Store},
};
use control_plane_sim::{
    buckets::{self, Choice},
    link::{Address, Link},
    manifest_file::{self, Reading},
    publish::{self, Published},
    store::{self, Swap},
};
use manifest_types::{
    keys,
    name::AgentId,
    status::{AgentHeartbeat, AgentStatus},
};
use serde_json::Value;

use crate::nats::NatsServer;

/// The fleet on one server.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The control plane's connection.
    pub link: Link,
    /// The bucket of manifests and statuses.
    pub states: Store,
    /// The bucket of heartbeats.
    pub heartbeats: Store,
}

/// Makes the buckets on a server that lets everybody in.
pub async fn fleet(server: &NatsServer) -> Fleet {
    fleet_at(&Address::new(server.url())).await
}

/// Makes the buckets where, and under the names that, `address` tells.
pub async fn fleet_at(address: &Address) -> Fleet {
    let link = Link::connect(address).await.expect("the server is ready");
    buckets::init(&link, Choice::default()).await.expect("buckets can be made on a server of our own");
    let states = link.fleet().await.expect("it was just made");
    let heartbeats = link.heartbeats().await.expect("it was just made");
    Fleet { link, states, heartbeats }
}

impl Fleet {
    /// Gives a device a manifest, as `apply` does: checked, and as the next generation.
    pub async fn apply(&self, agent: &AgentId, manifest: &Value) -> Published {
        let reading = Reading { agent: Some(agent.clone()), unknown_kinds: true };
        let wanted = manifest_file::check(manifest.clone(), &reading)
            .expect("a manifest in a test that calls this is good");
        publish::publish(&self.link, &wanted, false).await.expect("the server is there")
    }

    /// Writes any bytes at all as a device's manifest; the revision.
    pub async fn put_desired(&self, agent: &AgentId, bytes: impl Into<Vec<u8>>) -> u64 {
        let bytes: Vec<u8> = bytes.into();
        self.states.put(keys::desired_state(agent), bytes.into()).await.expect("the server is there")
    }

    /// Writes a status as a device would; the revision.
    pub async fn put_status(&self, status: &AgentStatus) -> u64 {
        let bytes = serde_json::to_vec(status).expect("a status is JSON");
        self.states
            .put(keys::actual_state(&status.agent_id), bytes.into())
            .await
            .expect("the server is there")
    }

    /// Writes a heartbeat as a device would.
    pub async fn put_heartbeat(&self, heartbeat: &AgentHeartbeat) {
        let bytes = serde_json::to_vec(heartbeat).expect("a heartbeat is JSON");
        let put = self.heartbeats.put(keys::heartbeat(&heartbeat.agent_id), bytes.into()).await;
        put.expect("the server is there");
    }

    /// The manifest's key as it is now, delete markers included.
    pub async fn desired(&self, agent: &AgentId) -> Option<Entry> {
        self.states.entry(keys::desired_state(agent)).await.expect("the server is there")
    }

    /// The status, if there is one.
    pub async fn status(&self, agent: &AgentId) -> Option<AgentStatus> {
        status_of(self.states.entry(keys::actual_state(agent)).await.expect("the server is there"))
    }

    /// The status, if there is one and the server can be reached now.
    pub async fn try_status(&self, agent: &AgentId) -> Option<AgentStatus> {
        status_of(self.states.entry(keys::actual_state(agent)).await.ok()?)
    }

    /// Compare-and-swap of a manifest's bytes, as another control plane might: whether it was written.
    pub async fn swap_desired(&self, agent: &AgentId, manifest: &Value, after: u64) -> bool {
        let swap = store::swap(&self.states, &keys::desired_state(agent), manifest, after).await;
        matches!(swap.expect("the server is there"), Swap::Written(_))
    }

    /// JetStream, for what has no method here.
    pub fn jetstream(&self) -> &jetstream::Context {
        self.link.jetstream()
    }
}

fn status_of(entry: Option<Entry>) -> Option<AgentStatus> {
    let bytes = entry.filter(|entry| entry.operation == Operation::Put)?.value;
    Some(serde_json::from_slice(&bytes).expect("a device writes statuses that can be read"))
}
