//! What an engine tells of what happens.

use hyper::Method;
use serde_json::{Value, json};

use super::{found::Found, http::Call, wire::Told};
use crate::engine::terms::{EngineEvent, Subject};

/// What happens to containers and matters. A healthcheck's own runs do not: they would tell something every few seconds. Nor does a signal, whose
/// effect is told by itself: while it has none yet, Docker lets whoever asks for the container wait.
const CONTAINER: [&str; 14] = [
    "create",
    "start",
    "restart",
    "stop",
    "die",
    "died",
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

/// The request for the stream.
pub(super) fn call(found: &Found, since: i64) -> Call {
    let call = found.call(Method::GET, "/events", "tell what happens");
    let kinds = json!({ "type": ["container", "image", "volume", "network"] });
    let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
    call.query("filters", kinds).query("since", since)
}

/// What a line tells; `None` if that does not matter, or is not understood: the next list tells the same.
pub(super) fn event(line: &[u8]) -> Option<EngineEvent> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let (event, actor) = (Told(&event), Told(&event).at("Actor"));
    let action = event.text("Action").split(':').next().unwrap_or_default();
    let attributes = actor.at("Attributes");
    let (id, name) = (actor.text("ID").to_owned(), attributes.text("name").to_owned());
    let subject = match event.text("Type") {
        "container" if CONTAINER.contains(&action) => Subject::Container { id, name },
        "image" if OTHERS.contains(&action) => Subject::Image,
        "volume" if OTHERS.contains(&action) => Subject::Volume(id),
        "network" if OTHERS.contains(&action) => {
            Subject::Network { name, container: attributes.some_text("container") }
        }
        _ => return None,
    };
    Some(EngineEvent { at: event.number("timeNano"), subject })
}
