//! Networks, as engines tell them and take them.

use manifest_types::kinds::{
    container_network::{ContainerNetworkSpec, Pool},
    engine::Texts,
};
use serde_json::{Map, Value, json};

use super::wire::Told;
use crate::engine::terms::Network;

/// Reads one of the networks that an engine lists.
pub(super) fn network(told: Told<'_>) -> Network {
    let ipam = told.at("IPAM");
    let pool = |pool: Told<'_>| Pool {
        subnet: pool.text("Subnet").to_owned(),
        gateway: pool.some_text("Gateway").and_then(|gateway| gateway.parse().ok()),
        ip_range: pool.some_text("IPRange"),
        aux_addresses: pool
            .texts("AuxiliaryAddresses")
            .into_iter()
            .filter_map(|(name, address)| Some((name, address.parse().ok()?)))
            .collect(),
    };
    let mut options = told.texts("Options");
    // Podman takes Docker's name for it, and tells its own.
    if let Some(mtu) = options.get("mtu").cloned() {
        options.entry("com.docker.network.driver.mtu".to_owned()).or_insert(mtu);
    }
    Network {
        id: told.text("Id").to_owned(),
        name: told.text("Name").to_owned(),
        driver: told.text("Driver").to_owned(),
        options,
        internal: told.flag("Internal"),
        ipv6: told.flag("EnableIPv6"),
        ipam_driver: ipam.text("Driver").to_owned(),
        ipam_options: ipam.texts("Options"),
        pools: ipam.list("Config").map(pool).collect(),
        labels: told.texts("Labels"),
    }
}

/// The body that makes a network. A second one of the same name is refused.
pub(super) fn body(name: &str, spec: &ContainerNetworkSpec, marks: &Texts) -> Value {
    let mut labels = spec.labels.clone();
    labels.extend(marks.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut body = Map::new();
    body.insert("Name".into(), name.into());
    body.insert("CheckDuplicate".into(), true.into());
    body.insert("Driver".into(), spec.wanted_driver().into());
    body.insert("Options".into(), json!(spec.options));
    body.insert("Internal".into(), spec.internal.into());
    body.insert("EnableIPv6".into(), spec.ipv6.into());
    body.insert("Labels".into(), json!(labels));
    if let Some(ipam) = &spec.ipam {
        let pool = |pool: &Pool| {
            let mut config = Map::new();
            config.insert("Subnet".into(), pool.subnet.clone().into());
            if let Some(gateway) = pool.gateway {
                config.insert("Gateway".into(), gateway.to_string().into());
            }
            if let Some(range) = &pool.ip_range {
                config.insert("IPRange".into(), range.clone().into());
            }
            if !pool.aux_addresses.is_empty() {
                config.insert("AuxiliaryAddresses".into(), json!(pool.aux_addresses));
            }
            Value::Object(config)
        };
        let pools: Vec<_> = ipam.pools.iter().map(pool).collect();
        let driver = ipam.driver.as_deref().unwrap_or("default");
        let mut ipam = json!({ "Driver": driver, "Config": pools, "Options": ipam.options });
        if ipam["Options"] == json!({}) {
            ipam["Options"] = Value::Null;
        }
        body.insert("IPAM".into(), ipam);
    }
    body.into()
}
