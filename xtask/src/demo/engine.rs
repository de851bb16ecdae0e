//! The container engine of the machine that the demo runs on.

use std::path::Path;

use anyhow::Result;

use crate::{
    engines::{self, IMAGE},
    process::Program,
    setup,
};

/// An engine, and the command line that speaks with it.
pub(super) struct Engine {
    /// Where it listens.
    pub(super) place: String,
    command: Vec<String>,
}

impl Engine {
    /// The first that answers: the one that DOCKER_HOST names, else one of those at the usual sockets.
    pub(super) fn find() -> Option<Self> {
        let named = setup::given("DOCKER_HOST").map(|place| place.to_string_lossy().into_owned());
        let usual = ["/run/docker.sock", "/run/podman/podman.sock"].map(|path| format!("unix://{path}"));
        let places = named.map_or(usual.to_vec(), |named| vec![named]);
        let commands = |place: &str| {
            [["docker", "--host", place], ["podman", "--url", place]]
                .map(|words| words.map(str::to_owned).to_vec())
        };
        let mut engines = places
            .iter()
            .flat_map(|place| commands(place).map(|command| Self { place: place.clone(), command }));
        engines.find(|engine| engine.run(["version"]).succeeds())
    }

    /// What the engine's command line prints.
    pub(super) fn says<const N: usize>(&self, arguments: [&str; N]) -> Result<String> {
        self.run(arguments).quiet_output()
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) -> Program {
        let (program, first) = self.command.split_first().expect("a command line begins with its program");
        Program::new(program).args(first).args(arguments)
    }

    /// Makes the image that the example names, if it is not there.
    pub(super) fn bring_image(&self, folder: &Path) -> Result<()> {
        if self.run(["image", "inspect", IMAGE]).succeeds() {
            return Ok(());
        }
        let image = engines::image(folder)?;
        self.run(["import"]).arg(&image).arg(IMAGE).run()
    }
}
