//! Several NATS servers as one: what a fleet of any size runs on.

use std::{net::TcpListener, time::Duration};

use control_plane_sim::{
    buckets::{self, Choice},
    link::{Address, Link},
};

use crate::{fleet::Fleet, nats::NatsServer, until::until_some};

/// A cluster elects its leaders within seconds; a loaded machine may take longer.
const ELECTING: Duration = Duration::from_secs(60);

/// Three NATS servers, each killed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The servers.
    pub servers: Vec<NatsServer>,
}

impl Cluster {
    /// Three servers that know each other.
    pub async fn start() -> Self {
        let ports = free_ports::<3>();
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for port in ports {
            let config = format!(
                "server_name: n{port}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{}] }}\n",
                routes.join(", ")
            );
            servers.push(NatsServer::start_with(&config).await);
        }
        Self { servers }
    }

    /// All addresses, for clients.
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The fleet's buckets, each value kept by all servers.
    pub async fn fleet(&self) -> Fleet {
        let address = Address::new(self.url());
        until_some("the buckets of the cluster", ELECTING, async || {
            let link = Link::connect(&address).await.ok()?;
            buckets::init(&link, Choice { replicas: Some(3), storage: None }).await.ok()?;
            let (states, heartbeats) = (link.fleet().await.ok()?, link.heartbeats().await.ok()?);
            Some(Fleet { link, states, heartbeats })
        })
        .await
    }

    /// Which server leads the stream of manifests and statuses now.
    pub async fn leader(&self, fleet: &Fleet) -> usize {
        until_some("a leader", ELECTING, async || {
            let info = fleet.states.stream.get_info().await.ok()?;
            let leader = info.cluster?.leader?;
            self.servers.iter().position(|server| server.info()["server_name"] == leader)
        })
        .await
    }
}

/// Ports that nobody uses now. Whoever takes one meanwhile makes the server that wanted it end at once, and its test fail.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port"));
    held.each_ref().map(|listener| listener.local_addr().expect("it is bound").port())
}
