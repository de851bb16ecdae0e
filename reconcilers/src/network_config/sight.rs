//! What was seen of an interface, and how it is compared with its spec. Pure.

use manifest_types::kinds::{
    ResourceDetails,
    network_config::{NetworkConfigDetails, NetworkConfigSpec},
};
use serde_json::Value;

use super::{
    setup::Setup,
    terms::{Link, Links},
};
use crate::observation::{Difference, Health, Observed};

/// What was seen of an interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Its name; `None`: no interface is the one that is meant.
    pub name: Option<String>,
    /// What is meant, in the spec's words.
    pub meant: String,
    /// It, and what it has to do with.
    pub links: Links,
    /// Interfaces that are held, and wanted no more.
    pub former: Vec<String>,
    /// Where what manages it has another configuration of it.
    pub configured: Vec<Difference>,
    /// What manages it.
    pub backend: String,
    /// Whether something of it was changed by us.
    pub is_held: bool,
    /// Whether it was there before us; `None`: that is not known.
    pub was_there: Option<bool>,
    /// Addresses that are to come and have not.
    pub awaits_lease: bool,
}

impl std::hash::Hash for Sight {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (
            &self.name,
            &self.links,
            &self.former,
            &self.backend,
            self.is_held,
            self.was_there,
            self.awaits_lease,
        )
            .hash(state);
        self.configured.iter().for_each(|difference| difference.path.hash(state));
    }
}

impl Sight {
    fn link(&self) -> Option<&Link> {
        self.links.get(self.name.as_ref()?)
    }
}

impl Observed<NetworkConfigSpec> for Sight {
    fn is_present(&self) -> bool {
        self.link().is_some()
    }

    fn drift(&self, wanted: &NetworkConfigSpec) -> Vec<Difference> {
        let Some(name) = self.name.as_deref().or(wanted.name().map(|name| name.as_str())) else {
            return vec![Difference::in_place("interface", self.meant.as_str(), Value::Null)];
        };
        let mut differences = Setup::of(name, wanted).differences(&self.links);
        differences.extend(self.configured.iter().cloned());
        let former = self.former.iter();
        differences.extend(former.map(|name| Difference::in_place("former", Value::Null, name.as_str())));
        differences
    }

    fn health(&self) -> Health {
        match self.link() {
            None => Health::Starting("it is not there"),
            Some(_) if self.awaits_lease => Health::Starting("the network has not given it an address yet"),
            Some(_) => Health::Healthy,
        }
    }

    fn details(&self) -> Option<ResourceDetails> {
        let (name, link) = (self.name.as_ref()?, self.link()?);
        let addresses = link.addresses.iter().filter(|addr| !addr.is_kernels());
        let gateways = link.routes.iter().filter(|route| route.is_default()).filter_map(|route| route.via);
        Some(ResourceDetails::NetworkConfig(NetworkConfigDetails {
            interface: name.clone(),
            mac: link.mac.map(|mac| mac.to_string()),
            oper_state: link.oper_state.clone(),
            mtu: link.mtu,
            addresses: addresses.map(|addr| addr.net.to_string()).collect(),
            gateways: gateways.map(|gateway| gateway.to_string()).collect(),
            backend: self.backend.clone(),
        }))
    }

    fn is_running(&self) -> bool {
        self.link().is_some_and(|link| link.is_up)
    }

    fn is_marked_ours(&self) -> bool {
        self.was_there == Some(false)
    }

    fn keeps_original(&self) -> bool {
        self.was_there == Some(true)
    }
}
