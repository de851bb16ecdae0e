//! What an engine tells of what happens.

use hyper::Method;
use serde_json::{Value, json};

use super::{found::Found, http::Call, wire::Told};
use crate::engine::terms::{End, EngineEvent, Subject};

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
        "network" if OTHERS.contains(&action) => match attributes.some_text("container") {
            // Podman tells of the container alone, by its own id and name.
            None if matches!(action, "connect" | "disconnect") => Subject::Container { id, name },
            container => Subject::Network { name, container },
        },
        _ => return None,
    };
    let code = || attributes.some_text("exitCode").or_else(|| attributes.some_text("containerExitCode"));
    let end = match (event.text("Type"), action) {
        ("container", "die" | "died") => code().and_then(|code| code.parse().ok()).map(End::Code),
        ("container", "oom") => Some(End::OutOfMemory),
        _ => None,
    };
    Some(EngineEvent { at: event.number("timeNano"), subject, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: Value) -> Option<Subject> {
        event(line.to_string().as_bytes()).map(|event| event.subject)
    }

    #[test]
    fn how_a_container_ends_is_told() {
        let ended = |line: Value| event(line.to_string().as_bytes()).and_then(|event| event.end);
        let docker = json!({ "Type": "container", "Action": "die", "Actor": { "ID": "c1", "Attributes": { "exitCode": "7", "name": "web" } } });
        assert_eq!(ended(docker), Some(End::Code(7)));
        let podman = json!({ "Type": "container", "Action": "died", "Actor": { "ID": "c1", "Attributes": { "containerExitCode": "7", "name": "web" } } });
        assert_eq!(ended(podman), Some(End::Code(7)));
        let started = json!({ "Type": "container", "Action": "start", "Actor": { "ID": "c1", "Attributes": { "containerExitCode": "0", "name": "web" } } });
        assert_eq!(ended(started), None);
        let starved = json!({ "Type": "container", "Action": "oom", "Actor": { "ID": "c1", "Attributes": { "name": "web" } } });
        assert_eq!(ended(starved), Some(End::OutOfMemory));
    }

    #[test]
    fn what_happens_to_a_network_happens_to_the_container_that_leaves_it() {
        let docker = json!({ "Type": "network", "Action": "disconnect", "timeNano": 5,
            "Actor": { "ID": "n1", "Attributes": { "container": "c1", "name": "shop", "type": "bridge" } } });
        let container = Some("c1".to_owned());
        assert_eq!(told(docker), Some(Subject::Network { name: "shop".into(), container }));
        let podman = json!({ "Type": "network", "Action": "disconnect", "timeNano": 5,
            "Actor": { "ID": "c1", "Attributes": { "image": "", "name": "web", "containerExitCode": "0" } } });
        assert_eq!(told(podman), Some(Subject::Container { id: "c1".into(), name: "web".into() }));
        let removed = json!({ "Type": "network", "Action": "remove", "Actor": { "ID": "n1", "Attributes": { "name": "shop" } } });
        assert_eq!(told(removed), Some(Subject::Network { name: "shop".into(), container: None }));
        assert_eq!(
            told(json!({ "Type": "container", "Action": "exec_start: true", "Actor": { "ID": "c1" } })),
            None
        );
    }
}
