//! A device on which systemd is the first process: a container with a small Debian. The agent runs on it as it is packaged.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use manifest_types::name::AgentId;
use tokio::sync::OnceCell;

use crate::{
    nats::NatsServer,
    parts,
    running::Start,
    until::{until, until_some},
};

/// So long a device may take to come up, or a command on it to end.
const LONG: Duration = Duration::from_secs(90);
/// The image, which `cargo xtask test` gives to the engine.
const IMAGE: &str = "localhost/holdfast/device:1";
/// Rights that are enough for systemd, for a network of its own, and for nothing on this machine.
const RIGHTS: [&str; 16] = [
    "--cap-add",
    "SYS_ADMIN",
    "--cap-add",
    "NET_ADMIN",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--tmpfs",
    "/run",
    "--tmpfs",
    "/tmp",
    "--cgroupns=host",
    "--sysctl",
    "net.ipv6.conf.all.disable_ipv6=0",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
];

/// Gives each boot a number of its own.
const BOOT_ID: &str = "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\n\
    ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid > /run/boot_id && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'\n\
    [Install]\nWantedBy=sysinit.target\n";

/// A device, which ends with its test.
#[derive(Debug)]
pub struct Board {
    /// The id of the agent on it.
    pub id: AgentId,
    docker: String,
}

/// Where, on this machine, devices find what listens for them, and so where their way out leads: in what is set aside for tests of networks (RFC 2544).
pub const BRIDGE: &str = "198.18.0.1";
/// The network of all devices. On Docker's own a device that is turned on again has another address.
const NETWORK: [&str; 7] =
    ["network", "create", "--subnet", "198.18.0.0/16", "--gateway", BRIDGE, "holdfast-devices"];

/// Makes the network, unless it is there.
async fn make_network(engine: &str) {
    static IS_MADE: OnceCell<()> = OnceCell::const_new();
    let make = async || {
        let mut made = command(engine, NETWORK);
        let ended = made.wait(LONG).await;
        assert!(ended.success() || made.stderr().contains("already exists"), "{}", made.stderr());
    };
    IS_MADE.get_or_init(make).await;
}

/// A NATS server that devices can reach.
pub async fn server() -> NatsServer {
    make_network(&parts::docker()).await;
    NatsServer::start_at(BRIDGE, "").await
}

impl Board {
    /// A device that is up, with the agent installed and not started.
    pub async fn start(server: &NatsServer) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("board-{}-{number}", std::process::id());
        let board = Self { id: name.parse().expect("it is a name"), docker: parts::docker() };
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/packaging/holdfast.service");
        let package = package.canonicalize().expect("the agent is packaged");
        let files =
            [(parts::holdfast(), "/usr/bin/holdfast"), (package, "/usr/lib/systemd/system/holdfast.service")];
        let mounts = files.map(|(from, to)| format!("--volume={}:{to}:ro", from.display()));
        make_network(&board.docker).await;
        // The bridge has the first of all.
        let address = format!("198.18.{}.2", number + 1);
        let mut run =
            vec!["run", "--detach", "--name", &name, "--network", "holdfast-devices", "--ip", &address];
        run.extend(RIGHTS);
        run.extend(mounts.iter().map(String::as_str));
        run.extend([IMAGE, "/sbin/init"]);
        docker(&board.docker, run).await;
        board.is_up().await;
        let config = format!(
            "agent-id = \"{name}\"\nnats-url = \"{}\"\nlog = \"debug,async_nats=info\"\n",
            server.url()
        );
        board.write("/etc/holdfast/holdfast.toml", &config);
        board
    }

    /// The same, with the agent started and ready.
    pub async fn with_agent(server: &NatsServer) -> Self {
        let board = Self::start(server).await;
        board.sh("systemctl enable --quiet --now holdfast.service").await;
        board
    }

    async fn is_up(&self) {
        until("the device is up", LONG, async || {
            let (_, is_well) = self.try_sh("systemctl is-active --quiet multi-user.target").await;
            is_well
        })
        .await;
    }

    /// Turns it off, however it likes it, and on again. It is a new boot to whoever asks, as it is not to a container.
    pub async fn restart(&self) {
        self.write("/etc/systemd/system/boot-id.service", BOOT_ID);
        self.sh("systemctl enable --quiet boot-id.service").await;
        docker(&self.docker, ["kill", self.id.as_str()]).await;
        docker(&self.docker, ["start", self.id.as_str()]).await;
        self.is_up().await;
    }

    /// Its file system, as this machine sees it.
    pub async fn root(&self) -> PathBuf {
        let format = ["inspect", "--format", "{{.State.Pid}}", self.id.as_str()];
        Path::new("/proc").join(docker(&self.docker, format).await.trim()).join("root")
    }

    /// Writes one of its files.
    pub fn write(&self, path: &str, text: &str) {
        let folder = tempfile::TempDir::new().expect("there is a folder for temporary files");
        let file = folder.path().join("file");
        fs::write(&file, text).expect("the folder is ours");
        let directory = Path::new(path).parent().expect("it is in a directory").display().to_string();
        let to = format!("{}:{path}", self.id);
        for arguments in [
            vec!["exec", self.id.as_str(), "mkdir", "-p", &directory],
            vec!["cp", &file.display().to_string(), &to],
        ] {
            let mut docker = command(&self.docker, arguments);
            assert!(docker.finish().success(), "{}", docker.stderr());
        }
    }

    /// What a line for its shell prints. Panics if that fails.
    pub async fn sh(&self, line: &str) -> String {
        let (printed, is_well) = self.try_sh(line).await;
        assert!(is_well, "{line}: {printed}");
        printed
    }

    /// What a line for its shell prints, errors included, and whether it succeeds.
    pub async fn try_sh(&self, line: &str) -> (String, bool) {
        let mut docker = command(&self.docker, ["exec", self.id.as_str(), "sh", "-c", line]);
        let ended = docker.wait(LONG).await;
        ((docker.stdout() + &docker.stderr()).trim_end().to_owned(), ended.success())
    }

    /// Waits until a line for its shell prints this.
    pub async fn until(&self, line: &str, printed: &str) {
        let mut last = String::new();
        let came = tokio::time::timeout(LONG, async {
            loop {
                last = self.try_sh(line).await.0;
                if last == printed {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(came.await.is_ok(), "{line} prints {last:?}, not {printed:?}");
    }

    /// What the agent has told so far.
    pub async fn log(&self) -> String {
        self.try_sh("journalctl --unit holdfast --output cat --no-pager").await.0
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let line = "journalctl --unit holdfast --output cat --no-pager --lines 80; ip address; ip route";
            let mut told = command(&self.docker, ["exec", self.id.as_str(), "sh", "-c", line]);
            told.finish();
            eprintln!(
                "--- the end of what the agent on {} told:\n{}{}",
                self.id,
                told.stdout(),
                told.stderr()
            );
        }
        command(&self.docker, ["rm", "--force", "--volumes", self.id.as_str()]).finish();
    }
}

fn command<A: AsRef<std::ffi::OsStr>>(
    address: &str,
    arguments: impl IntoIterator<Item = A>,
) -> crate::Running {
    Start::new("docker", "docker").args(["--host", address]).args(arguments).start()
}

async fn docker<A: AsRef<std::ffi::OsStr>>(address: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let mut docker = command(address, arguments);
    let ended = until_some("docker's end", LONG, async || docker.ended()).await;
    assert!(ended.success(), "{}", docker.stderr());
    docker.stdout()
}
