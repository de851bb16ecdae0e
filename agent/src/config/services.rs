//! Where init systems are: as the environment and the kernel say, without a setting of the agent's own.

use std::fs;

use reconcilers::host::Services;

/// Where they are for this process.
pub fn services() -> Services {
    let of = super::environment;
    let user = nix::unistd::geteuid();
    let runtime_dir = of("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{user}"));
    // It need not be there yet: a user's message bus comes with the user's first session.
    let user_bus = of("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| format!("unix:path={runtime_dir}/bus"));
    // A service of the system has no `HOME`.
    let home = || {
        let known = nix::unistd::User::from_uid(user).ok().flatten();
        of("HOME").or_else(|| Some(known?.dir.to_str()?.to_owned()))
    };
    let config_home = of("XDG_CONFIG_HOME").or_else(|| Some(format!("{}/.config", home()?)));
    let usual = Services::default();
    Services {
        system_bus: of("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or(usual.system_bus),
        user_bus: Some(user_bus),
        user_units: config_home.map(|home| format!("{}/systemd/user", home.trim_end_matches('/'))),
        own_unit: fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| own_unit(&groups)),
        ..usual
    }
}

/// The unit in whose control group a process is, from its `/proc/PID/cgroup`.
fn own_unit(groups: &str) -> Option<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut names = paths.filter_map(|path| path.rsplit('/').find(|name| name.ends_with(".service")));
    names.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_names_its_unit() {
        for (groups, unit) in [
            ("0::/system.slice/holdfast.service\n", Some("holdfast.service")),
            (
                "12:pids:/system.slice/edge.service\n1:name=systemd:/system.slice/edge.service\n",
                Some("edge.service"),
            ),
            ("0::/system.slice/edge.service/workers\n", Some("edge.service")),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(own_unit(groups).as_deref(), unit, "{groups}");
        }
    }
}
