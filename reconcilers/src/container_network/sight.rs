//! What was seen of an engine's network, and how it is compared with its spec. Pure.

use manifest_types::kinds::{
    ResourceDetails,
    container_network::{ContainerNetworkDetails, ContainerNetworkSpec},
};
use serde_json::Value;

use crate::{
    engine::{marks, shape::Shape, terms::Network},
    observation::{Difference, Health, Observed},
};

/// What was seen of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Its name.
    pub name: String,
    /// Whether it bears our mark, or is taken over.
    pub is_ours: bool,
    /// The network, if it is there.
    pub found: Option<Network>,
}

impl Observed<ContainerNetworkSpec> for Sight {
    fn is_present(&self) -> bool {
        self.found.is_some()
    }

    fn drift(&self, wanted: &ContainerNetworkSpec) -> Vec<Difference> {
        match &self.found {
            Some(found) => Shape::wanted_network(wanted)
                .differences(&Shape::of_network(found), &marks::birth(&found.labels)),
            None => vec![Difference::in_place("network", self.name.as_str(), Value::Null)],
        }
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn details(&self) -> Option<ResourceDetails> {
        let found = self.found.as_ref()?;
        Some(ResourceDetails::ContainerNetwork(ContainerNetworkDetails {
            name: found.name.clone(),
            network_id: found.id.clone(),
            driver: found.driver.clone(),
            subnets: found.pools.iter().map(|pool| pool.subnet.clone()).collect(),
        }))
    }

    /// Making it anew cuts off those that are in it.
    fn is_running(&self) -> bool {
        self.is_ours
    }

    fn is_marked_ours(&self) -> bool {
        self.is_ours
    }
}
