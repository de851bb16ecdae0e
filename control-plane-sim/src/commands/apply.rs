//! `apply`: gives a device a manifest.

use std::{fs, io, path::Path};

use super::{json, wait};
use crate::{
    cli::{Giving, Output},
    error::Error,
    link::Link,
    manifest_file::{self, Reading, Wanted},
    publish::{self, Published},
    terminal::Screen,
    verdict::Awaited,
};

/// Reads and checks a file.
pub(super) fn read(file: &Path, reading: &Reading) -> Result<Wanted, Error> {
    let stdin = file == Path::new("-");
    let text = if stdin { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.map_err(|source| Error::ReadFile { path: file.to_owned(), source })?;
    let name = if stdin { "<stdin>".to_owned() } else { file.display().to_string() };
    let json = file.extension().is_some_and(|extension| extension == "json");
    manifest_file::read(&text, json, reading).map_err(|problems| Error::Manifest {
        lines: manifest_file::render(&name, &problems),
        file: name,
        count: problems.len(),
    })
}

/// Gives the device a checked manifest, and waits if that was asked for.
pub(super) async fn give(
    link: &Link,
    wanted: &Wanted,
    giving: Giving,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let published = publish::publish(link, wanted, giving.dry_run).await?;
    if output == Output::Table {
        screen.print(&told(&published))?;
    }
    if let (Some(limit), Some(revision)) = (giving.wait, published.revision) {
        let awaited = Awaited { generation: published.generation, revision };
        let quiet = output == Output::Json;
        wait::until_ready(link, &wanted.agent, awaited, limit, quiet, screen).await?;
    }
    if output == Output::Json { screen.print(&json(&published)) } else { Ok(()) }
}

fn told(published: &Published) -> String {
    let Published { agent_id, generation, revision, resources, unchanged } = published;
    let resources = if *resources == 1 { "1 resource".to_owned() } else { format!("{resources} resources") };
    match revision {
        Some(revision) if *unchanged => {
            format!("{agent_id}: unchanged: generation {generation} (revision {revision}), {resources}")
        }
        Some(revision) => format!("{agent_id}: generation {generation} (revision {revision}), {resources}"),
        None => format!("{agent_id}: would be generation {generation}, {resources}; nothing was written"),
    }
}
