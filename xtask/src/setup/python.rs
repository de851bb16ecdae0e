//! A Python of its own, for a client in another language: NATS client and JSON Schema validator, at fixed versions.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Part, apt, cache::Cache};
use crate::process::Program;

pub(super) const PART: Part = Part {
    name: "a Python with nats-py and jsonschema",
    needed_for: "which the tests' client in another language runs on, and which brings nats-server",
    by_hand: "`apt-get install python3-venv` (or any Python 3 with venv and pip), `python3 -m venv DIR`, `DIR/bin/pip install nats-py jsonschema`; it is DIR/bin/python",
    variable: "HOLDFAST_PYTHON",
};

/// Other versions are another folder.
const FOLDER: &str = "python-nats-2.16.0-jsonschema-4.26.0";
const PYTHON: &str = "bin/python";
const PACKAGES: &[&str] = &[
    "attrs==26.1.0",
    "jsonschema==4.26.0",
    "jsonschema-specifications==2025.9.1",
    "nats-py==2.16.0",
    "referencing==0.37.0",
    "rpds-py==2026.9.1",
    "typing-extensions==4.16.0",
];

pub(super) fn works(python: &Path) -> bool {
    Program::new(python).args(["-c", "import jsonschema, nats, pip"]).succeeds()
}

pub(super) fn bring(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.part(
        FOLDER,
        |folder| works(&folder.join(PYTHON)),
        |folder| {
            Program::new(with_venv()?).args(["-m", "venv"]).arg(folder).run()?;
            Program::new(folder.join(PYTHON))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(PACKAGES)
                .run()
        },
    )?;
    Ok(folder.join(PYTHON))
}

/// A Python 3 that can make environments. Debian keeps what that needs in a package of its own.
fn with_venv() -> Result<&'static str> {
    if let Some(python) = found() {
        return Ok(python);
    }
    let why = "python3 cannot make environments (module venv or ensurepip is missing)";
    apt::install("python3-venv", why)?;
    match found() {
        Some(python) => Ok(python),
        None => bail!("python3 still cannot make environments, although python3-venv is installed"),
    }
}

fn found() -> Option<&'static str> {
    let has_venv = |python: &&str| Program::new(python).args(["-c", "import ensurepip, venv"]).succeeds();
    ["python3", "/usr/bin/python3"].into_iter().find(has_venv)
}
