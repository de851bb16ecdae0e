//! A spec as NetworkManager's profiles. Pure. Source: nm-settings-dbus(5).

use std::collections::HashMap;

use manifest_types::{
    digest::Digest,
    kinds::network_config::{Dns, Ip, LinkState, LinkType, NetworkConfigSpec},
};
use zbus::zvariant::Value;

/// Where a profile of ours has the digest of what it was made of.
pub(super) const DIGEST: &str = "org.holdfast.digest";
/// And whether it is taken by itself, once it is confirmed.
pub(super) const AUTOMATIC: &str = "org.holdfast.autoconnect";
pub(super) const YES: &str = "yes";
/// Of several profiles of one interface, the one with the most is taken.
const PRIORITY: i32 = 500;

/// Settings by their groups, as D-Bus has them.
pub(super) type Settings = HashMap<String, HashMap<String, Value<'static>>>;

/// A profile of one interface.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) interface: String,
    pub(super) uuid: String,
    pub(super) settings: Settings,
    /// The digest of the part of a spec that it was made of.
    pub(super) digest: String,
    /// Whether the interface is run by it.
    pub(super) is_active: bool,
}

/// The profile's name for programs: always the same for one interface.
pub(super) fn uuid_of(interface: &str) -> String {
    let digest = Digest::of(format!("holdfast profile of {interface}").as_bytes()).to_string();
    let hex: Vec<char> = digest.chars().filter(char::is_ascii_hexdigit).rev().take(32).collect();
    let part = |range: std::ops::Range<usize>| hex[range].iter().collect::<String>();
    // A name-based one, of this making (RFC 9562, version 8).
    format!("{}-{}-8{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

/// The profiles of a spec: of the interface itself, and of each port of a bridge.
pub(super) fn profiles(spec: &NetworkConfigSpec, name: &str) -> Vec<Profile> {
    let own = profile(name, spec, own_settings(spec, name));
    let ports = spec.ports.iter().map(|port| {
        let mut settings = base(port.as_str(), "802-3-ethernet");
        put(&mut settings, "connection", "master", name.to_owned().into());
        put(&mut settings, "connection", "slave-type", "bridge".into());
        set_mtu(&mut settings, spec.mtu);
        profile(port.as_str(), spec, settings)
    });
    std::iter::once(own).chain(ports).collect()
}

fn profile(interface: &str, spec: &NetworkConfigSpec, mut settings: Settings) -> Profile {
    let text = serde_json::to_string(spec).unwrap_or_default();
    let digest = Digest::of(text.as_bytes()).to_string();
    let is_automatic = if spec.state == LinkState::Up { YES } else { "no" };
    let data =
        HashMap::from([(DIGEST.to_owned(), digest.clone()), (AUTOMATIC.to_owned(), is_automatic.to_owned())]);
    put(&mut settings, "user", "data", data.into());
    Profile {
        interface: interface.to_owned(),
        uuid: uuid_of(interface),
        settings,
        digest,
        is_active: spec.state == LinkState::Up,
    }
}

impl Profile {
    /// The same while it is on trial: should nobody be there any more who could take it back, it is not taken by itself again.
    pub(super) fn on_trial(mut self) -> Self {
        put(&mut self.settings, "connection", "autoconnect", false.into());
        self
    }
}

/// Whether a name server is of a family that the interface has no addresses of.
pub(super) fn homeless_server(spec: &NetworkConfigSpec) -> bool {
    let has = |ip: Option<&Ip>| ip.is_some_and(|ip| ip.dhcp || !ip.addresses.is_empty());
    let (four, six) = (has(spec.ipv4.as_ref()), has(spec.ipv6.as_ref()));
    let servers = spec.dns.iter().flat_map(|dns| &dns.servers);
    servers.into_iter().any(|server| if server.is_ipv6() { !six } else { !four })
}

fn put(settings: &mut Settings, group: &str, key: &str, value: Value<'static>) {
    settings.entry(group.to_owned()).or_default().insert(key.to_owned(), value);
}

fn base(interface: &str, of: &str) -> Settings {
    let mut settings = Settings::new();
    for (key, value) in [
        ("id", format!("holdfast {interface}")),
        ("uuid", uuid_of(interface)),
        ("type", of.to_owned()),
        ("interface-name", interface.to_owned()),
    ] {
        put(&mut settings, "connection", key, value.into());
    }
    put(&mut settings, "connection", "autoconnect-priority", PRIORITY.into());
    settings
}

fn set_mtu(settings: &mut Settings, mtu: Option<u32>) {
    if let Some(mtu) = mtu {
        put(settings, "802-3-ethernet", "mtu", mtu.into());
    }
}

fn own_settings(spec: &NetworkConfigSpec, name: &str) -> Settings {
    let of = match spec.link_type {
        LinkType::Ethernet => "802-3-ethernet",
        LinkType::Bridge => "bridge",
        LinkType::Vlan => "vlan",
        LinkType::Veth => "veth",
    };
    let mut settings = base(name, of);
    if spec.link_type == LinkType::Bridge {
        put(&mut settings, "bridge", "stp", false.into());
    }
    if let Some(vlan) = &spec.vlan {
        put(&mut settings, "vlan", "id", u32::from(vlan.id).into());
        put(&mut settings, "vlan", "parent", vlan.parent.to_string().into());
    }
    if let Some(veth) = &spec.veth {
        put(&mut settings, "veth", "peer", veth.peer.to_string().into());
    }
    put(&mut settings, "connection", "autoconnect", (spec.state == LinkState::Up).into());
    set_mtu(&mut settings, spec.mtu);
    family(&mut settings, "ipv4", spec.ipv4.as_ref(), spec.dns.as_ref());
    family(&mut settings, "ipv6", spec.ipv6.as_ref(), spec.dns.as_ref());
    settings
}

type Entry = HashMap<String, Value<'static>>;

fn family(settings: &mut Settings, group: &str, ip: Option<&Ip>, dns: Option<&Dns>) {
    let is_v6 = group == "ipv6";
    let method = match ip {
        Some(ip) if ip.dhcp => "auto",
        Some(ip) if !ip.addresses.is_empty() => "manual",
        _ if is_v6 => "link-local",
        _ => "disabled",
    };
    put(settings, group, "method", method.into());
    let Some(ip) = ip else { return };
    let addresses = ip.addresses.iter().map(|address| {
        Entry::from([
            ("address".to_owned(), address.ip().to_string().into()),
            ("prefix".to_owned(), u32::from(address.0.prefix_len()).into()),
        ])
    });
    put(settings, group, "address-data", addresses.collect::<Vec<_>>().into());
    if let Some(gateway) = ip.gateway {
        put(settings, group, "gateway", gateway.to_string().into());
    }
    if let Some(metric) = ip.metric {
        put(settings, group, "route-metric", i64::from(metric).into());
    }
    let routes = ip.routes.iter().map(|route| {
        let mut entry = Entry::from([
            ("dest".to_owned(), route.to.0.network().to_string().into()),
            ("prefix".to_owned(), u32::from(route.to.0.prefix_len()).into()),
        ]);
        let more = [
            ("next-hop", route.via.map(|via| via.to_string().into())),
            ("metric", route.metric.map(Value::from)),
            ("table", route.table.map(Value::from)),
        ];
        entry.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        entry
    });
    put(settings, group, "route-data", routes.collect::<Vec<_>>().into());
    let Some(dns) = dns else { return };
    let servers = dns.servers.iter().filter(|server| server.is_ipv6() == is_v6);
    match is_v6 {
        // In the order of the network's bytes.
        false => {
            let numbers = servers.filter_map(|server| match server {
                std::net::IpAddr::V4(server) => Some(u32::from_ne_bytes(server.octets())),
                std::net::IpAddr::V6(_) => None,
            });
            put(settings, group, "dns", numbers.collect::<Vec<_>>().into());
        }
        true => {
            let bytes = servers.filter_map(|server| match server {
                std::net::IpAddr::V6(server) => Some(server.octets().to_vec()),
                std::net::IpAddr::V4(_) => None,
            });
            put(settings, group, "dns", bytes.collect::<Vec<_>>().into());
        }
    }
    put(settings, group, "dns-search", dns.search.clone().into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(spec: serde_json::Value) -> Vec<Profile> {
        let spec: NetworkConfigSpec = serde_json::from_value(spec).unwrap();
        let name = spec.name().unwrap().to_string();
        profiles(&spec, &name)
    }

    fn told(profile: &Profile, group: &str, key: &str) -> String {
        profile.settings[group].get(key).map(|value| format!("{value:?}")).unwrap_or_default()
    }

    #[test]
    fn a_spec_is_one_profile_and_one_for_each_port() {
        let all = of(
            json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth1"], "ipv4": { "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1" } }),
        );
        assert_eq!(all.iter().map(|profile| profile.interface.as_str()).collect::<Vec<_>>(), ["br0", "eth1"]);
        assert!(
            told(&all[0], "ipv4", "method").contains("manual")
                && told(&all[0], "ipv6", "method").contains("link-local")
        );
        assert!(told(&all[0], "ipv4", "gateway").contains("192.0.2.1"));
        assert!(told(&all[1], "connection", "master").contains("br0"));
        assert!(!all[1].settings.contains_key("ipv4"), "a port has no addresses");
    }

    #[test]
    fn a_name_for_programs_is_always_the_same() {
        assert_eq!(uuid_of("eth0"), uuid_of("eth0"));
        assert_ne!(uuid_of("eth0"), uuid_of("eth1"));
        let lengths: Vec<_> = uuid_of("eth0").split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn another_spec_is_another_digest() {
        let digest = |mtu: u32| of(json!({ "match": { "name": "eth0" }, "mtu": mtu }))[0].digest.clone();
        assert_ne!(digest(1400), digest(1500));
    }
}
