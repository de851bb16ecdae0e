//! What is said once something was done that shows nothing itself. Pure.

use std::time::Duration;

use manifest_types::name::ResourceId;

use super::age;

fn of(id: Option<&ResourceId>) -> String {
    id.map_or_else(|| "all resources".to_owned(), ToString::to_string)
}

/// After `retry`.
pub(super) fn retried(id: Option<&ResourceId>) -> String {
    format!("{}: tried again now; `holdfast status --watch` shows how it goes\n", of(id))
}

/// After `pause`.
pub(super) fn paused(id: Option<&ResourceId>, time: Duration) -> String {
    format!("{}: left alone for {}; `holdfast resume` ends it\n", of(id), age::short(time))
}

/// After `resume`.
pub(super) fn resumed(id: Option<&ResourceId>) -> String {
    let unless = if id.is_some() { "; in a pause of everything, once that ends" } else { "" };
    format!("{}: held again{unless}\n", of(id))
}

/// After `forget-generation`.
pub(super) const FORGOTTEN: &str = "any generation is accepted next\n";
