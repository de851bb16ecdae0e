//! How a service is replaced.

use std::time::Duration;

use manifest_types::{
    kinds::{
        container::{ContainerSpec, Update},
        engine::Texts,
        file::AbsolutePath,
    },
    quantity::Span,
};

use super::labels;
use crate::source::balena::document::Node;

/// The time that a new one has to become healthy: what the kind has as its least and its most.
const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(20 * 60);
/// What engines take where a healthcheck does not say: the time between two, the time of one, and how many must fail.
const USUAL: (Duration, u32) = (Duration::from_secs(30), 3);

/// How a service with these labels is replaced.
pub(super) fn update(own: &Texts, spec: &ContainerSpec, locks: &[AbsolutePath], node: &Node<'_>) -> Update {
    let strategy = labels::own(own, "update.strategy").unwrap_or("download-then-kill");
    match strategy {
        "download-then-kill" => {}
        "kill-then-download" | "delete-then-download" | "hand-over" => {
            node.note(format!(
                "asks for the strategy {strategy}, which is not supported; it is download-then-kill"
            ));
        }
        _ => node.note("asks for a strategy that is not known here; it is download-then-kill"),
    }
    Update { healthy_within: healthy_within(spec).map(Span), locks: locks.to_vec(), ..Update::default() }
}

/// As long as its healthcheck may take until it knows, where that is longer than usual.
fn healthy_within(spec: &ContainerSpec) -> Option<Duration> {
    let check = spec.healthcheck.as_ref().filter(|check| !check.disabled)?;
    let time = |span: Option<Span>| span.map_or(USUAL.0, |span| span.0);
    let retries = check.retries.map_or(USUAL.1, u32::from).max(1);
    let start = check.start_period.map_or(Duration::ZERO, |span| span.0);
    let one = time(check.interval).saturating_add(time(check.timeout));
    let patience = start.saturating_add(one.saturating_mul(retries));
    Some(patience.min(MOST)).filter(|patience| *patience > LEAST)
}
