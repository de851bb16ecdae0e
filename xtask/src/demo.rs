//! `cargo xtask demo`: the main job on a real NATS server with real files, below `target/demo`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    process::{Background, Program, workspace},
    setup, test,
};

mod balena;
mod engine;
mod shop;

/// How to show it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// End when everything has happened, with success only if it has.
    #[arg(long)]
    once: bool,
    /// Where the manifests come from.
    #[arg(long, value_enum, default_value = "nats")]
    source: Source,
}

/// Where the manifests come from.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Source {
    /// A NATS server.
    Nats,
    /// A simulation of balena's API.
    Balena,
}

/// The device of the demo.
const DEVICE: &str = "demo";
/// What is broken by hand.
const VICTIM: &str = "etc/hello/hello.toml";
/// So long anything may take; far longer than it does.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the demo.
pub(crate) fn run(args: &Args) -> Result<()> {
    let home = workspace().join("target/demo");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot empty {}", home.display()))?;
    }
    fs::create_dir_all(home.join("root")).with_context(|| format!("cannot make {}", home.display()))?;
    if args.source == Source::Balena {
        return balena::run(&home, args.once);
    }
    let parts = setup::run()?;
    let [holdfast, control_plane] = test::build(["holdfast", "control-plane-sim"])?;
    say("a NATS server with JetStream");
    let (server, url) = nats(&parts.nats_server, &home)?;
    let stage = Stage { home, url, holdfast, control_plane, server };
    stage.control(&["init"]).run()?;

    say("the agent of a device, with its files below target/demo/root");
    let mut agent = stage.agent(DEVICE, &stage.home, &[])?;
    let socket = stage.home.join("api.sock");
    until("the agent is up", || socket.exists() || !agent.is_running())?;
    if !agent.is_running() {
        let log = fs::read_to_string(stage.home.join("agent.log")).unwrap_or_default();
        bail!("the agent has ended:\n{log}");
    }

    say("a manifest for the device, from examples/");
    stage
        .control(&["apply", "-f"])
        .arg(workspace().join("examples/hello.yaml"))
        .args(["--agent", DEVICE, "--wait=60s"])
        .run()?;
    stage.control(&["watch", "--once"]).run()?;
    stage.control(&["get", DEVICE]).run()?;

    say("somebody breaks a file by hand …");
    stage.break_and_see_it_repaired()?;
    stage.control(&["watch", "--once"]).run()?;
    stage.control(&["describe", DEVICE]).run()?;
    let shop = shop::open(&stage)?;
    if !args.once {
        stage.play(shop.is_some())?;
    } else if shop.is_some() {
        shop::close(&stage)?;
    }
    drop(shop);
    drop(agent);
    say("that was all of it");
    Ok(())
}

/// All that the demo runs on.
struct Stage {
    home: PathBuf,
    url: String,
    holdfast: PathBuf,
    control_plane: PathBuf,
    server: Background,
}

impl Stage {
    fn control(&self, arguments: &[&str]) -> Program {
        Program::new(&self.control_plane).args(["--nats-url", &self.url]).args(arguments)
    }

    /// The agent of a device, with all that is its own below `home`.
    fn agent(&self, device: &str, home: &Path, more: &[&str]) -> Result<Background> {
        let flags = ["run", "--agent-id", device, "--nats-url", &self.url];
        let mut agent = Program::new(&self.holdfast).args(flags).args(more);
        for (flag, place) in [("--root", "root"), ("--state-dir", "state"), ("--api-socket", "api.sock")] {
            agent = agent.arg(flag).arg(home.join(place));
        }
        agent.start(&home.join("agent.log"))
    }

    fn break_and_see_it_repaired(&self) -> Result<()> {
        let victim = self.home.join("root").join(VICTIM);
        let right =
            fs::read_to_string(&victim).with_context(|| format!("cannot read {}", victim.display()))?;
        fs::write(&victim, "broken = true\n")
            .with_context(|| format!("cannot write {}", victim.display()))?;
        until("the file is right again", || fs::read_to_string(&victim).is_ok_and(|now| now == right))?;
        until("the drift is reported", || self.drifts().is_ok_and(|drifts| drifts > 0))?;
        say("… and it is right again, and the device says so");
        Ok(())
    }

    /// How often the device says that something drifted and was repaired.
    fn drifts(&self) -> Result<usize> {
        let told = self.control(&["--output", "json", "get", DEVICE]).quiet_output()?;
        let status: Value = serde_json::from_str(&told).context("the control plane prints JSON")?;
        let text = status.to_string();
        Ok(text.matches("\"action\":\"Repaired\"").count())
    }

    fn play(mut self, has_shop: bool) -> Result<()> {
        let control = format!("{} --nats-url {}", self.control_plane.display(), self.url);
        let agent =
            format!("{} --api-socket {}", self.holdfast.display(), self.home.join("api.sock").display());
        let root = self.home.join("root");
        println!("\nEverything stays up until you press Ctrl-C. In another terminal, try:\n");
        println!("  {control} watch");
        println!("  {control} history {DEVICE}");
        println!(
            "  {control} apply -f examples/hello.yaml --agent {DEVICE} --wait   # after you have changed it"
        );
        println!("  rm {}                                # and look again", root.join(VICTIM).display());
        println!("  {agent} status");
        println!("  {agent} explain hello-conf");
        println!("  {agent} plan -f examples/hello.yaml\n");
        if has_shop {
            println!("  {}\n", shop::hint(&self));
        }
        println!("The agent's log: {}", self.home.join("agent.log").display());
        say("the fleet, live");
        let _watch = self.control(&["watch"]).start_shown()?;
        // Ctrl-C reaches all of them: they are of one process group.
        let (_sender, pause) = mpsc::channel::<()>();
        while self.server.is_running() {
            let _ = pause.recv_timeout(Duration::from_secs(1));
        }
        bail!("the NATS server has ended; see {}", self.home.join("nats.log").display())
    }
}

/// A server on a free port of its own choice.
fn nats(program: &Path, home: &Path) -> Result<(Background, String)> {
    let ports = home.join("ports");
    fs::create_dir(&ports).with_context(|| format!("cannot make {}", ports.display()))?;
    let server = Program::new(program)
        .args(["-js", "-a", "127.0.0.1", "-p", "-1", "-sd"])
        .arg(home.join("nats"))
        .arg("--ports_file_dir")
        .arg(&ports)
        .start(&home.join("nats.log"))?;
    let mut url = None;
    until("the NATS server is ready", || {
        url = first_url(&ports);
        url.is_some()
    })?;
    Ok((server, url.context("it was just found")?))
}

fn first_url(ports: &Path) -> Option<String> {
    let entry = fs::read_dir(ports).ok()?.next()?.ok()?;
    let told: Value = serde_json::from_str(&fs::read_to_string(entry.path()).ok()?).ok()?;
    told["nats"][0].as_str().map(str::to_owned)
}

/// Looks again and again until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(50);
    let (_sender, pause) = mpsc::channel::<()>();
    for _ in 0..LIMIT.as_millis() / PAUSE.as_millis() {
        if is_so() {
            return Ok(());
        }
        let _ = pause.recv_timeout(PAUSE);
    }
    bail!("not within {} s: {what}", LIMIT.as_secs())
}

fn say(what: &str) {
    println!("\n── {what}");
}
