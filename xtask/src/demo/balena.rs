//! The demo with balena as the source: a simulated API, a device that registers itself there, and a release.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{engine::Engine, say, until};
use crate::{
    engines::IMAGE,
    process::{Program, workspace},
    test,
};

/// What the demo's device is of.
const DEVICE_TYPE: &str = "genericx86-64-ext";

/// The simulated API, and how it is told things.
struct Api {
    program: PathBuf,
    address: String,
}

/// Runs the demo, which ends with the device's apps taken away if `once`.
pub(super) fn run(home: &Path, once: bool) -> Result<()> {
    let [holdfast, control_plane] = test::build(["holdfast", "control-plane-sim"])?;
    let engine = Engine::find()
        .context("no container engine answers here: start Docker or Podman, or name one with DOCKER_HOST")?;
    engine.bring_image(home)?;

    say("a simulation of balena's API, with a fleet");
    let log = home.join("api.log");
    let _serving =
        Program::new(&control_plane).args(["balena", "serve", "--listen", "127.0.0.1:0"]).start(&log)?;
    let mut endpoint = String::new();
    until("the API answers", || {
        endpoint = fs::read_to_string(&log).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        endpoint.starts_with("http://")
    })?;
    let address = endpoint.trim_start_matches("http://").to_owned();
    let api = Api { program: control_plane, address };
    let fleet: Value = api.ask(["balena", "fleet", "greenhouse", "--device-type", DEVICE_TYPE])?;
    let (number, key) =
        (fleet["id"].to_string(), fleet["provisioningKey"].as_str().context("a fleet has a key")?);

    say("a device that registers itself in that fleet");
    let socket = home.join("api.sock");
    let flags = [
        "run",
        "--agent-id",
        "demo",
        "--source",
        "balena",
        "--balena-api-endpoint",
        &endpoint,
        "--balena-fleet",
        &number,
        "--balena-device-type",
        DEVICE_TYPE,
        "--balena-spacing",
        "1",
        "--docker-host",
        &engine.place,
    ];
    let agent = Program::new(&holdfast).args(flags).env("HOLDFAST_BALENA_PROVISIONING_KEY", key);
    let mut agent = [("--root", "root"), ("--state-dir", "state"), ("--api-socket", "api.sock")]
        .into_iter()
        .fold(agent, |agent, (flag, place)| agent.arg(flag).arg(home.join(place)))
        .start(&home.join("agent.log"))?;
    until("the device is registered", || api.device().is_ok_and(|device| device["asked"] == true))?;
    let holdfast =
        |arguments: &[&str]| Program::new(&holdfast).arg("--api-socket").arg(&socket).args(arguments);

    say("a release of examples/balena/docker-compose.yml");
    let compose = fs::read_to_string(workspace().join("examples/balena/docker-compose.yml"))?;
    let file = home.join("docker-compose.yml");
    fs::write(&file, compose.replace("docker.io/library/busybox:1", IMAGE))?;
    let release = api.told(["balena", "release", "--fleet", &number, "-f"]).arg(&file).quiet_output()?;
    let release: Value = serde_json::from_str(&release)?;
    let commit = release["commit"].as_str().context("a release has a commit")?;
    holdfast(&["balena", "poll"]).run()?;
    until("the device runs it", || api.device().is_ok_and(|device| device["reported"]["running"] == commit))?;
    holdfast(&["status"]).run()?;
    holdfast(&["balena", "status"]).run()?;

    say("a variable of the device");
    let uuid = api.device()?["uuid"].as_str().context("a device has a uuid")?.to_owned();
    api.told(["balena", "set", "--device", &uuid, "--variable", "MODE=live"]).run()?;
    holdfast(&["balena", "poll"]).run()?;
    let reads = || engine.says(["exec", &format!("dashboard_{number}"), "cat", "/readings/index.html"]);
    until("the sensor has it", || reads().is_ok_and(|line| line.contains("live")))?;
    say("… which its services have now, and this is what the API knows of the device");
    api.told(["balena", "devices"]).run()?;
    if !once {
        play(&api, &endpoint, home)?;
    }
    say("the fleet has no release any more: its containers go");
    api.told(["balena", "set", "--fleet", &number, "--release", ""]).run()?;
    holdfast(&["balena", "poll"]).run()?;
    until("nothing runs", || {
        engine
            .says(["ps", "--quiet", "--filter", &format!("name=_{number}")])
            .is_ok_and(|all| all.trim().is_empty())
    })?;
    if !agent.is_running() {
        bail!("the agent has ended; see {}", home.join("agent.log").display());
    }
    say("that was all of it");
    Ok(())
}

/// Stays up until somebody presses Enter.
fn play(api: &Api, endpoint: &str, home: &Path) -> Result<()> {
    let control = format!("{} balena", api.program.display());
    let agent = home.join("api.sock");
    println!(
        "\nEverything stays up until you press Enter. In another terminal, with BALENA_SIM={}, try:\n",
        api.address
    );
    println!("  {control} devices");
    println!("  curl -X PUT {endpoint}/admin/faults -d '[{{\"on\":\"state\",\"what\":{{\"status\":500}}}}]'");
    println!("  holdfast --api-socket {} balena status\n", agent.display());
    println!("The agent's log: {}", home.join("agent.log").display());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

impl Api {
    fn told<const N: usize>(&self, arguments: [&str; N]) -> Program {
        Program::new(&self.program).env("BALENA_SIM", &self.address).args(arguments)
    }

    fn ask<const N: usize>(&self, arguments: [&str; N]) -> Result<Value> {
        Ok(serde_json::from_str(&self.told(arguments).quiet_output()?)?)
    }

    fn device(&self) -> Result<Value> {
        Ok(self.ask(["balena", "devices"])?[0].clone())
    }
}
