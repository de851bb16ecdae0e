//! What a service sees of volumes, of the device and of memory.

use std::str::FromStr;

use manifest_types::kinds::{
    container::{Mount, MountType, Propagation},
    file::{AbsolutePath, DirectoryPath, Mode},
};

use crate::source::balena::{
    compose::{
        quantities::{bytes, size},
        texts::{flag, one_or_many, scalar},
    },
    document::{Fields, Node, Read, all},
};

/// The mounts of `volumes`. A volume is told by the name that the release gives it; one without a name is the container's own.
pub(super) fn volumes(node: &Node<'_>) -> Read<Vec<Mount>> {
    all(node.items()?.iter().map(|node| if node.value().is_object() { long(node) } else { short(node) }))
}

/// The mounts of `tmpfs`.
pub(super) fn tmpfs(node: &Node<'_>) -> Read<Vec<Mount>> {
    if node.value().is_array() {
        return all(node.items()?.iter().map(memory));
    }
    one_or_many(node)?;
    Ok(vec![memory(node)?])
}

fn path(node: &Node<'_>, text: &str) -> Read<AbsolutePath> {
    absolute(node, text)
}

/// A directory, which may be the root.
pub(super) fn directory(node: &Node<'_>, text: &str) -> Read<DirectoryPath> {
    absolute(node, text)
}

fn absolute<T: FromStr>(node: &Node<'_>, text: &str) -> Read<T> {
    // A path may end with a slash, and be written in roundabout ways; the manifest's may not.
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    match format!("/{}", parts.join("/")).parse() {
        Ok(path) if text.starts_with('/') => Ok(path),
        _ => node.wrong("must be an absolute path"),
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn short(node: &Node<'_>) -> Read<Mount> {
    let text = node.text()?;
    let parts: Vec<_> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return node.wrong("must be [SOURCE:]TARGET[:OPTIONS]"),
    };
    let is_of_device = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let mount_type = if is_of_device { MountType::Bind } else { MountType::Volume };
    let mut mount = Mount::new(mount_type, path(node, target)?);
    mount.source = match source {
        Some(source) if is_of_device => Some(of_device(node, source)?),
        source => source.map(str::to_owned),
    };
    // Compose makes the directory of a short form where it is missing.
    mount.create_source = is_of_device;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" => {}
            "ro" => mount.read_only = true,
            "nocopy" if !is_of_device => mount.no_copy = true,
            // Labels of SELinux, and hints for desktops.
            "z" | "Z" | "cached" | "delegated" | "consistent" => node.note(format!("{option} is ignored")),
            _ => match propagation(option) {
                Some(propagation) if is_of_device => mount.propagation = Some(propagation),
                _ => return node.wrong("has an option that is not known here; known are ro, rw, nocopy, z, Z and the propagations"),
            },
        }
    }
    Ok(mount)
}

/// A path of the device. There is no project's directory there, so it cannot be relative to it.
fn of_device(node: &Node<'_>, source: &str) -> Read<String> {
    if !source.starts_with('/') {
        return node.wrong("has a relative source, and a device has no directory of the project");
    }
    Ok(directory(node, source)?.as_str().to_owned())
}

