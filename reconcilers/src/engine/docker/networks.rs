//! Networks, as engines tell them and take them.

use manifest_types::kinds::{container_network::ContainerNetworkSpec, engine::Texts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::engine::terms::Network;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireNetwork {
    id: String,
    name: String,
    driver: String,
    internal: bool,
    #[serde(rename = "EnableIPv6")]
    ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: WireIpam,
    labels: Option<Texts>,
    options: Option<Texts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireIpam {
    driver: String,
    config: Option<Vec<WirePool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WirePool {
    subnet: String,
    gateway: Option<String>,
    #[serde(rename = "IPRange")]
    ip_range: Option<String>,
}

impl WireNetwork {
    pub(super) fn read(self) -> Network {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let pools = self.ipam.config.unwrap_or_default().into_iter();
        Network {
            id: self.id,
            name: self.name,
            driver: self.driver,
            options: self.options.unwrap_or_default(),
            internal: self.internal,
            ipv6: self.ipv6,
            ipam_driver: self.ipam.driver,
            pools: pools.map(|pool| (pool.subnet, some(pool.gateway), some(pool.ip_range))).collect(),
            labels: self.labels.unwrap_or_default(),
        }
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
