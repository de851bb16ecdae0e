//! A device for the tests: a container with systemd as its first process, on an engine of the tests' own.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use crate::engines::{Engines, pause};

/// The image's name on that engine.
const IMAGE: &str = "localhost/holdfast/device:1";
/// How often a device is asked whether it is up.
const ASKED: u32 = 600;

/// A device that is up.
pub(crate) struct Device {
    /// The process on this machine that is the device's first.
    pub(crate) init: String,
}

/// Gives Docker the image.
pub(crate) fn import(engines: &Engines, image: &Path) -> Result<()> {
    engines.docker(["import"]).arg(image).arg(IMAGE).run()
}

/// Starts a device on Docker. It ends with the engine.
pub(crate) fn start(engines: &Engines, image: &Path) -> Result<Device> {
    import(engines, image)?;
    let rights = ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"];
    let open = ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"];
    let memory = ["--tmpfs", "/run", "--tmpfs", "/tmp"];
    let groups = ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--cgroupns=host"];
    let started = engines.docker(["run", "--detach", "--name", "device"]);
    started.args(rights).args(open).args(memory).args(groups).args([IMAGE, "/sbin/init"]).run()?;
    let is_up = || {
        let state = engines.docker(["exec", "device", "systemctl", "is-system-running"]).quiet_output();
        // Without all of the kernel's rights some units of Debian's fail, which is no matter here.
        matches!(state.as_deref().map(str::trim), Ok("running" | "degraded"))
            || engines
                .docker(["exec", "device", "systemctl", "is-active", "--quiet", "multi-user.target"])
                .succeeds()
    };
    let mut asked = 0;
    while !is_up() {
        asked += 1;
        if asked > ASKED {
            let log = engines.docker(["logs", "--tail", "30", "device"]).quiet_output().unwrap_or_default();
            bail!("the device does not come up; the end of what it told:\n{log}");
        }
        pause(Duration::from_millis(100));
    }
    let init = engines.docker(["inspect", "--format", "{{.State.Pid}}", "device"]).quiet_output()?;
    let init = init.trim().to_owned();
    if init.is_empty() || init == "0" {
        bail!("the device has no first process");
    }
    Ok(Device { init })
}

impl Device {
    /// Its file system, as this machine sees it.
    pub(crate) fn root(&self) -> Result<std::path::PathBuf> {
        let root = Path::new("/proc").join(&self.init).join("root");
        std::fs::metadata(&root)
            .with_context(|| format!("cannot reach {}: the tests of devices are for root", root.display()))?;
        Ok(root)
    }
}
