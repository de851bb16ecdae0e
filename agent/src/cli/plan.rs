//! `holdfast plan`: what a manifest would change on this device, asked of the agent or found out alone.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    client::{Client, ClientError},
    error::CliError,
    explain, manifest,
    place::Place,
    screen,
    table::{Paint, Tone, one_line},
    validate,
};
use crate::{
    ask::{Forecast, Preview, Refused},
    preview::{Looks, preview},
};

/// What would change by the manifest in `bytes`.
pub(super) async fn plan(
    client: &Client,
    bytes: Vec<u8>,
    place: Place,
) -> Result<Result<Preview, Refused>, CliError> {
    match client.plan(bytes.clone()).await {
        Ok(answer) => Ok(answer.map(|mut preview| {
            manifest::locate_told(&bytes, &mut preview);
            preview
        })),
        Err(ClientError::NoAgent { socket, .. }) => {
            screen::remark(&format!(
                "No agent answers at {}: looking alone, without its ledger. What it holds and would take away is not known.\n",
                socket.display()
            ));
            alone(&bytes, place).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks at the device without an agent, and without the ledger.
pub(super) async fn alone(bytes: &[u8], place: Place) -> Result<Result<Preview, Refused>, CliError> {
    let manifest = match manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(refusal) => return Ok(Err(manifest::refused(&refusal))),
    };
    let registry = Arc::new(place.registry()?);
    Ok(Ok(preview(&registry, &Looks::default(), &BTreeMap::new(), &manifest).await))
}

/// What would happen, a resource at a time; what stays is only counted. Pure.
pub(super) fn render(path: &Path, preview: &Preview, paint: Paint) -> String {
    let mut text = String::new();
    for (id, forecast) in &preview.resources {
        let (sign, what, tone) = match forecast {
            Forecast::Create => ("+", "is made".to_owned(), Tone::Good),
            Forecast::Change { .. } => ("~", "changes".to_owned(), Tone::Wait),
            Forecast::Delete => ("-", "is taken away".to_owned(), Tone::Bad),
            Forecast::Unclear { reason, message } => {
                ("?", one_line(&format!("cannot be said: {reason}: {message}")), Tone::Wait)
            }
            Forecast::Unchanged => continue,
        };
        text += &format!("{} {id}  {what}\n", paint.paint(sign, tone));
        if let Forecast::Change { fields } = forecast {
            text.extend(fields.iter().map(|field| explain::difference(field) + "\n"));
        }
    }
    if !preview.problems.is_empty() {
        let problems = validate::lines(&manifest::name(path), &preview.problems);
        text += &format!("{}{problems}", if text.is_empty() { "" } else { "\n" });
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    text + gap + &summary(preview)
}

fn summary(preview: &Preview) -> String {
    if preview.is_quiet() {
        return format!("Nothing to do: {} as wanted.\n", preview.resources.len());
    }
    let mut counts: BTreeMap<u8, (&str, usize)> = BTreeMap::new();
    for forecast in preview.resources.values() {
        let (order, name) = match forecast {
            Forecast::Create => (0, "to make"),
            Forecast::Change { .. } => (1, "to change"),
            Forecast::Delete => (2, "to take away"),
            Forecast::Unclear { .. } => (3, "cannot be said"),
            Forecast::Unchanged => (4, "as wanted"),
        };
        counts.entry(order).or_insert((name, 0)).1 += 1;
    }
    let told: Vec<_> = counts.values().map(|(name, count)| format!("{count} {name}")).collect();
    format!("{}.\n", told.join(", "))
}

/// A manifest that would be refused: why, and every problem where it stands. Pure.
pub(super) fn render_refused(path: &Path, refused: &Refused) -> String {
    let name = manifest::name(path);
    let problems = validate::lines(&name, &refused.problems);
    let message =
        if problems.is_empty() { one_line(&refused.message) } else { "these are its problems".to_owned() };
    format!("{name} would be refused: {}: {message}\n{problems}", one_line(&refused.reason))
}

#[cfg(test)]
mod tests;
