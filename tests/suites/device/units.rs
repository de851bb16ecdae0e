//! The kind keeps the contract of all kinds on a real systemd.

use std::path::PathBuf;

use e2e::parts;
use manifest_types::kinds::systemd_unit::Scope;
use reconcilers::systemd_unit::{
    dbus::Systemd,
    fixture::{Ground, Units},
};

struct RealSystemd;

impl Ground for RealSystemd {
    type Init = Systemd;

    // A service without a program that it could run.
    const BAD: &'static str = "ExecStart=";

    async fn find() -> (Self, Systemd, PathBuf) {
        let root = parts::device_root();
        let bus = root.join("run/dbus/system_bus_socket");
        let systemd = Systemd::new(format!("unix:path={}", bus.to_str().unwrap()), Scope::System, &root);
        (Self, systemd, root)
    }
}

reconcilers::promises!(Units<RealSystemd>);
