//! An init system in memory that reads its units' files from a real directory, for what a real one does too rarely. It keeps the same contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::BoxStream;
use manifest_types::kinds::systemd_unit::{LoadState, SYSTEM_UNITS};
use tokio::sync::broadcast;

use super::{
    error::BusError,
    init::{Active, Answer, Enablement, InitSystem, Job, JobEnd, Listed, Service, Unit, UnitEvent},
};

/// A text with this in it is refused.
pub const REFUSED: &str = "Refuse=yes";
/// A unit with this in its text cannot be started.
pub const FAILS: &str = "Fail=yes";

/// An init system in memory. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeSystemd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    events: broadcast::Sender<UnitEvent>,
}

#[derive(Debug, Default)]
struct World {
    root: PathBuf,
    is_away: bool,
    loaded: BTreeMap<String, Text>,
    running: BTreeMap<String, Run>,
    enabled: BTreeSet<String>,
    reloads: usize,
    starts: u32,
}

/// How a unit's files were when they were last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Text {
    own: Option<String>,
    is_masked: bool,
    drop_ins: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    active: Active,
    /// Which start it was, of all.
    start: u32,
}

impl Text {
    fn read(root: &Path, name: &str) -> Self {
        let directory = root.join(SYSTEM_UNITS.trim_start_matches('/'));
        let own = directory.join(name);
        let is_masked = fs::read_link(&own).is_ok_and(|to| to == Path::new("/dev/null"));
        let entries = fs::read_dir(directory.join(format!("{name}.d"))).into_iter().flatten();
        let mut drop_ins: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let is_drop_in = path.extension().is_some_and(|extension| extension == "conf");
                let text = fs::read_to_string(&path).ok().filter(|_| is_drop_in)?;
                Some((format!("{SYSTEM_UNITS}/{name}.d/{}", path.file_name()?.to_str()?), text))
            })
            .collect();
        drop_ins.sort();
        Self { own: fs::read_to_string(own).ok().filter(|_| !is_masked), is_masked, drop_ins }
    }

    fn has(&self, what: &str) -> bool {
        let own = self.own.iter().chain(self.drop_ins.iter().map(|(_, text)| text));
        own.into_iter().any(|text| text.contains(what))
    }
}

impl World {
    /// A unit is read when it is first asked for.
    fn text(&mut self, name: &str) -> Text {
        let root = self.root.clone();
        self.loaded.entry(name.to_owned()).or_insert_with(|| Text::read(&root, name)).clone()
    }

    fn load_state(text: &Text) -> LoadState {
        match text {
            Text { is_masked: true, .. } => LoadState::Masked,
            Text { own: None, .. } => LoadState::NotFound,
            text if text.has(REFUSED) => LoadState::BadSetting,
            _ => LoadState::Loaded,
        }
    }

    fn run_of(&self, name: &str) -> Run {
        self.running.get(name).copied().unwrap_or(Run { active: Active::Inactive, start: 0 })
    }

    fn unit(&mut self, name: &str) -> Unit {
        let text = self.text(name);
        let load_state = Self::load_state(&text);
        let Run { active, start } = self.run_of(name);
        let file_state = match (&text, self.enabled.contains(name)) {
            (Text { is_masked: true, .. }, _) => "masked",
            (Text { own: None, .. }, _) => "",
            (_, true) => "enabled",
            (text, false) if text.has("[Install]") => "disabled",
            _ => "static",
        };
        let load_error = (load_state == LoadState::BadSetting).then(|| "it has a bad setting".to_owned());
        Unit {
            id: name.to_owned(),
            needs_reload: text != Text::read(&self.root, name),
            load_state,
            load_error,
            active,
            sub: if active.is_up() { "running" } else { "dead" }.into(),
            file_state: file_state.into(),
            fragment: text.own.is_some().then(|| format!("{SYSTEM_UNITS}/{name}")),
            drop_ins: text.drop_ins.into_iter().map(|(path, _)| path).collect(),
            since: jiff::Timestamp::from_second(start.into()).ok().filter(|_| start > 0),
            can_reload: true,
            has_run: start > 0,
            result: if active == Active::Failed { "exit-code" } else { "success" }.into(),
            service: Some(Service {
                of: "simple".into(),
                main_pid: active.is_up().then_some(start),
                ..Service::default()
            }),
            ..Unit::default()
        }
    }

    fn start(&mut self, name: &str) -> &'static str {
        let text = self.text(name);
        let fails = text.has(FAILS);
        self.starts += 1;
        let active = if fails { Active::Failed } else { Active::Active };
        self.running.insert(name.to_owned(), Run { active, start: self.starts });
        if fails { "failed" } else { "done" }
    }
}

impl FakeSystemd {
    /// One whose units' files are below `root`.
    pub fn new(root: PathBuf) -> Self {
        let (events, _) = broadcast::channel(1024);
        Self(Arc::new(Shared { world: Mutex::new(World { root, ..World::default() }), events }))
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> Answer<MutexGuard<'_, World>> {
        let world = self.lock();
        if world.is_away {
            return Err(BusError::Away { address: "memory".into(), why: "it is switched off".into() });
        }
        Ok(world)
    }

