//! A real NATS server with JetStream, on a free port of 127.0.0.1 or of another address of this machine, in a folder of its own.

use std::{fs, io, path::Path, time::Duration};

use async_nats::{Client, ConnectOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    parts,
    running::{Running, Start},
    until::until_some,
};

/// It is ready in well under a second; a loaded machine may take longer.
const STARTING: Duration = Duration::from_secs(30);
/// So often it is started anew when its port was taken meanwhile.
const TRIES: usize = 5;
const LOOPBACK: &str = "127.0.0.1";

/// A NATS server, killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    home: TempDir,
    host: String,
    port: u16,
    info: Value,
    process: Running,
}

/// What becomes of a server's store at a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// It is there again.
    Kept,
    /// It is empty: streams, buckets and all their values are gone.
    Emptied,
    /// It is as it was when it was last set aside: an older backup, or a disk that has lost what was not synced.
    AsSetAside,
}

impl NatsServer {
    /// A server that lets everybody in.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// A server with more configuration: users, TLS, limits.
    pub async fn start_with(config: &str) -> Self {
        Self::start_at(LOOPBACK, config).await
    }

    /// The same, at another address of this machine.
    pub async fn start_at(host: &str, config: &str) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        fs::write(home.path().join("nats.conf"), config).expect("a file in it, too");
        let mut process = launch(home.path(), host, None);
        let (port, info) =
            ready(home.path(), host, &mut process, None).await.expect("a free port is found by the server");
        Self { home, host: host.to_owned(), port, info, process }
    }

    /// Where it listens, for clients.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    /// The URL for a user, where the configuration asks for one.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@{}:{}", self.host, self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says of itself to everybody who connects (INFO).
    pub fn info(&self) -> &Value {
        &self.info
    }

    /// The folder with its configuration and its store: a place for certificates, too.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its process, for measuring.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged since its last start.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// A new client; it comes back by itself after a restart.
    pub async fn client(&self) -> Client {
        let options = ConnectOptions::new().name("e2e");
        options.connect(self.url()).await.expect("a server that is ready can be connected to")
    }

    /// Kills it (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it (SIGTERM), as an operator would.
    pub async fn stop(&mut self) {
        self.process.stop(STARTING).await;
    }

    /// Stops it, sets a copy of its store aside, and starts it again.
    pub async fn set_store_aside(&mut self) {
        self.stop().await;
        copy_all(&store_of(self.home.path()), &aside_of(self.home.path()));
        self.restart(Store::Kept).await;
    }

    /// Starts it again on the same port; one that still runs is killed first.
    pub async fn restart(&mut self, store: Store) {
        self.kill();
        if store != Store::Kept {
            match fs::remove_dir_all(store_of(self.home.path())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    panic!("cannot empty the store: {error}")
                }
                _ => {}
            }
        }
        if store == Store::AsSetAside {
            copy_all(&aside_of(self.home.path()), &store_of(self.home.path()));
        }
        for _ in 0..TRIES {
            self.process = launch(self.home.path(), &self.host, Some(self.port));
            let known = Some(self.port);
            if let Some((_, info)) = ready(self.home.path(), &self.host, &mut self.process, known).await {
                self.info = info;
                return;
            }
        }
        panic!("port {} was taken by somebody else:\n{}", self.port, self.log());
    }

    /// Starts it again with another configuration and its store as it was.
    pub async fn restart_with(&mut self, config: &str) {
        fs::write(self.home.path().join("nats.conf"), config).expect("its own folder can be written");
        self.restart(Store::Kept).await;
    }
}

fn store_of(home: &Path) -> std::path::PathBuf {
    home.join("store")
}

fn aside_of(home: &Path) -> std::path::PathBuf {
    home.join("store.aside")
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("its own folder can be written");
    for entry in fs::read_dir(from).expect("the store is there") {
        let entry = entry.expect("it can be listed");
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_all(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("there is room for a copy");
        }
    }
}

/// Without a port, the server chooses one and writes it into a file.
fn launch(home: &Path, host: &str, port: Option<u16>) -> Running {
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    Start::new("nats-server", parts::nats_server())
        .args(["-js", "-a", host, "-p", &port, "-sd"])
        .arg(store_of(home))
        .arg("-c")
        .arg(home.join("nats.conf"))
        .arg("--ports_file_dir")
        .arg(home)
        .start()
}

/// Waits until the server greets. `None`: it ended because its port was taken.
async fn ready(home: &Path, host: &str, process: &mut Running, known: Option<u16>) -> Option<(u16, Value)> {
    let ports = home.join(format!("nats-server_{}.ports", process.pid()));
    let look = async || {
        if process.ended().is_some() {
            let log = process.stderr();
            assert!(
                known.is_some() && log.contains("address already in use"),
                "nats-server ended at once:\n{log}"
            );
            return Some(None);
        }
        let port = match known {
            Some(port) => port,
            None => chosen(&ports)?,
        };
        let info = greeting(host, port).await?;
        Some(Some((port, info)))
    };
    until_some("a NATS server's greeting", STARTING, look).await
}

/// The port that the server says it chose, once its file is whole.
fn chosen(ports: &Path) -> Option<u16> {
    let told: Value = serde_json::from_slice(&fs::read(ports).ok()?).ok()?;
    told["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

/// The INFO with which a server opens every connection.
async fn greeting(host: &str, port: u16) -> Option<Value> {
    let stream = TcpStream::connect((host, port)).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.ok()?;
    serde_json::from_str(line.strip_prefix("INFO ")?).ok()
}

#[cfg(test)]
mod tests {
    use control_plane_sim::link::{Address, Link};

    use super::*;

    #[tokio::test]
    async fn it_comes_back_on_its_port_with_or_without_its_store() {
        let mut server = NatsServer::start().await;
        assert_eq!(server.info()["jetstream"], true);
        let port = server.port();
        let jetstream = async_nats::jetstream::new(server.client().await);
        let bucket = || async_nats::jetstream::kv::Config { bucket: "b".to_owned(), ..Default::default() };
        let store = jetstream.create_key_value(bucket()).await.unwrap();
        store.put("key", "value".into()).await.unwrap();

        server.restart(Store::Kept).await;
        assert_eq!(server.port(), port);
        let found =
            until_some("the client's return", STARTING, async || store.get("key").await.ok().flatten()).await;
        assert_eq!(found, "value");

        server.stop().await;
        server.restart(Store::Emptied).await;
        let client = async_nats::jetstream::new(server.client().await);
        assert!(client.get_key_value("b").await.is_err());
    }

    #[tokio::test]
    async fn configuration_is_taken() {
        let server =
            NatsServer::start_with("max_payload: 4MB\nauthorization { user: ada, password: pw }\n").await;
        assert_eq!(server.info()["max_payload"], 4 * 1024 * 1024);
        assert!(async_nats::connect(server.url()).await.is_err());
        let link = Link::connect(&Address::new(server.url_of("ada", "pw"))).await;
        assert!(link.is_ok(), "{link:?}");
    }

    #[tokio::test]
    #[should_panic(expected = "no_such_setting")]
    async fn a_bad_configuration_is_told() {
        NatsServer::start_with("no_such_setting: 1").await;
    }
}
