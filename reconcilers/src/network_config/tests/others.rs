//! What others have, or come to have, of the interfaces that are held.

use super::*;

fn bridge(ports: &[&str]) -> NetworkConfigSpec {
    spec(json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ports, "confirm": { "checks": [] } }))
}

fn ethernet(name: &str, more: Value) -> NetworkConfigSpec {
    let mut all = json!({ "match": { "name": name }, "confirm": { "checks": [] } });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec(all)
}

fn join(rig: &Rig, port: &str, bridge: &str) {
    rig.kernel.abuse(port, Asked::Master(Some(bridge.into()))).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_other_end_of_a_pair_may_have_a_resource_of_its_own() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    let pair = spec(
        json!({ "match": { "name": "a0" }, "type": "Veth", "veth": { "peer": "a1" }, "confirm": { "checks": [] } }),
    );
    let end = ethernet("a1", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    rig.put_at("pair", &pair).await.unwrap();
    rig.put_at("end", &end).await.unwrap();
    rig.put_at("pair", &pair).await.unwrap();
    assert!(rig.see_at("pair", &pair).await.drift(&pair).is_empty());
    assert!(rig.see_at("end", &end).await.drift(&end).is_empty());
    rig.take_at("end", &end).await.unwrap();
    rig.take_at("pair", &pair).await.unwrap();
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_was_thrown_out_may_have_a_resource_of_its_own() {
    let rig = Rig::new().await;
    rig.kernel.plug("eth2", &[]);
    rig.kernel.abuse("br0", Asked::Make(Made::Bridge)).unwrap();
    rig.kernel.abuse("br0", Asked::Up(true)).unwrap();
    join(&rig, "eth1", "br0");
    join(&rig, "eth2", "br0");
    rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
    let end = ethernet("eth2", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    rig.put_at("end", &end).await.unwrap();
    rig.kernel.abuse("eth2", Asked::RemoveAddress(Addr::of("10.1.0.1/24".parse().unwrap()))).unwrap();
    rig.put_at("end", &end).await.unwrap();
    // It is that one's now.
    rig.take_at("lan", &bridge(&["eth1"])).await.unwrap();
    let links = rig.links().await;
    assert_eq!((links["eth2"].master.as_deref(), links["eth2"].addresses.len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn what_others_have_put_into_a_bridge_of_ours_does_not_keep_it() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
    rig.kernel.plug("eth2", &[]);
    join(&rig, "eth2", "br0");
    rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
    assert_eq!(rig.links().await["eth2"].master, None);
    rig.take_at("lan", &bridge(&["eth1"])).await.unwrap();
    let mut after = rig.links().await;
    after.remove("eth2");
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_put_into_a_bridge_is_drift() {
    let rig = Rig::new().await;
    let wanted = ethernet("eth1", json!({}));
    rig.put_at("lan", &wanted).await.unwrap();
    rig.kernel.abuse("br9", Asked::Make(Made::Bridge)).unwrap();
    join(&rig, "eth1", "br9");
    let paths: Vec<_> =
        rig.see_at("lan", &wanted).await.drift(&wanted).into_iter().map(|found| found.path).collect();
    assert_eq!(paths, ["bridge"]);
    rig.put_at("lan", &wanted).await.unwrap();
    assert_eq!(rig.links().await["eth1"].master, None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_another_one_now_keeps_nothing_back() {
    let net = |text: &str| text.parse().unwrap();
    let leased = |address: &str| Addr { is_leased: true, is_bare: true, ..Addr::of(net(address)) };
    let near = |source: &str| Route {
        protocol: terms::KERNEL,
        source: source.parse().ok(),
        ..Route::of(net("192.0.2.0/24"), None, 100, terms::MAIN_TABLE)
    };
    let link = |address: &str, source: &str| Link {
        is_up: true,
        addresses: BTreeSet::from([leased(address)]),
        routes: BTreeSet::from([near(source)]),
        ..Link::default()
    };
    let was = moves::Snapshot::from([("eth0".into(), Some(link("192.0.2.7/24", "192.0.2.7")))]);
    let now = Links::from([("eth0".into(), link("192.0.2.8/24", "192.0.2.8"))]);
    assert_eq!(moves::back(&now, &was, false), []);
}

#[tokio::test(start_paused = true)]
async fn every_link_has_its_own_of_a_link_local_address() {
    let rig = Rig::new().await;
    rig.kernel.abuse("eth0", Asked::AddAddress(Addr::of("fe80::1/64".parse().unwrap()))).unwrap();
    rig.put_at("lan", &ethernet("eth1", json!({ "ipv6": { "addresses": ["fe80::1/64"] } }))).await.unwrap();
}
