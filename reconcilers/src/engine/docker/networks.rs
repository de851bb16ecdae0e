//! Networks, as engines tell them and take them.

use manifest_types::kinds::{container_network::ContainerNetworkSpec, engine::Texts};
use serde_json::{Map, Value, json};

use super::wire::Told;
use crate::engine::terms::Network;

/// Reads one of the networks that an engine lists.
pub(super) fn network(told: Told<'_>) -> Network {
    let ipam = told.at("IPAM");
    let pool = |pool: Told<'_>| {
        (pool.text("Subnet").to_owned(), pool.some_text("Gateway"), pool.some_text("IPRange"))
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
        let pool = |pool: &manifest_types::kinds::container_network::Pool| {
            let mut config = Map::new();
            config.insert("Subnet".into(), pool.subnet.clone().into());
            if let Some(gateway) = pool.gateway {
                config.insert("Gateway".into(), gateway.to_string().into());
            }
            if let Some(range) = &pool.ip_range {
                config.insert("IPRange".into(), range.clone().into());
            }
            Value::Object(config)
        };
        let pools: Vec<_> = ipam.pools.iter().map(pool).collect();
        let driver = ipam.driver.as_deref().unwrap_or("default");
        body.insert("IPAM".into(), json!({ "Driver": driver, "Config": pools }));
    }
    body.into()
}
