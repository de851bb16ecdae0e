//! What of the device a container sees: directories, volumes, memory.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    kinds::{
        file::{AbsolutePath, DirectoryPath, Mode},
        is_default,
    },
    problem::{JsonPath, Problem},
    quantity::Size,
};

/// Something that the container sees at a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// What it is.
    #[serde(rename = "type")]
    pub mount_type: MountType,
    /// A path of the device for `Bind`, a volume's name for `Volume`, nothing for `Tmpfs`. A `Volume` without a name is the container's own, and gone with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where the container sees it.
    pub target: AbsolutePath,
    /// Whether the container may only read it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Whether mounts below a `Bind` made later are seen on the other side. Default: `RPrivate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
    /// Whether the directory that a `Bind` needs is made where it is missing; the agent leaves it there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub create_source: bool,
    /// Whether a `Volume` that is new stays empty, where the image has something at that path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_copy: bool,
    /// The directory within a `Volume` that is seen. Needs Docker 26.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// The most that a `Tmpfs` holds. Default: half of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The permission bits of a `Tmpfs`. Default: 1777.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// What a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MountType {
    /// A file or directory of the device, which must be there.
    Bind,
    /// A volume of the engine.
    Volume,
    /// Memory, gone with the container.
    Tmpfs,
}

/// Whether mounts below made later are seen on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Propagation {
    /// On neither side.
    Private,
    /// On neither side, and neither for mounts below it.
    RPrivate,
    /// On both sides.
    Shared,
    /// On both sides, and so for mounts below it.
    RShared,
    /// In the container what was mounted on the device, and not the other way round.
    Slave,
    /// The same, and so for mounts below it.
    RSlave,
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::RPrivate => "rprivate",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
        })
    }
}

impl Mount {
    /// A mount that says no more than what it is, and where the container sees it.
    pub fn new(mount_type: MountType, target: AbsolutePath) -> Self {
        Self {
            mount_type,
            source: None,
            target,
            read_only: false,
            propagation: None,
            create_source: false,
            no_copy: false,
            sub_path: None,
            size: None,
            mode: None,
        }
    }

    fn problems(&self, at: &JsonPath) -> Vec<Problem> {
        use MountType::{Bind, Tmpfs, Volume};
        let of = self.mount_type;
        let not_with = |key: &str, given: bool| {
            given.then(|| Problem::new(at.key(key), format!("does not go with {of:?}")))
        };
        let source = match (of, self.source.as_deref()) {
            (Bind, None) => Some("is required for Bind: a path of the device".to_owned()),
            (Bind, Some(path)) => path.parse::<DirectoryPath>().err().map(|error| error.to_string()),
            (Volume, Some(name)) => name.parse::<crate::kinds::engine::EngineName>().err(),
            (Tmpfs, Some(_)) => Some("does not go with Tmpfs".to_owned()),
            (Tmpfs | Volume, None) => None,
        };
        let is_own = of == Volume && self.source.is_none();
        let unwritable = (is_own && self.read_only).then_some("does not go with a volume without a name");
        let nothing_below =
            (is_own && self.sub_path.is_some()).then_some("does not go with a volume without a name");
        // It must stay within the volume.
        let leads_out = |path: &&String| {
            path.starts_with('/')
                || path.split('/').any(|part| part.is_empty() || part == "." || part == "..")
        };
        let sub_path = self.sub_path.as_ref().filter(leads_out);
        let sub_path = sub_path.map(|_| "must be a relative path without `.` and `..`");
        let has_colon = self.target.as_str().contains(':')
            || self.source.as_ref().is_some_and(|source| source.contains(':'));
        let created = (self.create_source && has_colon).then_some("does not go with a colon in a path");
        let wrong = [
            created.map(|message| Problem::new(at.key("createSource"), message)),
            source.map(|message| Problem::new(at.key("source"), message)),
            unwritable.map(|message| Problem::new(at.key("readOnly"), message)),
            nothing_below.map(|message| Problem::new(at.key("subPath"), message)),
            not_with("propagation", of != Bind && self.propagation.is_some()),
            not_with("createSource", of != Bind && self.create_source),
            not_with("noCopy", of != Volume && self.no_copy),
            not_with("subPath", of != Volume && self.sub_path.is_some()),
            sub_path.map(|message| Problem::new(at.key("subPath"), message)),
            not_with("size", of != Tmpfs && self.size.is_some()),
            not_with("mode", of != Tmpfs && self.mode.is_some()),
        ];
        wrong.into_iter().flatten().collect()
    }
}

/// What is wrong with mounts.
pub(super) fn problems(mounts: &[Mount]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, mount) in mounts.iter().enumerate() {
        let at = JsonPath::root().key("mounts").index(index);
        problems.extend(mount.problems(&at));
        if let Some(before) = mounts[..index].iter().position(|other| other.target == mount.target) {
            problems.push(Problem::new(at.key("target"), format!("is taken by mounts[{before}] already")));
        }
    }
    problems
}
