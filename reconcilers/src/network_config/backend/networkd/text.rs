//! A spec as systemd-networkd's files. Pure, but for the rights of a file. Sources: systemd.network(5), systemd.netdev(5).

use std::{fmt::Write as _, fs, io, os::unix::fs::PermissionsExt, path::Path};

use manifest_types::{
    kinds::network_config::{Ip, LinkState, LinkType, NetworkConfigSpec},
    name::AgentId,
};

/// The daemon reads its files as a user of its own.
const MODE: u32 = 0o644;

/// The names of the files that an interface may have: of itself, and of what it is made of. The number makes them go before others'.
pub(super) fn names(interface: &str) -> [String; 2] {
    [format!("05-holdfast-{interface}.network"), format!("05-holdfast-{interface}.netdev")]
}

/// Lets everybody read a file.
pub(super) fn let_read(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
}

/// The files of a spec, by name.
pub(super) fn files(agent: &AgentId, spec: &NetworkConfigSpec, name: &str) -> Vec<(String, String)> {
    let [network, netdev] = names(name);
    let mark = format!("# Held by holdfast (agent {agent}): a change here is taken back.\n");
    let mut files = vec![(network, format!("{mark}{}", self::network(spec, name)))];
    if let Some(text) = self::netdev(spec, name) {
        files.push((netdev, format!("{mark}{text}")));
    }
    let ports = spec.ports.iter().map(|port| {
        let [network, _] = names(port.as_str());
        let mtu = spec.mtu.map(|mtu| format!("[Link]\nMTUBytes={mtu}\n")).unwrap_or_default();
        (
            network,
            format!("{mark}[Match]\nName={port}\n{mtu}[Network]\nBridge={name}\nLinkLocalAddressing=no\n"),
        )
    });
    files.extend(ports);
    files
}

fn netdev(spec: &NetworkConfigSpec, name: &str) -> Option<String> {
    match (spec.link_type, &spec.veth) {
        (LinkType::Bridge, _) => Some(format!("[NetDev]\nName={name}\nKind=bridge\n")),
        (LinkType::Veth, Some(veth)) => {
            Some(format!("[NetDev]\nName={name}\nKind=veth\n[Peer]\nName={}\n", veth.peer))
        }
        _ => None,
    }
}

fn network(spec: &NetworkConfigSpec, name: &str) -> String {
    let mut text = format!("[Match]\nName={name}\n[Link]\nRequiredForOnline=no\n");
    let mut line = |key: &str, value: &str| {
        // To write to a text does not fail.
        let _ = writeln!(text, "{key}={value}");
    };
    if let Some(mtu) = spec.mtu {
        line("MTUBytes", &mtu.to_string());
    }
    line("ActivationPolicy", if spec.state == LinkState::Up { "up" } else { "down" });
    let leases = |ip: &Option<Ip>| ip.as_ref().is_some_and(|ip| ip.dhcp);
    let dhcp = match (leases(&spec.ipv4), leases(&spec.ipv6)) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    text += "[Network]\n";
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key}={value}");
    };
    line("DHCP", dhcp.into());
    line("LinkLocalAddressing", "ipv6".into());
    line("IPv6AcceptRA", if leases(&spec.ipv6) { "yes" } else { "no" }.into());
    // What is to be there is there whether or not somebody is at the other end.
    line("ConfigureWithoutCarrier", "yes".into());
    spec.addresses().for_each(|address| line("Address", address.to_string()));
    if let Some(dns) = &spec.dns {
        dns.servers.iter().for_each(|server| line("DNS", server.to_string()));
        if !dns.search.is_empty() {
            line("Domains", dns.search.join(" "));
        }
    }
    for (family, ip) in spec.families() {
        if let Some(gateway) = ip.gateway {
            text += &route(None, Some(gateway.to_string()), ip.metric, None);
        }
        for found in &ip.routes {
            let via = found.via.map(|via| via.to_string());
            text += &route(Some(found.to.to_string()), via, found.metric, found.table);
        }
        if let (true, Some(metric)) = (ip.dhcp, ip.metric) {
            let section = if family == "ipv4" { "DHCPv4" } else { "IPv6AcceptRA" };
            let _ = write!(text, "[{section}]\nRouteMetric={metric}\n");
        }
    }
    text
}

fn route(to: Option<String>, via: Option<String>, metric: Option<u32>, table: Option<u32>) -> String {
    let given = [
        ("Destination", to),
        ("Gateway", via),
        ("Metric", metric.map(|metric| metric.to_string())),
        ("Table", table.map(|table| table.to_string())),
    ];
    let lines = given.into_iter().filter_map(|(key, value)| Some(format!("{key}={}\n", value?)));
    format!("[Route]\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(spec: Value) -> Vec<(String, String)> {
        let spec: NetworkConfigSpec = serde_json::from_value(spec).unwrap();
        let name = spec.name().unwrap().to_string();
        files(&"pump-17".parse().unwrap(), &spec, &name)
    }

    #[test]
    fn a_spec_is_written_whole() {
        let files = told(json!({
            "match": { "name": "eth0" }, "mtu": 1400,
            "ipv4": { "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1", "metric": 50,
                      "routes": [{ "to": "10.0.0.0/8", "via": "192.0.2.2", "metric": 7, "table": 100 }, { "to": "10.9.0.0/16" }] },
            "ipv6": { "dhcp": true },
            "dns": { "servers": ["192.0.2.53"], "search": ["plant.example", "example"] }
        }));
        assert_eq!(files.len(), 1);
        insta::assert_snapshot!(format!("{}\n{}", files[0].0, files[0].1));
    }

    #[test]
    fn a_bridge_has_a_file_for_itself_for_what_it_is_and_for_each_port() {
        let files =
            told(json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth1"], "mtu": 1400 }));
        insta::assert_snapshot!(
            files.iter().map(|(name, text)| format!("{name}\n{text}")).collect::<Vec<_>>().join("\n")
        );
    }
}