    fn tell(&self, name: &str) {
        // Nobody may be listening.
        let _ = self.0.events.send(UnitEvent::Unit(name.to_owned()));
    }

    fn refused(call: &'static str, unit: &str, name: &str) -> BusError {
        BusError::Refused {
            call,
            unit: unit.to_owned(),
            name: format!("org.freedesktop.systemd1.{name}"),
            message: format!("unit {unit}: {name}"),
        }
    }

    /// Switches it off or on.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
        // Nobody may be listening.
        let _ = self.0.events.send(UnitEvent::Any);
    }

    /// How often all files were read.
    pub fn reloads(&self) -> usize {
        self.lock().reloads
    }

    /// A unit ends by itself: well, or not.
    pub fn end(&self, name: &str, is_well: bool) {
        if let Some(run) = self.lock().running.get_mut(name) {
            run.active = if is_well { Active::Inactive } else { Active::Failed };
        }
        self.tell(name);
    }
}

impl InitSystem for FakeSystemd {
    async fn open(&self) -> Answer<String> {
        self.world().map(|_| "252 (fake)".to_owned())
    }

    async fn list(&self, names: &[String]) -> Answer<Vec<Listed>> {
        let mut world = self.world()?;
        let listed = names.iter().map(|name| {
            let unit = world.unit(name);
            Listed {
                name: name.clone(),
                load_state: unit.load_state,
                active: unit.active,
                sub: unit.sub,
                job: 0,
            }
        });
        Ok(listed.collect())
    }

    async fn unit(&self, name: &str) -> Answer<Unit> {
        tokio::task::yield_now().await;
        Ok(self.world()?.unit(name))
    }

    async fn reload(&self) -> Answer<()> {
        // Reading the files of all units takes its time.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut world = self.world()?;
        world.loaded.clear();
        world.reloads += 1;
        Ok(())
    }

    async fn run(&self, job: Job, unit: &str) -> Answer<JobEnd> {
        tokio::task::yield_now().await;
        let result = {
            let mut world = self.world()?;
            let text = world.text(unit);
            let is_up = world.run_of(unit).active.is_up();
            match (job, World::load_state(&text)) {
                (Job::Stop, _) => {
                    if let Some(run) = world.running.get_mut(unit) {
                        run.active = Active::Inactive;
                    }
                    "done"
                }
                (_, LoadState::NotFound) => return Err(Self::refused("StartUnit", unit, "NoSuchUnit")),
                (_, LoadState::Masked) => return Err(Self::refused("StartUnit", unit, "UnitMasked")),
                (_, LoadState::BadSetting) => return Err(Self::refused("StartUnit", unit, "BadUnitSetting")),
                (Job::Start, _) if is_up => "done",
                (Job::Start, _) => world.start(unit),
                (Job::TryRestart | Job::ReloadOrTryRestart, _) if is_up => world.start(unit),
                (Job::TryRestart | Job::ReloadOrTryRestart | Job::Reload, _) => "done",
            }
        };
        self.tell(unit);
        Ok(JobEnd(result.to_owned()))
    }

    async fn enable(&self, unit: &str, change: Enablement) -> Answer<bool> {
        tokio::task::yield_now().await;
        let is_installable = {
            let mut world = self.world()?;
            let root = world.root.clone();
            let is_installable = Text::read(&root, unit).has("[Install]");
            match change {
                Enablement::Enable | Enablement::Reenable if is_installable => {
                    _ = world.enabled.insert(unit.to_owned())
                }
                Enablement::Enable | Enablement::Reenable => {}
                Enablement::Disable => _ = world.enabled.remove(unit),
            }
            is_installable || change == Enablement::Disable
        };
        self.tell(unit);
        Ok(is_installable)
    }

    async fn mask(&self, unit: &str, masked: bool) -> Answer<()> {
        let path = self.world()?.root.join(SYSTEM_UNITS.trim_start_matches('/')).join(unit);
        let done =
            if masked { std::os::unix::fs::symlink("/dev/null", &path) } else { fs::remove_file(&path) };
        done.map_err(|error| Self::refused("MaskUnitFiles", unit, &error.to_string()))?;
        self.lock().loaded.remove(unit);
        self.tell(unit);
        Ok(())
    }

    async fn reset_failed(&self, unit: &str) -> Answer<()> {
        let mut world = self.world()?;
        if world.run_of(unit).active == Active::Failed {
            world.running.remove(unit);
        }
        Ok(())
    }

    async fn last_lines(&self, unit: &str) -> String {
        format!("{unit} was here")
    }

    fn events(&self) -> BoxStream<'static, UnitEvent> {
        UnitEvent::heard_by(self.0.events.subscribe())
    }
}
