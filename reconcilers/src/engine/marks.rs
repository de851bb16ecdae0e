//! The labels by which an engine itself bears witness that something is ours.

use manifest_types::{
    digest::Digest,
    kinds::{
        container::Attachment,
        engine::{TakeOver, Texts},
    },
    name::{AgentId, ResourceId},
};
use serde_json::Value;

use super::{
    shape::{Birth, Shape},
    terms::Container,
};

/// Whose it is.
pub const AGENT: &str = "holdfast.agent-id";
/// The resource that it was made for. When only a resource's id changes, this stays as it was at birth.
pub const RESOURCE: &str = "holdfast.resource-id";
/// The digest of the spec that it was made from.
pub const DIGEST: &str = "holdfast.spec-digest";
/// What its spec had set ([`Birth`]), so that what a new spec leaves out is noticed.
pub const FIELDS: &str = "holdfast.fields";

/// The id of the image that a container was made of: an image that somebody makes of the container has its labels, too, and another id.
pub const IMAGE: &str = "holdfast.image-id";

/// The marks of something that is made for `id` from a spec that wants `wanted`.
pub fn marks(agent: &AgentId, id: &ResourceId, spec: Digest, wanted: &Shape) -> Texts {
    Texts::from([
        (AGENT.to_owned(), agent.to_string()),
        (RESOURCE.to_owned(), id.to_string()),
        (DIGEST.to_owned(), spec.to_string()),
        (FIELDS.to_owned(), Birth::of(wanted).to_string()),
    ])
}

/// Whether something with these labels is this agent's.
pub fn is_ours(agent: &AgentId, labels: &Texts) -> bool {
    labels.get(AGENT).is_some_and(|owner| owner == agent.as_str())
}

/// Whether something with these labels is this agent's, or is taken over and nobody else's.
pub fn belongs(agent: &AgentId, take_over: Option<&TakeOver>, labels: &Texts) -> bool {
    match labels.get(AGENT) {
        Some(owner) => owner == agent.as_str(),
        None => take_over.is_some_and(|take_over| take_over.means(labels)),
    }
}

/// Whether a container with these labels, of this image, may have got them from another one, by way of an image that was made of that.
pub fn are_inherited(labels: &Texts, image_id: &str) -> bool {
    labels.get(IMAGE).is_some_and(|own| own != image_id)
}

/// How a container is in a network, if it is. Names that the engine has given itself mean nothing in another network, and addresses that it has chosen are given
/// anew; those that were asked for at birth are asked for again.
pub fn attachment(container: &Container, network: &str) -> Option<Attachment> {
    let path = format!("networks.{network}");
    container.shape.get(&path)?;
    let birth = birth(&container.labels);
    let part = |part: &str| container.shape.get(&format!("{path}.{part}"));
    let asked = |name: &str| part(name).filter(|_| birth.has(&format!("{path}.{name}")));
    let texts = |list: Option<&Value>| -> Vec<String> {
        list.and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let addresses = |name: &str| texts(asked(name)).iter().filter_map(|ip| ip.parse().ok()).collect();
    Some(Attachment {
        aliases: texts(part("aliases")),
        ip: addresses("ip"),
        link_local_ips: addresses("linkLocalIps"),
        gateway_priority: asked("gatewayPriority")
            .and_then(Value::as_i64)
            .and_then(|priority| priority.try_into().ok()),
        ..Attachment::to(network.parse().ok()?)
    })
}

/// What was set at birth.
pub fn birth(labels: &Texts) -> Birth {
    labels.get(FIELDS).map(|fields| Birth::parse(fields)).unwrap_or_default()
}
