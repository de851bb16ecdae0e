//! A registry of images, on a port that the engines of the tests may speak with in the clear.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    docker::DockerEngine,
    parts,
    running::{Running, Start},
    until::until,
};

/// The ports that the tests' Podman was told of.
const PORTS: std::ops::Range<u16> = 15_400..PORTS_END;
const PORTS_END: u16 = 15_440;
/// The user `me` with the password `secret`, hashed by bcrypt.
const USERS: &str = "me:$2b$04$8ohW/JObxnGi0LSC.sAXAOaQ61IqgG3sdH61JB0J1Dd9NAVqXjl7W\n";
/// A large image may take long to be packed.
const SOON: Duration = Duration::from_secs(120);

/// A registry.
#[derive(Debug)]
pub struct Registry {
    home: TempDir,
    port: u16,
    running: Option<Running>,
}

impl Registry {
    /// One that everybody may read and write.
    pub async fn open() -> Self {
        Self::start("").await
    }

    /// One that wants to be logged in to, as `me` with the password `secret`.
    pub async fn locked() -> Self {
        let locked = Self::start("auth: { htpasswd: { realm: tests, path: USERS } }").await;
        let login = ["login", "--username", "me", "--password", "secret", &locked.image("")];
        locked.docker(&parts::docker(), login).await;
        locked
    }

    async fn start(more: &str) -> Self {
        let home = TempDir::new().expect("there is a folder for temporary files");
        let users = home.path().join("users");
        fs::write(&users, USERS).expect("the folder is ours");
        let more = more.replace("USERS", &users.display().to_string());
        let storage = home.path().join("storage");
        // No two tests of one run ever try the same port: one's server would answer for the other's.
        static NEXT: AtomicU16 = AtomicU16::new(PORTS.start);
        while let port @ 0..PORTS_END = NEXT.fetch_add(1, Ordering::Relaxed) {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let config = format!(
                "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n{more}\n",
                storage.display()
            );
            fs::write(home.path().join("config.yml"), config).expect("the folder is ours");
            let mut running = Self::serve(home.path());
            // Another test may have taken the port meanwhile.
            let answers =
                async || !running.is_running() || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            until("the registry answers", SOON, answers).await;
            if running.is_running() {
                return Self { home, port, running: Some(running) };
            }
        }
        panic!("no port of {PORTS:?} is free");
    }

    fn serve(home: &Path) -> Running {
        Self::server(home).start()
    }

    fn server(home: &Path) -> Start {
        Start::new("docker-registry", "docker-registry").arg("serve").arg(home.join("config.yml"))
    }

    /// Serves the same images on the network of an engine, too.
    pub fn serve_on_network_of(&self, engine: &DockerEngine) -> Running {
        engine.start_in_network(Self::server(self.home.path()))
    }

    /// The name of an image here.
    pub fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts an image that the engine at `engine` has here, as `name`.
    pub async fn push(&self, engine: &str, image: &str, name: &str) {
        let own = self.image(name);
        self.docker(engine, ["tag", image, &own]).await;
        self.take_from(engine, &own).await;
    }

    /// Puts an image here that is like one that the engine at `engine` has, and yet another one.
    pub async fn push_variant(&self, engine: &str, image: &str, name: &str) {
        let own = self.image(name);
        let label = format!("LABEL variant={own}");
        let container = self.docker(engine, ["create", image]).await;
        self.docker(engine, ["commit", "--change", &label, container.trim(), &own]).await;
        self.docker(engine, ["rm", container.trim()]).await;
        self.take_from(engine, &own).await;
    }

    /// Puts an image here that no engine has any layer of: so many mebibytes that cannot be made smaller.
    pub async fn push_unknown(&self, engine: &str, name: &str, mebibytes: u64) {
        let folder = TempDir::new().expect("there is a folder for temporary files");
        let chance = File::open("/dev/urandom").expect("every system has it");
        let mut mark = File::create(folder.path().join("mark")).expect("the folder is ours");
        io::copy(&mut chance.take(mebibytes << 20), &mut mark).expect("there is room");
        let archive = self.home.path().join("image.tar");
        let mut tar =
            Start::new("tar", "tar").arg("-C").arg(folder.path()).arg("-cf").arg(&archive).arg(".").start();
        assert!(tar.wait(SOON).await.success(), "{}", tar.stderr());
        let own = self.image(name);
        self.docker(engine, ["import", "--change", "CMD [\"none\"]", &archive.display().to_string(), &own])
            .await;
        self.take_from(engine, &own).await;
    }

    /// Takes over an image of an engine that has its name here.
    async fn take_from(&self, engine: &str, own: &str) {
        self.docker(engine, ["push", own]).await;
        self.docker(engine, ["rmi", own]).await;
    }

    /// Runs Docker's own command line against the engine at `engine`, with the logins of this registry; what it prints.
    async fn docker<const N: usize>(&self, engine: &str, arguments: [&str; N]) -> String {
        let config = self.home.path().join("docker");
        let docker = Start::new("docker", "docker").arg("--config").arg(config).args(["--host", engine]);
        let mut docker = docker.args(arguments).start();
        let ended = docker.wait(SOON).await;
        assert!(ended.success(), "{}", docker.stderr());
        docker.stdout()
    }

    /// From now on it asks for tokens that the API at `endpoint` gives out; `certificate` is that of its key.
    pub async fn ask_for_tokens(&mut self, endpoint: &str, issuer: &str, certificate: &str) {
        self.running = None;
        let bundle = self.home.path().join("issuer.pem");
        fs::write(&bundle, certificate).expect("the folder is ours");
        let file = self.home.path().join("config.yml");
        let config = fs::read_to_string(&file).expect("it was written");
        let auth = format!(
            "auth: {{ token: {{ realm: {endpoint}/auth/v1/token, service: registry, issuer: {issuer}, rootcertbundle: {} }} }}\n",
            bundle.display()
        );
        fs::write(&file, config + &auth).expect("the folder is ours");
        self.running = Some(Self::serve(self.home.path()));
        let port = self.port;
        let answers = async || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        until("the registry answers", SOON, answers).await;
    }

    /// Ends it; its port stays free for a while, as far as nobody takes it.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Changes what is in every layer, so that none is any more what its digest says.
    pub fn spoil(&self) {
        let blobs = self.home.path().join("storage/docker/registry/v2/blobs/sha256");
        for folder in entries(&blobs).into_iter().flat_map(|folder| entries(&folder)) {
            let data = folder.join("data");
            let mut bytes = fs::read(&data).expect("a blob has data");
            if !bytes.starts_with(b"{") {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
                fs::write(&data, bytes).expect("the folder is ours");
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the registry has made it");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}
