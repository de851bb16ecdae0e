//! The variables that a service is told about its device.

use manifest_types::kinds::{engine::Texts, file::AbsolutePath};

use crate::source::balena::facts::Facts;

/// What a service's variables are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) facts: &'a Facts,
    pub(super) app_id: u64,
    pub(super) app_uuid: &'a str,
    pub(super) app: &'a str,
    pub(super) service: &'a str,
    pub(super) device: &'a str,
    /// The locks of the app: all that forbid to disrupt any of its services.
    pub(super) locks: &'a [AbsolutePath],
}

/// Adds a variable in both spellings.
pub(super) fn both(to: &mut Texts, name: &str, value: &str) {
    for prefix in ["BALENA", "RESIN"] {
        to.insert(format!("{prefix}_{name}"), value.to_owned());
    }
}

/// The variables that every service has.
pub(super) fn always(about: &About<'_>) -> Texts {
    let facts = about.facts;
    let mut own = Texts::new();
    both(&mut own, "APP_ID", &about.app_id.to_string());
    both(&mut own, "APP_UUID", about.app_uuid);
    both(&mut own, "SERVICE_NAME", about.service);
    both(&mut own, "DEVICE_UUID", &facts.uuid);
    for (name, value) in [
        ("DEVICE_TYPE", &facts.device_type),
        ("DEVICE_ARCH", &facts.arch),
        ("HOST_OS_VERSION", &facts.os_version),
    ] {
        both(&mut own, name, value.as_deref().unwrap_or_default());
    }
    both(&mut own, "APP_LOCK_PATH", "/tmp/balena/updates.lock");
    let more = [
        ("BALENA", "1"),
        ("RESIN", "1"),
        ("USER", "root"),
        ("BALENA_SERVICE_HANDOVER_COMPLETE_PATH", "/tmp/balena/handover-complete"),
        ("RESIN_SERVICE_KILL_ME_PATH", "/tmp/balena/handover-complete"),
    ];
    own.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    own
}

/// The variables of what a person may change at any time: what runs keeps those that it was made with.
pub(super) fn at_birth(about: &About<'_>) -> Texts {
    let mut own = Texts::new();
    both(&mut own, "APP_NAME", about.app);
    both(&mut own, "DEVICE_NAME_AT_INIT", about.device);
    own
}
