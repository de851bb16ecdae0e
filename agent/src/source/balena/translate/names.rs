//! What the parts of an app are called: in the engine as the Supervisor calls them, so that what it has made is found, and in the manifest.

use manifest_types::{
    digest::Digest,
    kinds::file::AbsolutePath,
    name::{GroupName, ResourceId},
};

/// The most of a name that stands in a resource's id.
const LONGEST: usize = 100;

/// The names of one app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    id: u64,
    uuid: &'a str,
}

impl<'a> Names<'a> {
    pub(super) fn new(id: u64, uuid: &'a str) -> Self {
        Self { id, uuid }
    }

    pub(super) fn app_id(&self) -> u64 {
        self.id
    }

    pub(super) fn app_uuid(&self) -> &'a str {
        self.uuid
    }

    /// How the ids of all its resources begin.
    pub(super) fn prefix(&self) -> String {
        format!("{}.", self.id)
    }

    /// The group of all its services.
    pub(super) fn group(&self) -> GroupName {
        format!("app-{}", self.id).parse().expect("a number makes a name")
    }

    pub(super) fn service_id(&self, service: &str) -> ResourceId {
        self.resource("", service)
    }

    pub(super) fn image_id(&self, service: &str) -> ResourceId {
        self.resource("image.", service)
    }

    pub(super) fn volume_id(&self, volume: &str) -> ResourceId {
        self.resource("volume.", volume)
    }

    pub(super) fn network_id(&self, network: &str) -> ResourceId {
        self.resource("network.", network)
    }

    /// A container keeps its name from release to release: others may mean it by that.
    pub(super) fn container(&self, service: &str) -> String {
        format!("{service}_{}", self.id)
    }

    pub(super) fn volume(&self, volume: &str) -> String {
        format!("{}_{volume}", self.id)
    }

    pub(super) fn network(&self, network: &str) -> String {
        format!("{}_{network}", self.uuid)
    }

    /// The locks with which a service forbids to be disrupted, in both forms.
    pub(super) fn lock_files(&self, service: &str) -> [String; 2] {
        ["updates.lock", "resin-updates.lock"].map(|file| format!("{}/{file}", self.locks(service)))
    }

    /// The files of which a service makes one when it has taken over from the one before it, in both forms.
    pub(super) fn hand_over_files(&self, service: &str) -> Vec<AbsolutePath> {
        let files =
            ["handover-complete", "resin-kill-me"].map(|file| format!("{}/{file}", self.locks(service)));
        files.iter().filter_map(|file| file.parse().ok()).collect()
    }

    /// The directory of the device that a service sees as `/tmp/balena`.
    pub(super) fn locks(&self, service: &str) -> String {
        format!("/tmp/balena-supervisor/services/{}/{service}", self.id)
    }

    /// `ID.[KIND.]NAME`. A name that cannot stand there as it is has a digest before it, so that no two are the same.
    fn resource(&self, kind: &str, name: &str) -> ResourceId {
        let as_it_is = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_plain = name.len() <= LONGEST && name.bytes().all(as_it_is) && !name.ends_with('-');
        let part = if is_plain {
            name.to_owned()
        } else {
            let replaced = name.bytes().take(LONGEST).map(|byte| match byte.to_ascii_lowercase() {
                byte if as_it_is(byte) => char::from(byte),
                _ => '-',
            });
            let replaced: String = replaced.collect();
            format!("{}.{}", &Digest::of(name.as_bytes()).short()[..8], replaced.trim_end_matches('-'))
        };
        let text = format!("{}{kind}{part}", self.prefix());
        text.trim_end_matches('.').parse().expect("digits, letters and what is between them make an id")
    }
}

/// The rule of names of services, volumes and networks; the longest that still fits into a container's name.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=200).contains(&name.len()) && name.bytes().all(fits) && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_an_id_of_its_own() {
        let names = Names::new(42, "d0e1");
        assert_eq!(names.service_id("main").as_str(), "42.main");
        assert_eq!(names.volume_id("resin-data").as_str(), "42.volume.resin-data");
        let mut ids: Vec<_> =
            ["a_b", "a.b", "a-b", "A-b", "a-b-", "a", "A", &"x".repeat(101), &"x".repeat(102)]
                .iter()
                .map(|name| names.service_id(name).to_string())
                .collect();
        assert!(ids[0].ends_with(".a-b") && ids[0].len() == "42.".len() + 8 + ".a-b".len(), "{}", ids[0]);
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
