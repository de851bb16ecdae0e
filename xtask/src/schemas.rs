//! `cargo xtask schemas`: writes the JSON Schemas that editors and control planes read.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use manifest_types::schema;

/// Writes both schemas into `schemas/`.
pub(crate) fn write() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")?
        .join("schemas");
    for (name, value) in
        [("agent-manifest", schema::agent_manifest()), ("agent-status", schema::agent_status())]
    {
        let path = folder.join(format!("{name}.schema.json"));
        fs::write(&path, schema::to_text(&value))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
