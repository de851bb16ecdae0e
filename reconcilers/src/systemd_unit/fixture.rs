//! A world of units for the contract: over any init system whose units' files can be reached.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use manifest_types::kinds::systemd_unit::{SYSTEM_UNITS, SystemdUnitSpec};
use serde_json::json;
use tempfile::TempDir;

use super::{
    SystemdUnitReconciler,
    fake::{FakeSystemd, REFUSED},
    init::{Enablement, InitSystem, Job},
    protect::Footing,
};
use crate::{
    contract::{Fixture, Picture},
    host::{Host, Services},
};

/// An init system to try things with.
pub trait Ground: Sized {
    /// Its init system.
    type Init: InitSystem;

    /// One that is ready, and the directory below which its units' files are.
    fn find() -> impl Future<Output = (Self, Self::Init, PathBuf)>;

    /// A line that makes it refuse a text.
    const BAD: &'static str;
}

/// The init system in memory.
#[derive(Debug)]
pub struct InMemory {
    _root: TempDir,
}

impl Ground for InMemory {
    type Init = FakeSystemd;

    const BAD: &'static str = REFUSED;

    async fn find() -> (Self, FakeSystemd, PathBuf) {
        let root = TempDir::new().expect("there is room");
        fs::create_dir_all(root.path().join(SYSTEM_UNITS.trim_start_matches('/'))).expect("it is ours");
        let path = root.path().to_owned();
        (Self { _root: root }, FakeSystemd::new(path.clone()), path)
    }
}

/// Units of an init system.
pub struct Units<G: Ground> {
    name: String,
    root: PathBuf,
    init: G::Init,
    reconciler: SystemdUnitReconciler<G::Init>,
    _state: TempDir,
    _ground: G,
}

/// Those that units are wanted by: by the first where they are ours.
const TARGETS: [&str; 2] = ["multi-user.target", "graphical.target"];

/// Names that no other test has.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl<G: Ground> Units<G> {
    fn of(&self, which: &str) -> String {
        format!("{}-{which}.service", self.name)
    }

    fn text(argument: &str) -> String {
        Self::text_for(argument, TARGETS[0])
    }

    fn text_for(argument: &str, target: &str) -> String {
        format!("[Service]\nExecStart=/bin/sleep {argument}\n[Install]\nWantedBy={target}\n")
    }

    fn spec(&self, which: &str, argument: &str) -> SystemdUnitSpec {
        let spec = json!({
            "name": self.of(which), "content": Self::text(argument), "enabled": true, "state": "Active",
            "dropIns": { "10-nice.conf": "[Service]\nNice=5\n" }
        });
        serde_json::from_value(spec).expect("it is a good spec")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(SYSTEM_UNITS.trim_start_matches('/')).join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it is ours");
        fs::write(path, text).expect("it is ours");
    }

    /// As an administrator would do it.
    async fn put(&self, argument: &str, nice: &str, target: &str) {
        let name = self.of("it");
        self.write(&name, &Self::text_for(argument, target));
        self.write(&format!("{name}.d/10-nice.conf"), &format!("[Service]\nNice={nice}\n"));
        self.init.reload().await.expect("it reads its files");
        self.init.enable(&name, Enablement::Enable).await.expect("it can be enabled");
        self.init.reload().await.expect("it reads its files");
        self.init.run(Job::Start, &name).await.expect("it can be started");
    }

    async fn picture(&self, is_exact: bool) -> Picture {
        let mut picture = BTreeMap::new();
        for which in ["it", "elsewhere", "impossible"] {
            let name = self.of(which);
            let unit = self.init.unit(&name).await.expect("it tells of its units");
            let mut told = format!("{:?} {:?} {}", unit.load_state, unit.active, unit.file_state);
            if is_exact {
                told += &format!(" {:?}", unit.service.and_then(|service| service.main_pid));
            }
            picture.insert(name.clone(), told);
            let links = TARGETS.map(|target| format!("{target}.wants/{name}"));
            let files = [name.clone(), format!("{name}.d"), format!("{name}.d/10-nice.conf")];
            for file in files.into_iter().chain(links) {
                if let Some(told) = told_of(&self.path(&file), is_exact) {
                    picture.insert(file, told);
                }
            }
        }
        picture
    }
}

fn told_of(path: &Path, is_exact: bool) -> Option<String> {
    let stat = fs::symlink_metadata(path).ok()?;
    let content = if stat.is_file() { fs::read_to_string(path).ok()? } else { "/".into() };
    let exact = if is_exact { format!(" {} {}", stat.ino(), stat.mtime_nsec()) } else { String::new() };
    let exact = if stat.is_dir() { String::new() } else { exact };
    Some(format!("{:o}{exact} {content}", stat.mode()))
}

impl<G: Ground> Fixture for Units<G> {
    type Reconciler = SystemdUnitReconciler<G::Init>;

    const TAKES_OVER: bool = true;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let (ground, init, root) = G::find().await;
        let state = TempDir::new().expect("there is room");
        let host = Host {
            state_dir: state.path().to_owned(),
            services: Services { root: root.clone(), ..Services::default() },
            ..crate::container::fixture::host()
        };
        let reconciler = SystemdUnitReconciler::new(&host, init.clone(), None, Footing::default);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("contract-{}-{number}", std::process::id());
        Self { name, root, init, reconciler, _state: state, _ground: ground }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> SystemdUnitSpec {
        self.spec("it", "1000")
    }

    fn second(&self) -> SystemdUnitSpec {
        self.spec("it", "2000")
    }

    fn elsewhere(&self) -> SystemdUnitSpec {
        self.spec("elsewhere", "1000")
    }

    fn impossible(&self) -> SystemdUnitSpec {
        let content = format!("{}[Service]\n{}\n", Self::text("1000"), G::BAD);
        let spec = json!({ "name": self.of("impossible"), "content": content, "state": "Active" });
        serde_json::from_value(spec).expect("it looks good")
    }

    async fn put_same(&self) {
        self.put("1000", "5", TARGETS[0]).await;
    }

    async fn put_other(&self) {
        self.put("3000", "7", TARGETS[1]).await;
    }

    async fn disturb(&self) {
        let name = self.of("it");
        self.write(&name, "[Service]\nExecStart=/bin/true\n");
        self.init.run(Job::Stop, &name).await.expect("it can be stopped");
    }

    async fn seen_by_others(&self) -> Picture {
        self.picture(false).await
    }

    async fn in_all(&self) -> Picture {
        self.picture(true).await
    }
}

/// For the tests of the kind: what is behind the contract's world.
impl<G: Ground> Units<G> {
    /// The init system.
    pub fn init(&self) -> &G::Init {
        &self.init
    }

    /// The name of the unit of the first spec.
    pub fn unit(&self) -> String {
        self.of("it")
    }
}
