//! What an engine tells of what happens.

use hyper::Method;
use manifest_types::kinds::engine::Texts;
use serde::Deserialize;
use serde_json::json;

use super::{found::Found, http::Call};
use crate::engine::terms::{EngineEvent, Subject};

/// What happens to containers and matters. A healthcheck's own runs do not: they would tell something every few seconds.
const CONTAINER: [&str; 15] = [
    "create",
    "start",
    "restart",
    "stop",
    "die",
    "died",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "remove",
    "health_status",
];
/// What happens to images, volumes and networks and matters.
const OTHERS: [&str; 10] =
    ["create", "destroy", "remove", "connect", "disconnect", "pull", "tag", "untag", "delete", "load"];

/// A line of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireEvent {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: WireActor,
    #[serde(rename = "timeNano")]
    nanoseconds: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireActor {
    #[serde(rename = "ID")]
    id: String,
    attributes: Option<Texts>,
}

/// The request for the stream.
pub(super) fn call(found: &Found, since: i64) -> Call {
    let call = found.call(Method::GET, "/events", "tell what happens");
    let kinds = json!({ "type": ["container", "image", "volume", "network"] });
    let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
    call.query("filters", kinds).query("since", since)
}

impl WireEvent {
    /// What a line tells; `None` if that does not matter, or is not understood: the next list tells the same.
    pub(super) fn read(line: &[u8]) -> Option<EngineEvent> {
        let event: Self = serde_json::from_slice(line).ok()?;
        let action = event.action.split(':').next().unwrap_or_default();
        let mut attributes = event.actor.attributes.unwrap_or_default();
        let name = attributes.remove("name").unwrap_or_default();
        let subject = match event.kind.as_str() {
            "container" if CONTAINER.contains(&action) => Subject::Container { id: event.actor.id, name },
            "image" if OTHERS.contains(&action) => Subject::Image,
            "volume" if OTHERS.contains(&action) => Subject::Volume(event.actor.id),
            "network" if OTHERS.contains(&action) => {
                Subject::Network { name, container: attributes.remove("container") }
            }
            _ => return None,
        };
        Some(EngineEvent { at: event.nanoseconds, subject })
    }
}
