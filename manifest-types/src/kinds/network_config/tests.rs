use serde_json::{Value, json};

use super::*;
use crate::kinds::ResourceSpec;

fn with(more: Value) -> Value {
    let mut spec = json!({ "match": { "name": "eth0" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn spec(more: Value) -> NetworkConfigSpec {
    serde_json::from_value(with(more)).unwrap()
}

fn problems(more: Value) -> Vec<String> {
    spec(more).problems().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_right_has_no_problems() {
    for good in [
        json!({}),
        json!({ "ipv4": { "dhcp": true }, "ipv6": {} }),
        json!({ "ipv4": { "addresses": ["192.0.2.10/24", "198.51.100.7/32"], "gateway": "192.0.2.1", "metric": 50,
                          "routes": [{ "to": "10.0.0.0/8", "via": "192.0.2.2", "metric": 7, "table": 100 }, { "to": "10.0.0.0/8", "via": "192.0.2.3" }] },
                "ipv6": { "addresses": ["2001:db8::10/64"], "gateway": "fe80::1" },
                "dns": { "servers": ["192.0.2.53"], "search": ["plant.example"] }, "mtu": 1400 }),
        json!({ "type": "Bridge", "ports": ["eth1", "eth2"], "confirm": { "within": "10s", "checks": [] } }),
        json!({ "type": "Vlan", "vlan": { "id": 7, "parent": "eth1" } }),
        json!({ "type": "Veth", "veth": { "peer": "eth1" } }),
        json!({ "state": "Down" }),
        json!({ "match": { "mac": "52:54:00:12:34:56" } }),
        json!({ "confirm": { "checks": ["Gateway", { "Http": { "url": "http://192.0.2.1/" } }, { "Tcp": { "addr": "192.0.2.1:22" } }] } }),
    ] {
        assert_eq!(problems(good.clone()), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (bad, told) in [
        (json!({ "match": {} }), "match: needs a name or a mac"),
        (
            json!({ "match": { "name": "eth0", "mac": "52:54:00:12:34:56" } }),
            "match: takes name or mac, not both",
        ),
        (
            json!({ "match": { "mac": "52:54:00:12:34:56" }, "type": "Bridge" }),
            "match: needs a name: what is made",
        ),
        (json!({ "match": { "name": "lo" } }), "match.name: is the loopback interface"),
        (json!({ "type": "Bridge", "ports": ["eth0"] }), "ports[0]: is named before"),
        (json!({ "type": "Bridge", "ports": ["lo"] }), "ports[0]: is the loopback interface"),
        (json!({ "ports": ["eth1"] }), "ports: goes with `type: Bridge` only"),
        (json!({ "type": "Vlan" }), "vlan: is needed by `type: Vlan`"),
        (json!({ "type": "Vlan", "vlan": { "id": 4095, "parent": "eth1" } }), "vlan.id: must be 1"),
        (json!({ "type": "Veth" }), "veth: is needed by `type: Veth`"),
        (json!({ "mtu": 60 }), "mtu: must be 68 at least"),
        (json!({ "mtu": 1000, "ipv6": {} }), "mtu: must be 1280 at least"),
        (json!({ "state": "Down", "ipv6": {} }), "ipv6: does not go with `state: Down`"),
        (json!({ "ipv4": {} }), "ipv4: needs `dhcp: true` or addresses"),
        (json!({ "ipv4": { "addresses": ["2001:db8::1/64"] } }), "ipv4.addresses[0]: must be of IPv4"),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24", "192.0.2.1/24"] } }),
            "ipv4.addresses[1]: is there before",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24", "192.0.2.9/25"] } }),
            "ipv4.addresses[1]: is in a network that overlaps",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "gateway": "192.0.3.1" } }),
            "ipv4.gateway: leads nowhere",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.1" } }),
            "ipv4.gateway: is an address of this",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "metric": 1 } }),
            "ipv4.metric: goes with a gateway",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "routes": [{ "to": "10.0.0.0/8", "via": "192.0.2.2", "table": 255 }] } }),
            "ipv4.routes[0].table: must be 1 at least, and not 255",
        ),
        (
            json!({ "ipv6": { "addresses": ["2001:db8::1/64"], "gateway": "2001:db8::2", "metric": 0 } }),
            "ipv6.metric: must be 1 at least",
        ),
        (
            json!({ "ipv6": { "addresses": ["2001:db8::1/64"], "routes": [{ "to": "2001:db8:1::/48", "via": "2001:db8::2", "metric": 0 }] } }),
            "ipv6.routes[0].metric: must be 1 at least",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "routes": [{ "to": "10.0.0.0/8", "via": "10.0.0.1" }] } }),
            "ipv4.routes[0].via: leads nowhere",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "routes": [{ "to": "10.0.0.0/8", "table": 0 }] } }),
            "ipv4.routes[0].table: must be 1",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "routes": [{ "to": "10.0.0.0/8" }, { "to": "10.0.0.0/8" }] } }),
            "ipv4.routes[1]: is there before",
        ),
        (
            json!({ "ipv4": { "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.2", "routes": [{ "to": "0.0.0.0/0" }] } }),
            "ipv4.routes[0].to: is what the gateway is for",
        ),
        (json!({ "dns": {} }), "dns: needs servers or search"),
        (json!({ "dns": { "search": ["a b"] } }), "dns.search[0]: must be a domain"),
        (json!({ "dns": { "servers": ["0.0.0.0"] } }), "dns.servers[0]: must be one host's"),
        (json!({ "confirm": { "within": "1s" } }), "confirm.within: must be 5s at least and 10m at most"),
        (
            json!({ "confirm": { "checks": [{ "Http": { "url": "https://a" } }] } }),
            "confirm.checks[0].Http.url: must be",
        ),
        (
            json!({ "confirm": { "checks": [{ "Tcp": { "addr": "a" } }] } }),
            "confirm.checks[0].Tcp.addr: must be",
        ),
    ] {
        let found = problems(bad.clone());
        assert!(found.len() == 1 && found[0].contains(told), "{bad}: {found:?}");
    }
}

#[test]
fn what_no_interface_has_is_not_read() {
    for bad in [
        json!({ "match": { "name": "a234567890123456" } }),
        json!({ "match": { "name": "a/b" } }),
        json!({ "ipv4": { "addresses": ["192.0.2.1"] } }),
        json!({ "ipv4": { "routes": [{ "to": "10.0.0.1/8" }] } }),
        json!({ "confirm": { "checks": ["Nothing"] } }),
        json!({ "type": "Bond" }),
    ] {
        assert!(serde_json::from_value::<NetworkConfigSpec>(with(bad.clone())).is_err(), "{bad}");
    }
}

#[test]
fn an_interface_and_the_ports_of_a_bridge_are_claimed() {
    let id = "lan".parse().unwrap();
    let claims = |more| spec(more).claims(&id).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(claims(json!({ "type": "Bridge", "ports": ["eth1"] })), ["interface:eth0", "interface:eth1"]);
    let mac = json!({ "match": { "mac": "52:54:00:12:34:56" } });
    assert_eq!(claims(mac), ["interface:52:54:00:12:34:56"]);
    assert_eq!(claims(json!({ "type": "Veth", "veth": { "peer": "eth1" } })), ["interface:eth0"]);
}
