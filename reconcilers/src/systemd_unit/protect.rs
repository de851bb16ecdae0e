//! The units that the agent itself stands on. Pure.

use manifest_types::kinds::systemd_unit::{ActiveState, OnChange, SystemdUnitSpec};

use super::error::UnitError;

/// The message bus, in both of its makes.
const BUS: [&str; 4] = ["dbus.service", "dbus.socket", "dbus-broker.service", "systemd-logind.service"];
/// What the network hangs on.
const NETWORK: [&str; 4] = [
    "NetworkManager.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "wpa_supplicant.service",
];
/// What containers hang on, by the name of the engine.
const ENGINES: [(&str, &[&str]); 2] = [
    ("docker", &["docker.service", "docker.socket", "containerd.service"]),
    ("podman", &["podman.socket", "podman.service"]),
];

/// What the agent stands on here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footing {
    /// The agent's own unit, if it runs as one.
    pub own: Option<String>,
    /// The name of the container engine in use, if there is one.
    pub engine: Option<String>,
}

/// What the agent, and all that runs, stand or fall with.
const ROOTS: [&str; 6] =
    ["-.slice", "init.scope", "system.slice", "sysinit.target", "basic.target", "multi-user.target"];
/// What ends the device's work, or halts it, when it is started.
const ENDS: [&str; 19] = [
    "poweroff.target",
    "halt.target",
    "reboot.target",
    "kexec.target",
    "soft-reboot.target",
    "exit.target",
    "shutdown.target",
    "final.target",
    "umount.target",
    "rescue.target",
    "rescue.service",
    "emergency.target",
    "emergency.service",
    "sleep.target",
    "suspend.target",
    "hibernate.target",
    "hybrid-sleep.target",
    "suspend-then-hibernate.target",
    "ctrl-alt-del.target",
];

/// What a unit is to the agent, if it stands on it. `is_up`: whether the unit runs, which is when it is in use.
pub(super) fn footing_of(name: &str, is_up: bool, footing: &Footing) -> Option<&'static str> {
    let engine = ENGINES.iter().find(|(_, units)| units.contains(&name)).map(|(engine, _)| *engine);
    match engine {
        _ if BUS.contains(&name) => Some("the message bus, or a part of it"),
        _ if NETWORK.contains(&name) && is_up => Some("the network backend in use"),
        Some(engine) if footing.engine.as_deref() == Some(engine) => Some("the container engine in use"),
        _ if ROOTS.contains(&name) => Some("what everything on the device stands on"),
        _ => None,
    }
}

/// An error if bringing about `spec` would take away what the agent stands on. `is_up`: whether the unit runs, which is when it is in use.
pub(super) fn check(spec: &SystemdUnitSpec, is_up: bool, footing: &Footing) -> Result<(), UnitError> {
    let name = spec.name.as_str();
    let refuse = |what, why| Err(UnitError::Protected { unit: name.to_owned(), what, why });
    if footing.own.as_deref() == Some(name) || name == "holdfast.service" {
        return refuse("the agent's own unit", "it does not change what runs it");
    }
    if ENDS.contains(&name) && spec.state == Some(ActiveState::Active) {
        return refuse("what ends the device's work", "it is not started");
    }
    let Some(what) = footing_of(name, is_up, footing) else { return Ok(()) };
    if spec.masked == Some(true) {
        return refuse(what, "it is not masked");
    }
    if spec.state == Some(ActiveState::Inactive) {
        return refuse(what, "it is not stopped");
    }
    let has_text = spec.content.is_some() || !spec.drop_ins.is_empty();
    let restarts = matches!(spec.on_change, OnChange::Restart | OnChange::ReloadOrRestart);
    if BUS.contains(&name) && has_text && restarts {
        return refuse(what, "it is not restarted under those that use it: say `onChange: None` or `Reload`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(spec: Value, is_up: bool) -> Option<String> {
        let footing = Footing { own: Some("edge-agent.service".into()), engine: Some("docker".into()) };
        let spec = serde_json::from_value(spec).unwrap();
        check(&spec, is_up, &footing).err().map(|error| error.to_string())
    }

    #[test]
    fn the_agent_does_not_cut_its_own_legs() {
        for (spec, is_up, why) in [
            (json!({ "name": "edge-agent.service", "state": "Active" }), true, "the agent's own unit"),
            (json!({ "name": "holdfast.service", "enabled": false }), false, "the agent's own unit"),
            (json!({ "name": "dbus.service", "state": "Inactive" }), true, "the message bus"),
            (json!({ "name": "dbus.socket", "masked": true }), false, "the message bus"),
            (
                json!({ "name": "dbus.service", "dropIns": { "a.conf": "[Service]\nNice=1\n" } }),
                true,
                "not restarted",
            ),
            (json!({ "name": "NetworkManager.service", "state": "Inactive" }), true, "the network backend"),
            (json!({ "name": "docker.socket", "masked": true }), true, "the container engine"),
            (json!({ "name": "sysinit.target", "state": "Inactive" }), true, "stands on"),
            (json!({ "name": "poweroff.target", "state": "Active" }), false, "ends the device's work"),
        ] {
            let said = says(spec.clone(), is_up);
            assert!(said.as_ref().is_some_and(|said| said.contains(why)), "{spec}: {said:?}");
        }
    }

    #[test]
    fn what_it_does_not_stand_on_is_free() {
        for (spec, is_up) in [
            (json!({ "name": "pump.service", "masked": true }), true),
            (json!({ "name": "podman.socket", "state": "Inactive" }), true),
            (json!({ "name": "suspend.target", "masked": true }), false),
            (json!({ "name": "systemd-networkd.service", "masked": true }), false),
            (json!({ "name": "docker.service", "dropIns": { "a.conf": "[Service]\nNice=1\n" } }), true),
            (
                json!({ "name": "dbus.service", "onChange": "Reload", "dropIns": { "a.conf": "[Service]\nNice=1\n" } }),
                true,
            ),
        ] {
            assert_eq!(says(spec.clone(), is_up), None, "{spec}");
        }
    }
}
