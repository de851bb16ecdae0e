//! The target state, version 3: which apps a device is to run. What is wrong in this frame makes the whole document unusable; what is wrong in a release, only that.

use std::collections::BTreeMap;

use manifest_types::kinds::engine::Texts;
use serde_json::Value;

use super::{
    cadence::flag,
    compose::texts::{scalar, texts},
    document::{Fields, Node, Notes, Read, all_named},
};

/// The uuids of the apps that are the Supervisor itself, by architecture: amd64, aarch64, armv7hf, i386, rpi.
const SUPERVISORS: [&str; 5] = [
    "52e35121417640b1b28a680504e4039b",
    "900de4f3cbac4b9bbd232885a35e407b",
    "2e66a95795c149959c69472a8c2f92b8",
    "531b357e155c480cbec0fdd33041a1f5",
    "6822565f766e413e96d9bebe2227cdcc",
];

/// What a device is to be.
#[derive(Debug)]
pub struct TargetState<'a> {
    /// The device's name.
    pub name: String,
    /// Its configuration variables.
    pub config: Texts,
    /// Its apps, by their uuids.
    pub apps: BTreeMap<String, App<'a>>,
}

/// An app of a device.
#[derive(Debug)]
pub struct App<'a> {
    /// Its number, which is in the names of volumes.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whose it is to run it.
    pub role: Role,
    /// Its releases, if it has any.
    pub releases: Option<Node<'a>>,
}

/// Whose an app is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This agent's.
    Fleet,
    /// The updater's of the operating system.
    HostOs,
    /// The operating system's: it is the Supervisor.
    Supervisor,
}

/// Reads the target state of the device `uuid`.
pub fn target_state<'a>(document: &'a Value, uuid: &str, notes: &'a Notes) -> Read<TargetState<'a>> {
    let root = Node::root(document, notes);
    let Some(device) = root.members()?.remove(uuid) else {
        return root.wrong(format!("has no entry for this device, {uuid}"));
    };
    let mut fields = Fields::of(&device)?;
    let name = fields.take("name", scalar).unwrap_or_default();
    let config = fields.take("config", config).unwrap_or_default();
    let apps = fields.need("apps", |node| {
        let apps = node.members()?;
        if apps.is_empty() {
            // A device always has a fleet: this is no wish to have nothing.
            return node.wrong("is empty, and a device always has a fleet");
        }
        all_named(apps.into_iter().map(|(uuid, node)| (uuid.to_owned(), app(uuid, &node))))
    });
    fields.end(apps.map(|apps| TargetState { name, config, apps }))
}

fn config(node: &Node<'_>) -> Read<Texts> {
    let config = texts(node)?;
    if flag(&config, "SUPERVISOR_LOCAL_MODE") == Some(true) {
        node.note("asks for the local mode, which is not supported: what the API wants is held");
    }
    Ok(config)
}

fn app<'a>(uuid: &str, node: &Node<'a>) -> Read<App<'a>> {
    if uuid.is_empty() || uuid.len() > 64 || !uuid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return node.wrong("is not below an app's uuid");
    }
    let mut fields = Fields::of(node)?;
    let id = fields.need("id", number);
    let name = fields.need("name", scalar);
    let is_host = fields.take("is_host", Node::flag).unwrap_or(false);
    let releases = fields.take("releases", |node| Ok(node.clone()));
    fields.skip(&["class", "parent_app"]);
    let role = match () {
        () if is_host => Role::HostOs,
        () if SUPERVISORS.contains(&uuid) => Role::Supervisor,
        () => Role::Fleet,
    };
    fields.end(id.zip(name).map(|(id, name)| App { id, name, role, releases }))
}

/// An id: a number, also as a text.
pub fn number(node: &Node<'_>) -> Read<u64> {
    let number = match node.value() {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    number.filter(|number| *number > 0).map_or_else(|| node.wrong("must be an id: a whole number"), Ok)
}
