//! What an engine says of a container's mounts, read into our own terms.

use super::{read::texts_of, wire::Told};
use crate::engine::shape::{Shape, bind_text, tmpfs_text, volume_options, volume_text};

/// Whether nobody said how mounts below a directory of the device are seen: what the engine has chosen is its default then, and ours.
fn is_chosen_by_the_engine(host: Told<'_>, target: &str) -> bool {
    let mounts = host.list("Mounts").filter(|mount| mount.text("Target") == target);
    let mut of_mounts = mounts.map(|mount| mount.at("BindOptions").text("Propagation").is_empty());
    let binds = texts_of(host.at("Binds"));
    let binds = binds.iter().map(|bind| bind.split(':').collect::<Vec<_>>());
    let mut of_binds = binds.filter(|parts| parts.get(1) == Some(&target)).map(|parts| {
        let mut options = parts.get(2).copied().unwrap_or_default().split(',');
        !options.any(|option| ["private", "shared", "slave"].iter().any(|word| option.ends_with(word)))
    });
    of_mounts.next().or_else(|| of_binds.next()).unwrap_or(false)
}

/// Reads all of them into a shape.
pub(super) fn mounts(shape: &mut Shape, told: Told<'_>, host: Told<'_>) {
    for mount in told.list("Mounts") {
        let rights = if mount.flag("RW") { "rw" } else { "ro" };
        let text = match mount.text("Type") {
            "bind" => {
                let is_chosen = is_chosen_by_the_engine(host, mount.text("Destination"));
                let propagation = if is_chosen { "rprivate" } else { mount.text("Propagation") };
                bind_text(mount.text("Source"), rights, propagation)
            }
            "volume" => volume_text(mount.text("Name"), rights),
            _ => continue,
        };
        shape.set(format!("mounts.{}", mount.text("Destination")), text);
    }
    for mount in host.list("Mounts").filter(|mount| mount.text("Type") == "volume") {
        let options = mount.at("VolumeOptions");
        let options = volume_options(!options.flag("NoCopy"), options.some_text("Subpath").as_deref());
        shape.set_some(&format!("volumeOptions.{}", mount.text("Target")), options);
    }
    for mount in host.list("Mounts").filter(|mount| mount.text("Type") == "tmpfs") {
        let rights = if mount.flag("ReadOnly") { "ro" } else { "rw" };
        let options = mount.at("TmpfsOptions");
        let size = Some(options.amount("SizeBytes")).filter(|size| *size > 0);
        let mode = u32::try_from(options.amount("Mode")).ok().filter(|mode| *mode > 0);
        shape.set(format!("mounts.{}", mount.text("Target")), tmpfs_text(rights, size, mode));
    }
    for (target, options) in host.entries("Tmpfs") {
        let options: Vec<_> = options.as_text().split(',').collect();
        let rights = if options.contains(&"ro") { "ro" } else { "rw" };
        let value = |name: &str| options.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        let size = value("size").and_then(|size| size.parse().ok());
        let mode = value("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
        shape.set(format!("mounts.{target}"), tmpfs_text(rights, size, mode));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_engine_has_chosen_is_the_default() {
        let seen = |host: serde_json::Value| {
            let told = json!({ "Mounts": [{ "Type": "bind", "Source": "/", "Destination": "/device", "RW": false, "Propagation": "rslave" }] });
            let mut shape = Shape::default();
            mounts(&mut shape, Told(&told), Told(&host));
            shape.get("mounts./device").and_then(|text| text.as_str().map(str::to_owned)).unwrap()
        };
        let mount = |options: serde_json::Value| json!({ "Mounts": [{ "Type": "bind", "Target": "/device", "BindOptions": options }] });
        let bind = |text: &str| json!({ "Binds": ["/a:/b", text] });
        for host in [
            mount(json!(null)),
            mount(json!({ "Propagation": "" })),
            bind("/:/device"),
            bind("/:/device:ro,z"),
        ] {
            assert_eq!(seen(host), "bind / ro rprivate");
        }
        for host in [mount(json!({ "Propagation": "rslave" })), bind("/:/device:ro,rslave"), json!({})] {
            assert_eq!(seen(host), "bind / ro rslave");
        }
    }
}
