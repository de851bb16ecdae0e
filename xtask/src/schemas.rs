//! `cargo xtask schemas`: the JSON Schemas that editors and control planes read.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use manifest_types::schema;

use crate::process::workspace;

/// Writes both schemas into `schemas/`.
pub(crate) fn write() -> Result<()> {
    for (path, text) in texts() {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Fails if a schema in `schemas/` is not what the types say now.
pub(crate) fn check() -> Result<()> {
    for (path, text) in texts() {
        let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found != text {
            bail!("{} is not current: run `cargo xtask schemas`", path.display());
        }
    }
    Ok(())
}

fn texts() -> [(PathBuf, String); 2] {
    let both = [("agent-manifest", schema::agent_manifest()), ("agent-status", schema::agent_status())];
    both.map(|(name, value)| {
        (workspace().join("schemas").join(format!("{name}.schema.json")), schema::to_text(&value))
    })
}
