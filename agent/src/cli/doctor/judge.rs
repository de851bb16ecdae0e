//! What follows from what was found on the device. Pure.

use std::{io, path::Path};

use jiff::{Timestamp, civil::date, tz::TimeZone};
use manifest_types::status::{AgentStatus, Capability};
use reconcilers::error::Unseen;

use super::{Check, Verdict};

/// The one kind that needs nothing but a file system.
pub(super) const FILE: &str = "File";
/// Below this the agent still works, but a large file may not fit.
const SCARCE: u64 = 64 * 1024 * 1024;
/// The ledger and its reserve need so much.
const NEEDED: u64 = 4 * 1024 * 1024;
/// A watch is taken by each directory that has a held file in it.
const FEW_WATCHES: u64 = 4096;

/// What kind `File` can do only with it, by the capability's number.
const RIGHTS: [(u8, &str, &str); 5] = [
    (0, "CAP_CHOWN", "give files to their owners"),
    (1, "CAP_DAC_OVERRIDE", "read and write what belongs to others"),
    (3, "CAP_FOWNER", "set the mode of what belongs to others"),
    (4, "CAP_FSETID", "keep set-group-ID bits"),
    (12, "CAP_NET_ADMIN", "configure interfaces"),
];

/// An agent that answers.
pub(super) fn agent(status: &AgentStatus, socket: &Path) -> Check {
    let AgentStatus { agent_id, agent_version, manifest_generation, .. } = status;
    let found = format!(
        "{agent_id}, holdfast {agent_version}, generation {manifest_generation}, at {}",
        socket.display()
    );
    if agent_version == env!("CARGO_PKG_VERSION") {
        return Check::new("agent", Verdict::Ok, found);
    }
    let advice = format!(
        "this is holdfast {}: restart the agent so that both are of one version",
        env!("CARGO_PKG_VERSION")
    );
    Check::new("agent", Verdict::Warn, found).advise(advice)
}

/// What a kind needs of the device and has found there, by its name; or why not.
type Found = Result<(&'static str, Capability), Unseen>;

/// What was found on the device of what kinds need: what several need is told once.
pub(super) fn capabilities(found: Vec<(&'static str, Found)>) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for (kind, found) in found {
        let check = capability(found);
        let same = checks.iter().position(|known| known.name == check.name && known.found == check.found);
        let known = same.map(|index| checks.remove(index));
        checks.push(known.unwrap_or(check).of(kind));
    }
    checks
}

fn capability(found: Found) -> Check {
    match found {
        Ok((name, Capability { name: what, version, api_version })) => {
            let api = api_version.map(|version| format!(", API {version}")).unwrap_or_default();
            Check::new(name, Verdict::Ok, format!("{what} {version}{api}"))
        }
        Err(Unseen { reason, message }) => Check::new(reason, Verdict::Warn, message)
            .advise("what is of these kinds waits until it is there; nothing else does"),
    }
}

/// Nothing decides by the wall clock, but certificates are judged by it and people read it.
pub(super) fn clock(now: Timestamp) -> Check {
    let year = now.to_zoned(TimeZone::UTC).date().year();
    let is_plausible = now.to_zoned(TimeZone::UTC).date() >= date(2025, 1, 1) && year < 2100;
    let found = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match is_plausible {
        true => Check::new("clock", Verdict::Ok, found),
        false => Check::new("clock", Verdict::Warn, found).advise(
            "set the clock: certificates cannot be judged with a wrong one, and the status tells wrong times",
        ),
    }
}

/// Whether what was tried in the state directory succeeded.
pub(super) fn state_dir(path: &Path, tried: io::Result<bool>) -> Check {
    let path = path.display();
    match tried {
        Ok(true) => Check::new("state-dir", Verdict::Ok, format!("{path} can be written and fsynced")),
        Ok(false) => {
            Check::new("state-dir", Verdict::Ok, format!("{path} is not there yet; the agent makes it"))
        }
        Err(error) => Check::new("state-dir", Verdict::Fail, format!("{path}: {error}")).advise(
            "the ledger lives there: make it writable for the agent, or name another with --state-dir",
        ),
    }
}

/// The file system of the state directory: whether it lasts, and its free bytes.
pub(super) fn space(is_volatile: bool, free: u64) -> Check {
    let found = format!("{} MiB free", free / (1024 * 1024));
    match free {
        0..NEEDED => {
            Check::new("space", Verdict::Fail, found).advise("free some: the ledger cannot be written")
        }
        NEEDED..SCARCE => Check::new("space", Verdict::Warn, found).advise("free some before it is used up"),
        _ if is_volatile => Check::new("space", Verdict::Warn, format!("{found}, in memory only"))
            .advise("after a reboot the agent would not know what it holds: choose a --state-dir on a disk"),
        _ => Check::new("space", Verdict::Ok, found),
    }
}

/// Whether paths can be made below the root.
pub(super) fn root(path: &Path, access: io::Result<()>) -> Check {
    let path = path.display();
    let check = match access {
        Ok(()) => Check::new("root", Verdict::Ok, format!("{path} can be written")),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Check::new("root", Verdict::Warn, format!("{path}: {error}"))
                .advise("only files on other file systems, mounted below it, can be held")
        }
        Err(error) => Check::new("root", Verdict::Fail, format!("{path}: {error}"))
            .advise("make it a directory that the agent may write, or name another with --root"),
    };
    check.of(FILE)
}

/// Which of the rights that it uses are missing, from the effective capabilities as `/proc/self/status` tells them.
pub(super) fn rights(is_root: bool, effective: Option<u64>) -> Check {
    let who = if is_root { "root" } else { "not root" };
    let Some(effective) = effective else {
        let found = format!("{who}; the capabilities cannot be read");
        return Check::new("rights", Verdict::Warn, found).of(FILE).advise("see that /proc is mounted");
    };
    let missing: Vec<_> = RIGHTS.iter().filter(|(bit, ..)| effective & (1 << bit) == 0).collect();
    if missing.is_empty() {
        return Check::new("rights", Verdict::Ok, format!("{who}, with all that is needed")).of(FILE);
    }
    let names: Vec<_> = missing.iter().map(|(_, name, _)| *name).collect();
    let uses: Vec<_> = missing.iter().map(|(_, name, use_)| format!("{name} to {use_}")).collect();
    Check::new("rights", Verdict::Warn, format!("{who}, without {}", names.join(", ")))
        .of(FILE)
        .advise(format!("run the agent as root, or give it {}", uses.join(", ")))
}

/// How many watches a user may have, and whether one could be made.
pub(super) fn inotify(watches: Option<u64>, tried: io::Result<()>) -> Check {
    let without = "without watches, drift is found by looking every --resync seconds only";
    let check = match (watches, tried) {
        (_, Err(error)) => Check::new("inotify", Verdict::Warn, format!("no watch can be made: {error}"))
            .advise(format!("raise fs.inotify.max_user_instances and max_user_watches (sysctl); {without}")),
        (Some(watches @ 0..FEW_WATCHES), Ok(())) => {
            Check::new("inotify", Verdict::Warn, format!("{watches} watches for each user"))
                .advise(format!("raise fs.inotify.max_user_watches (sysctl); {without}"))
        }
        (Some(watches), Ok(())) => {
            Check::new("inotify", Verdict::Ok, format!("{watches} watches for each user"))
        }
        (None, Ok(())) => Check::new("inotify", Verdict::Ok, "a watch can be made"),
    };
    check.of(FILE)
}
