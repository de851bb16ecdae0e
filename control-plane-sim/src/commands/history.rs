//! `history`: what a device has been given.

use manifest_types::{keys, name::AgentId};
use serde_json::json;

use crate::{
    cli::Output,
    error::Error,
    history::{Content, Revision},
    link::Link,
    store,
    table::{self, Cell, Style, Tone},
    terminal::Screen,
};

pub(super) async fn run(
    link: &Link,
    agent: &AgentId,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let history = store::history(&link.fleet().await?, &keys::desired_state(agent)).await?;
    if history.is_empty() {
        return Err(Error::NoManifest { agent: agent.clone() });
    }
    match output {
        Output::Json => {
            let rows = history.iter().map(|revision| {
                json!({
                    "revision": revision.revision,
                    "written": revision.written,
                    "generation": revision.generation(),
                    "resources": revision.resources(),
                    "deleted": revision.content == Content::Deleted,
                })
            });
            screen.print(&super::json(&rows.collect::<Vec<_>>()))
        }
        Output::Table => {
            let table = render(&history, screen.style());
            screen.print(&table)
        }
    }
}

fn render(history: &[Revision], style: Style) -> String {
    let present = history.len().saturating_sub(1);
    let rows: Vec<[Cell; 5]> = history
        .iter()
        .enumerate()
        .map(|(index, revision)| {
            let dash = || "-".to_owned();
            let note = match &revision.content {
                Content::Deleted => Cell::new("deleted", Tone::Wait),
                Content::Unreadable => Cell::new("not JSON", Tone::Bad),
                Content::Json(_) if index == present => Cell::new("present", Tone::Good),
                Content::Json(_) => Cell::default(),
            };
            [
                revision.generation().map_or_else(dash, |generation| generation.to_string()).into(),
                revision.revision.to_string().into(),
                format!("{:.0}", revision.written).into(),
                revision.resources().map_or_else(dash, |count| count.to_string()).into(),
                note,
            ]
        })
        .collect();
    table::render(["GENERATION", "REVISION", "WRITTEN", "RESOURCES", "NOTE"], &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{deleted, written};

    #[test]
    fn every_value_and_every_deletion_is_a_line() {
        let table = render(&[written(3, 1), deleted(5), written(9, 2)], Style::default());
        let expected = "\
GENERATION  REVISION  WRITTEN               RESOURCES  NOTE
1           3         1970-01-01T00:00:00Z  1
-           5         1970-01-01T00:00:00Z  -          deleted
2           9         1970-01-01T00:00:00Z  1          present
";
        assert_eq!(table, expected, "\n{table}");
    }
}
