//! The example stack of containers, where the machine has an engine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{Stage, engine::Engine, say};
use crate::{
    engines::IMAGE,
    process::{Background, workspace},
};

/// A manifest that wants nothing.
const NOTHING: &str = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources: []\n";
/// The device that runs the shop.
const SHOP: &str = "demo-shop";

/// The example, with an image that needs no registry, and the folder where this device's files are.
fn example(home: &Path) -> Result<String> {
    let text = fs::read_to_string(workspace().join("examples/shop.yaml"))?;
    let source = format!("source: {}", home.join("root/etc/shop").display());
    Ok(text.replace("docker.io/library/busybox:1", IMAGE).replace("source: /etc/shop", &source))
}

/// Runs the example stack, or says why it cannot. The agent that is returned runs until it is dropped; its containers stay.
pub(super) fn open(stage: &Stage) -> Result<Option<Background>> {
    let Some(engine) = Engine::find() else {
        say(
            "no container engine answers here: the example stack of containers (examples/shop.yaml) is left out",
        );
        return Ok(None);
    };
    let home = stage.home.join(SHOP);
    fs::create_dir_all(home.join("root")).with_context(|| format!("cannot make {}", home.display()))?;
    if let Err(error) = engine.bring_image(&home) {
        say(&format!("the example stack of containers is left out: its image cannot be made ({error:#})"));
        return Ok(None);
    }
    say(&format!("a small shop in containers, from examples/, on the engine at {}", engine.place));
    let mut agent = stage.agent(SHOP, &home, &["--docker-host", &engine.place])?;
    let manifest = home.join("shop.yaml");
    fs::write(&manifest, example(&home)?).with_context(|| format!("cannot write {}", manifest.display()))?;
    let apply = stage.control(&["apply", "-f"]).arg(&manifest);
    apply.args(["--agent", SHOP, "--wait=120s"]).run()?;
    stage.control(&["get", SHOP]).run()?;
    if !agent.is_running() {
        bail!("the shop's agent has ended; see {}", home.join("agent.log").display());
    }
    fs::write(empty(stage), NOTHING).context("cannot write an empty manifest")?;
    Ok(Some(agent))
}

/// How a person takes the stack away: it does not end with the demo.
pub(super) fn hint(stage: &Stage) -> String {
    let path = empty(stage).display().to_string();
    format!(
        "{} # the shop outlives the demo; this closes it",
        stage.control(&["apply", "-f", &path, "--agent", SHOP])
    )
}

fn empty(stage: &Stage) -> PathBuf {
    stage.home.join("empty.yaml")
}

/// Takes the stack away again. Its volume stays, as its spec says.
pub(super) fn close(stage: &Stage) -> Result<()> {
    say("the shop closes: an empty manifest takes all of it away, but for the volume, which its spec keeps");
    stage.control(&["apply", "-f"]).arg(empty(stage)).args(["--agent", SHOP, "--wait=120s"]).run()
}