fn long(node: &Node<'_>) -> Read<Mount> {
    let mut fields = Fields::of(node)?;
    let mount_type = fields.need("type", |node| match node.text()? {
        "bind" => Ok(MountType::Bind),
        "volume" => Ok(MountType::Volume),
        "tmpfs" => Ok(MountType::Tmpfs),
        _ => node.wrong("must be bind, volume or tmpfs"),
    });
    let target = fields.need("target", |node| path(node, node.text()?));
    let source = fields.take("source", |node| match mount_type {
        Some(MountType::Bind) => of_device(node, node.text()?),
        Some(MountType::Tmpfs) => node.wrong("does not go with tmpfs"),
        Some(MountType::Volume) | None => scalar(node),
    });
    if mount_type == Some(MountType::Bind) && source.is_none() && !fields.has("source") {
        fields.need("source", scalar);
    }
    let read_only = fields.take("read_only", flag);
    fields.skip(&["consistency"]);
    let bind = if mount_type == Some(MountType::Bind) { fields.take("bind", bind_options) } else { None };
    let volume =
        if mount_type == Some(MountType::Volume) { fields.take("volume", volume_options) } else { None };
    let memory =
        if mount_type == Some(MountType::Tmpfs) { fields.take("tmpfs", tmpfs_options) } else { None };
    fields.ignore(&["bind", "volume", "tmpfs"], "is of another type of mount; it is ignored");
    let mount = mount_type.zip(target).map(|(mount_type, target)| {
        let (propagation, create_source) = bind.unwrap_or((None, true));
        let (no_copy, sub_path) = volume.unwrap_or_default();
        let (size, mode) = memory.unwrap_or_default();
        let create_source = mount_type == MountType::Bind && create_source;
        let read_only = read_only.unwrap_or(false);
        Mount {
            source,
            read_only,
            propagation,
            create_source,
            no_copy,
            sub_path,
            size,
            mode,
            ..Mount::new(mount_type, target)
        }
    });
    fields.end(mount)
}

fn bind_options(node: &Node<'_>) -> Read<(Option<Propagation>, bool)> {
    let mut fields = Fields::of(node)?;
    let propagation = fields.take("propagation", |node| match propagation(node.text()?) {
        Some(propagation) => Ok(propagation),
        None => node.wrong("must be private, rprivate, shared, rshared, slave or rslave"),
    });
    let creates = fields.take("create_host_path", flag).unwrap_or(true);
    fields.ignore(&["selinux", "recursive"], "is ignored");
    fields.end(Some((propagation, creates)))
}

fn propagation(word: &str) -> Option<Propagation> {
    match word {
        "private" => Some(Propagation::Private),
        "rprivate" => Some(Propagation::RPrivate),
        "shared" => Some(Propagation::Shared),
        "rshared" => Some(Propagation::RShared),
        "slave" => Some(Propagation::Slave),
        "rslave" => Some(Propagation::RSlave),
        _ => None,
    }
}

fn volume_options(node: &Node<'_>) -> Read<(bool, Option<String>)> {
    let mut fields = Fields::of(node)?;
    let no_copy = fields.take("nocopy", flag).unwrap_or(false);
    let sub_path = fields.take("subpath", scalar);
    fields.ignore(&["labels"], "is ignored");
    fields.end(Some((no_copy, sub_path)))
}

fn tmpfs_options(node: &Node<'_>) -> Read<(Option<manifest_types::quantity::Size>, Option<Mode>)> {
    let mut fields = Fields::of(node)?;
    let size = fields.take("size", size);
    let mode = fields.take("mode", |node| match (node.value().as_u64(), node.value().as_str()) {
        // YAML's 0755 has become a number.
        (Some(number), _) => match u32::try_from(number).ok().filter(|number| *number <= 0o7777) {
            Some(mode) => Ok(Mode(mode)),
            None => node.wrong("must be permission bits"),
        },
        (None, Some(text)) => bits(text).map_or_else(|| node.wrong("must be permission bits"), Ok),
        (None, None) => node.wrong("must be permission bits"),
    });
    fields.end(Some((size, mode)))
}

fn bits(text: &str) -> Option<Mode> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777).map(Mode)
}

/// `PATH[:OPTIONS]`.
fn memory(node: &Node<'_>) -> Read<Mount> {
    let text = node.text()?;
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = Mount::new(MountType::Tmpfs, path(node, target)?);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("rw", "") => {}
            ("ro", "") => mount.read_only = true,
            ("size", value) => match bytes(value) {
                Some(bytes) => mount.size = Some(manifest_types::quantity::Size(bytes)),
                None => return node.wrong("has a size that is none, such as \"size=64m\""),
            },
            ("mode", value) => match bits(value) {
                Some(mode) => mount.mode = Some(mode),
                None => return node.wrong("has a mode that is none, such as \"mode=1777\""),
            },
            // The engine's own way with memory.
            ("nosuid" | "nodev" | "noexec", "") => {}
            _ => {
                return node.wrong(
                    "has an option that is not known here; known are size, mode, ro, rw, nosuid, nodev and noexec",
                );
            }
        }
    }
    Ok(mount)
}
