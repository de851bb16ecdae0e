//! The settings of volumes and networks. Options may hold passwords, so they stand here as digests.

use std::net::IpAddr;

use manifest_types::{
    digest::Digest,
    kinds::{
        container_network::{ContainerNetworkSpec, Pool},
        engine::Texts,
        volume::VolumeSpec,
    },
};

use super::Shape;
use crate::engine::terms::{Network, Volume};

impl Shape {
    /// The settings that a volume's spec wants.
    pub fn wanted_volume(spec: &VolumeSpec) -> Self {
        let mut shape = Self::default();
        shape.set("driver", spec.wanted_driver());
        shape.digests("options", &spec.options);
        shape.texts("labels", &spec.labels);
        shape
    }

    /// The settings of a volume.
    pub fn of_volume(volume: &Volume) -> Self {
        let mut shape = Self::default();
        shape.set("driver", volume.driver.as_str());
        shape.digests("options", &volume.options);
        shape.texts("labels", &volume.labels);
        shape
    }

    /// The settings that a network's spec wants.
    pub fn wanted_network(spec: &ContainerNetworkSpec) -> Self {
        let mut shape = Self::default();
        shape.set("driver", spec.wanted_driver());
        shape.set("internal", spec.internal);
        shape.set("ipv6", spec.ipv6);
        shape.digests("options", &spec.options);
        shape.texts("labels", &spec.labels);
        if let Some(ipam) = &spec.ipam {
            shape.set_some("ipam.driver", ipam.driver.as_deref());
            shape.digests("ipam.options", &ipam.options);
            ipam.pools.iter().for_each(|pool| shape.pool(pool));
        }
        shape
    }

    /// The settings of a network.
    pub fn of_network(network: &Network) -> Self {
        let mut shape = Self::default();
        shape.set("driver", network.driver.as_str());
        shape.set("internal", network.internal);
        shape.set("ipv6", network.ipv6);
        shape.digests("options", &network.options);
        shape.texts("labels", &network.labels);
        shape.set("ipam.driver", network.ipam_driver.as_str());
        shape.digests("ipam.options", &network.ipam_options);
        network.pools.iter().for_each(|pool| shape.pool(pool));
        shape
    }

    /// Sets each text by its name below a path, as a digest: it may be a password.
    pub(in crate::engine) fn digests(&mut self, path: &str, texts: &Texts) {
        for (name, value) in texts {
            self.set(format!("{path}.{name}"), Digest::of(value.as_bytes()).to_string());
        }
    }

    fn pool(&mut self, pool: &Pool) {
        let path = format!("ipam.pools.{}", canonical(&pool.subnet));
        self.set(path.as_str(), true);
        self.set_some(&format!("{path}.gateway"), pool.gateway.map(|gateway| gateway.to_string()));
        self.set_some(&format!("{path}.ipRange"), pool.ip_range.as_deref().map(canonical));
        for (name, address) in &pool.aux_addresses {
            self.set(format!("{path}.auxAddresses.{name}"), address.to_string());
        }
    }
}

/// A range of addresses as the kernel writes it: engines write IPv6 in several ways.
fn canonical(range: &str) -> String {
    let parts =
        range.split_once('/').and_then(|(first, length)| Some((first.parse::<IpAddr>().ok()?, length)));
    parts.map_or_else(|| range.to_owned(), |(first, length)| format!("{first}/{length}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_however_it_is_written() {
        for (written, one) in [
            ("FD00:7::/64", "fd00:7::/64"),
            ("fd00:7:0::/64", "fd00:7::/64"),
            ("10.5.0.0/24", "10.5.0.0/24"),
            ("nowhere", "nowhere"),
        ] {
            assert_eq!(canonical(written), one);
        }
    }
}
