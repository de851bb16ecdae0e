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
async fn what_others_put_into_a_bridge_that_is_held_neither_keeps_it_nor_comes_back() {
    for was_there in [false, true] {
        let rig = Rig::new().await;
        if was_there {
            rig.kernel.abuse("br0", Asked::Make(Made::Bridge)).unwrap();
        }
        let before = rig.links().await;
        rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
        rig.kernel.plug("eth2", &[]);
        join(&rig, "eth2", "br0");
        rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
        assert_eq!(rig.links().await["eth2"].master, None);
        rig.take_at("lan", &bridge(&["eth1"])).await.unwrap();
        let mut after = rig.links().await;
        assert_eq!(after.remove("eth2").unwrap().master, None, "{was_there}");
        assert_eq!(after, before);
    }
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
    let near = |source: Option<&str>| Route {
        protocol: terms::KERNEL,
        source: source.map(|source| source.parse().unwrap()),
        ..Route::of(net("192.0.2.0/24"), None, 100, terms::MAIN_TABLE)
    };
    let link = |address: &str, routes: &[Route]| Link {
        is_up: true,
        addresses: BTreeSet::from([leased(address)]),
        routes: routes.iter().copied().collect(),
        ..Link::default()
    };
    // Whether or not the kernel tells from which address packets go.
    for source in [Some("192.0.2.7"), None] {
        let by_it = source.map(|source| Route {
            source: source.parse().ok(),
            ..Route::of(net("10.9.0.0/16"), None, 100, terms::MAIN_TABLE)
        });
        let routes: Vec<_> = by_it.into_iter().chain([near(source)]).collect();
        let before = link("192.0.2.7/24", &routes);
        let was = moves::Snapshot::from([("eth0".into(), Some(before))]);
        let now = Links::from([("eth0".into(), link("198.51.100.8/24", &[]))]);
        assert_eq!(moves::back(&now, &was, false), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_is_gone_keeps_nothing_back() {
    let rig = Rig::new().await;
    rig.kernel.abuse("br9", Asked::Make(Made::Bridge)).unwrap();
    join(&rig, "eth1", "br9");
    let wanted = ethernet("eth1", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    rig.put_at("lan", &wanted).await.unwrap();
    rig.kernel.abuse("br9", Asked::Remove).unwrap();
    rig.take_at("lan", &wanted).await.unwrap();
    let links = rig.links().await;
    assert_eq!((links["eth1"].master.as_deref(), links["eth1"].addresses.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn every_link_has_its_own_of_a_link_local_address() {
    let rig = Rig::new().await;
    rig.kernel.abuse("eth0", Asked::AddAddress(Addr::of("fe80::1/64".parse().unwrap()))).unwrap();
    rig.put_at("lan", &ethernet("eth1", json!({ "ipv6": { "addresses": ["fe80::1/64"] } }))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_made_upon_hardware_is_not_that_hardware() {
    for was_there in [false, true] {
        let rig = Rig::new().await;
        rig.kernel.abuse("eth1", Asked::Up(true)).unwrap();
        let mac = rig.links().await["eth1"].mac.unwrap();
        let vlan = spec(
            json!({ "match": { "name": "v5" }, "type": "Vlan", "vlan": { "id": 5, "parent": "eth1" }, "confirm": { "checks": [] } }),
        );
        if was_there {
            rig.kernel.abuse("v5", Asked::Make(Made::Vlan { id: 5, parent: "eth1".into() })).unwrap();
            rig.kernel.abuse("v5", Asked::Up(true)).unwrap();
            rig.kernel.has_address("v5", mac);
        }
        let before = rig.links().await;
        let mut hardware = ethernet("x", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
        hardware.matched = serde_json::from_value(json!({ "mac": mac.to_string() })).unwrap();
        rig.put_at("lan", &hardware).await.unwrap();
        rig.put_at("vlan", &vlan).await.unwrap();
        rig.kernel.has_address("v5", mac);
        let mtu = spec(
            json!({ "match": { "name": "v5" }, "type": "Vlan", "vlan": { "id": 5, "parent": "eth1" }, "mtu": 1400, "confirm": { "checks": [] } }),
        );
        assert!(rig.see_at("vlan", &vlan).await.former.is_empty());
        rig.put_at("vlan", &mtu).await.unwrap();
        assert_eq!(rig.links().await["eth1"].addresses.len(), 1);
        rig.take_at("vlan", &mtu).await.unwrap();
        rig.take_at("lan", &hardware).await.unwrap();
        assert_eq!(rig.links().await, before, "{was_there}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_of_a_bridge_is_not_anothers_interface() {
    let rig = Rig::new().await;
    rig.put_at("lan", &bridge(&["eth1"])).await.unwrap();
    let mut same = ethernet("x", json!({}));
    same.matched =
        serde_json::from_value(json!({ "mac": rig.links().await["eth1"].mac.unwrap().to_string() })).unwrap();
    rig.see_at("lan", &bridge(&["eth1"])).await;
    assert_eq!(rig.put_at("same", &same).await.unwrap_err().reason, "Conflict");
    let rig = Rig::new().await;
    rig.put_at("same", &ethernet("eth1", json!({ "mtu": 1400 }))).await.unwrap();
    assert_eq!(rig.put_at("lan", &bridge(&["eth1"])).await.unwrap_err().reason, "Conflict");
}

#[tokio::test(start_paused = true)]
async fn who_takes_what_another_lets_go_of_gives_it_back_as_it_was_before_both() {
    let rig = Rig::new().await;
    rig.kernel.plug("eth2", &["10.2.0.1/24"]);
    let before = rig.links().await["eth2"].clone();
    let (wide, narrow) = (bridge(&["eth1", "eth2"]), bridge(&["eth1"]));
    let end = ethernet("eth2", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    rig.put_at("lan", &wide).await.unwrap();
    let ids: [ResourceId; 2] = ["lan".parse().unwrap(), "end".parse().unwrap()];
    let (lan_held, end_held) = (held(&wide), held(&end));
    let old = Owned { spec: &wide, applied: true, attempted: None, held: &lan_held };
    let new = Owned { spec: &end, applied: false, attempted: None, held: &end_held };
    let put = |id, spec, owned| Change::Put(Put { id, spec, digest: digest(spec), owned, restart: false });
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let changes = [put(&ids[0], &narrow, old), put(&ids[1], &end, new)];
    let outcomes = rig.reconciler.transact(&cx, &changes).await;
    for id in &ids {
        assert!(outcomes[id].is_ok(), "{:?}", outcomes[id].as_ref().err().map(|error| error.to_failure()));
    }
    rig.take_at("end", &end).await.unwrap();
    let after = rig.links().await["eth2"].clone();
    assert_eq!((after.master, after.addresses), (before.master, before.addresses));
}

/// The pair first: with it goes what the other one would put back.
#[tokio::test(start_paused = true)]
async fn a_pair_and_its_end_that_go_together_are_gone() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    let pair = spec(
        json!({ "match": { "name": "a0" }, "type": "Veth", "veth": { "peer": "a1" }, "confirm": { "checks": [] } }),
    );
    let end = ethernet("a1", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    rig.put_at("a-pair", &pair).await.unwrap();
    rig.put_at("b-end", &end).await.unwrap();
    let ids: [ResourceId; 2] = ["a-pair".parse().unwrap(), "b-end".parse().unwrap()];
    let holds = [held(&pair), held(&end)];
    let take = |index: usize, spec| {
        let owned = Owned { spec, applied: true, attempted: None, held: &holds[index] };
        Change::Take(Take { id: &ids[index], owned })
    };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let outcomes = rig.reconciler.transact(&cx, &[take(0, &pair), take(1, &end)]).await;
    assert!(outcomes.values().all(Result::is_ok));
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_let_go_of_after_all_is_not_taken() {
    let rig = Rig::new().await;
    rig.kernel.plug("eth2", &[]);
    let wide = bridge(&["eth1", "eth2"]);
    rig.put_at("lan", &wide).await.unwrap();
    let before = rig.links().await;
    let mut narrow = bridge(&["eth1"]);
    // Nobody keeps name servers here.
    narrow.dns = serde_json::from_value(json!({ "servers": ["192.0.2.53"] })).unwrap();
    let end = ethernet("eth2", json!({ "ipv4": { "addresses": ["10.1.0.1/24"] } }));
    let ids: [ResourceId; 2] = ["lan".parse().unwrap(), "end".parse().unwrap()];
    let (lan_held, end_held) = (held(&wide), held(&end));
    let old = Owned { spec: &wide, applied: true, attempted: None, held: &lan_held };
    let new = Owned { spec: &end, applied: false, attempted: None, held: &end_held };
    let put = |id, spec, owned| Change::Put(Put { id, spec, digest: digest(spec), owned, restart: false });
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let changes = [put(&ids[0], &narrow, old), put(&ids[1], &end, new)];
    let outcomes = rig.reconciler.transact(&cx, &changes).await;
    let reasons = ids.map(|id| outcomes[&id].as_ref().err().map(|error| error.reason()).unwrap_or_default());
    assert_eq!(reasons, ["Unsupported", "Conflict"]);
    assert_eq!(rig.links().await, before);
}
