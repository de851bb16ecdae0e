//! How a service is replaced.

use std::time::Duration;

use manifest_types::{
    kinds::{
        container::{ContainerSpec, HandOver, PullOrder, Strategy, Update},
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
pub(super) fn update(
    own: &Texts,
    spec: &ContainerSpec,
    locks: &[AbsolutePath],
    hand_over: &[AbsolutePath],
    node: &Node<'_>,
) -> Update {
    if labels::own(own, "update.requires-reboot").is_some_and(labels::is_true) {
        node.note("asks to be started after a reboot only, which is not supported; it is started at once");
    }
    let update =
        Update { healthy_within: healthy_within(spec).map(Span), locks: locks.to_vec(), ..Update::default() };
    match strategy(own) {
        "download-then-kill" => update,
        "kill-then-download" => Update { pull: PullOrder::AfterStop, ..update },
        "delete-then-download" => Update { pull: PullOrder::AfterRemoval, ..update },
        "hand-over" if needs_a_place_of_its_own(spec) => {
            node.note("asks for the strategy hand-over, and has ports or addresses that two cannot have at once; it is download-then-kill");
            update
        }
        "hand-over" => {
            let hand_over = HandOver { files: hand_over.to_vec(), within: timeout(own, node).map(Span) };
            Update { strategy: Strategy::StartFirst, hand_over: Some(hand_over), ..update }
        }
        _ => {
            node.note("asks for a strategy that is not known here; it is download-then-kill");
            update
        }
    }
}

fn strategy(own: &Texts) -> &str {
    labels::own(own, "update.strategy").unwrap_or("download-then-kill")
}

/// Whether the image of a service with these labels is there before it is stopped for it.
pub(super) fn is_pulled_first(own: &Texts) -> bool {
    !["kill-then-download", "delete-then-download"].contains(&strategy(own))
}

/// Whether two of it could not be there at once.
fn needs_a_place_of_its_own(spec: &ContainerSpec) -> bool {
    spec.ports.iter().any(|port| port.host.is_some())
        || spec.networks.iter().any(|network| !network.ip.is_empty())
}

/// The time that a service has to say that it has taken over; a value that is none is as if it were not there.
fn timeout(own: &Texts, node: &Node<'_>) -> Option<Duration> {
    let millis: u64 = match labels::own(own, "update.handover-timeout")?.trim().parse() {
        Ok(millis) => millis,
        Err(_) => {
            node.note("has a timeout of its hand-over that is no number of milliseconds; it is a minute");
            return None;
        }
    };
    Some(Duration::from_millis(millis).min(MOST))
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
