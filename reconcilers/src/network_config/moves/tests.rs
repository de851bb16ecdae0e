use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::network_config::terms::MAIN_TABLE;

fn setup(name: &str, more: Value) -> Setup {
    let mut spec = json!({ "match": { "name": name } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Setup::of(name, &serde_json::from_value(spec).unwrap())
}

fn addr(text: &str) -> Addr {
    Addr::of(text.parse().unwrap())
}

fn default(via: &str) -> Route {
    Route::of("0.0.0.0/0".parse().unwrap(), Some(via.parse().unwrap()), 0, MAIN_TABLE)
}

fn eth0() -> Link {
    Link {
        is_up: true,
        mtu: 1500,
        addresses: BTreeSet::from([addr("192.0.2.10/24"), addr("fe80::1/64")]),
        routes: BTreeSet::from([default("192.0.2.1")]),
        ..Link::default()
    }
}

fn told(moves: &[Move]) -> Vec<String> {
    let told = moves.iter().map(|one| match &one.change {
        Change::AddAddress(addr) => format!("{} +{}", one.link, addr.net),
        Change::RemoveAddress(addr) => format!("{} -{}", one.link, addr.net),
        Change::AddRoute(route) => format!("{} +{} {:?}", one.link, route.to, route.via),
        Change::RemoveRoute(route) => format!("{} -{} {:?}", one.link, route.to, route.via),
        other => format!("{} {other:?}", one.link),
    });
    told.collect()
}

#[test]
fn what_is_as_wanted_asks_for_nothing() {
    let links = Links::from([("eth0".into(), eth0())]);
    let wanted = setup("eth0", json!({ "ipv4": { "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1" } }));
    assert_eq!(wanted.differences(&links), []);
    assert_eq!(told(&to(&links, &wanted, None)), Vec::<String>::new());
}

#[test]
fn another_address_comes_with_its_routes() {
    let links = Links::from([("eth0".into(), eth0())]);
    let wanted = setup(
        "eth0",
        json!({ "mtu": 1400, "ipv4": { "addresses": ["198.51.100.7/24"], "gateway": "198.51.100.1" }, "ipv6": { "addresses": ["2001:db8::7/64"] } }),
    );
    assert_eq!(
        told(&to(&links, &wanted, None)),
        [
            "eth0 Mtu(1400)",
            "eth0 -192.0.2.10/24",
            "eth0 +198.51.100.7/24",
            "eth0 +2001:db8::7/64",
            "eth0 +0.0.0.0/0 Some(198.51.100.1)",
            "eth0 -0.0.0.0/0 Some(192.0.2.1)"
        ]
    );
    let back = told(&back(&links, &Snapshot::from([("eth0".into(), Some(eth0()))]), true));
    assert_eq!(back, Vec::<String>::new(), "it is as it was");
}

#[test]
fn a_bridge_takes_its_ports_with_it_and_gives_them_back() {
    let before = Links::from([("eth0".into(), eth0())]);
    let wanted = setup(
        "br0",
        json!({ "type": "Bridge", "ports": ["eth0"], "ipv4": { "addresses": ["192.0.2.10/24"] } }),
    );
    assert_eq!(
        told(&to(&before, &wanted, None)),
        [
            "br0 Make(Bridge)",
            "eth0 -192.0.2.10/24",
            "eth0 Master(Some(\"br0\"))",
            "br0 Up(true)",
            "br0 +192.0.2.10/24"
        ]
    );
    let port =
        Link { master: Some("br0".into()), addresses: BTreeSet::new(), routes: BTreeSet::new(), ..eth0() };
    let bridge = Link { made: Some(Made::Bridge), is_up: true, ..Link::default() };
    let now = Links::from([("br0".into(), bridge), ("eth0".into(), port)]);
    let was = Snapshot::from([("br0".into(), None), ("eth0".into(), Some(eth0()))]);
    assert_eq!(
        told(&back(&now, &was, true)),
        ["br0 Remove", "eth0 Master(None)", "eth0 +192.0.2.10/24", "eth0 +0.0.0.0/0 Some(192.0.2.1)"]
    );
}

#[test]
fn what_is_put_down_loses_its_routes_and_gets_them_back() {
    let before = Links::from([("eth0".into(), eth0())]);
    let down = setup("eth0", json!({ "state": "Down" }));
    assert_eq!(
        told(&to(&before, &down, None)),
        ["eth0 Up(false)", "eth0 -192.0.2.10/24", "eth0 -0.0.0.0/0 Some(192.0.2.1)"]
    );
    let now = Links::from([("eth0".into(), Link { is_up: false, routes: BTreeSet::new(), ..eth0() })]);
    let was = Snapshot::from([("eth0".into(), Some(eth0()))]);
    assert_eq!(told(&back(&now, &was, true)), ["eth0 Up(true)", "eth0 +0.0.0.0/0 Some(192.0.2.1)"]);
}

#[test]
fn routes_that_are_wanted_no_more_go_and_those_of_others_stay() {
    let own = Route::of("10.9.0.0/16".parse().unwrap(), Some("192.0.2.2".parse().unwrap()), 0, MAIN_TABLE);
    let vpns =
        Route::of("203.0.113.5/32".parse().unwrap(), Some("192.0.2.1".parse().unwrap()), 0, MAIN_TABLE);
    let mut link = eth0();
    link.routes.extend([own, vpns]);
    let links = Links::from([("eth0".into(), link)]);
    let base = json!({ "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1" });
    let mut with = base.clone();
    with["routes"] = json!([{ "to": "10.9.0.0/16", "via": "192.0.2.2" }]);
    let (former, wanted) = (setup("eth0", json!({ "ipv4": with })), setup("eth0", json!({ "ipv4": base })));
    assert_eq!(told(&to(&links, &wanted, Some(&former))), ["eth0 -10.9.0.0/16 Some(192.0.2.2)"]);
}

#[test]
fn a_pair_whose_other_end_is_elsewhere_is_left() {
    let seen =
        |peer: &str| Link { made: Some(Made::Veth { peer: peer.into() }), is_up: true, ..Link::default() };
    let wanted = setup("left", json!({ "type": "Veth", "veth": { "peer": "right" } }));
    let differences = |peer: &str| wanted.differences(&Links::from([("left".into(), seen(peer))])).len();
    assert_eq!((differences("right"), differences(""), differences("other")), (0, 0, 1));
    let moves = to(&Links::from([("left".into(), seen("other"))]), &wanted, None);
    assert_eq!(told(&moves), ["left Remove", "left Make(Veth { peer: \"right\" })", "left Up(true)"]);
}
