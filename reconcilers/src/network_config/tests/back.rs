//! What is put back is what was there, all of it.

use super::*;

fn lan(more: Value) -> NetworkConfigSpec {
    let mut spec = json!({ "match": { "name": "br0" }, "type": "Bridge", "confirm": { "within": "5s" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// A device whose only way out is a bridge, with two ports.
async fn bridged() -> Rig {
    let rig = Rig::new().await;
    for asked in
        [Asked::Master(Some("br0".into())), Asked::RemoveAddress(Addr::of("192.0.2.10/24".parse().unwrap()))]
    {
        if !rig.links().await.contains_key("br0") {
            rig.kernel.abuse("br0", Asked::Make(Made::Bridge)).unwrap();
            rig.kernel.abuse("br0", Asked::Up(true)).unwrap();
        }
        rig.kernel.abuse("eth0", asked).unwrap();
    }
    rig.kernel.abuse("eth1", Asked::Master(Some("br0".into()))).unwrap();
    rig
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_thrown_out_comes_back() {
    for is_right in [false, true] {
        let rig = bridged().await;
        let before = rig.links().await;
        rig.beyond.is_down.store(is_right, Ordering::Relaxed);
        // The uplink is not named: nothing can be reached any more.
        let checks = if is_right { json!([]) } else { json!(["Gateway"]) };
        let spec =
            lan(json!({ "ports": ["eth1"], "ipv4": { "addresses": ["10.1.0.1/24"], "gateway": "10.1.0.9" },
                               "confirm": { "within": "5s", "checks": checks } }));
        let put = rig.put(&spec).await;
        if is_right {
            put.unwrap();
            assert_eq!(rig.links().await["eth0"].master, None);
            let seen = rig.see(&spec).await;
            assert!(seen.drift(&spec).is_empty() && seen.former.is_empty(), "{:?}", seen.drift(&spec));
            rig.take(&spec).await.unwrap();
        } else {
            assert!(put.unwrap_err().rolled_back);
        }
        assert_eq!(rig.links().await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_plug_into_a_bridge_is_left_there() {
    let rig = bridged().await;
    rig.kernel.abuse("veth7", Asked::Make(Made::Veth { peer: String::new() })).unwrap();
    rig.kernel.abuse("veth7", Asked::Master(Some("br0".into()))).unwrap();
    let spec = lan(json!({ "ports": ["eth0", "eth1"], "confirm": { "checks": [] } }));
    rig.put(&spec).await.unwrap();
    assert_eq!(rig.links().await["veth7"].master.as_deref(), Some("br0"));
    assert!(rig.see(&spec).await.drift(&spec).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_beside_a_plain_address_and_route_comes_back_too() {
    let rig = Rig::new().await;
    let net = |text: &str| text.parse().unwrap();
    let peer = Addr { peer: "10.9.0.2".parse().ok(), ..Addr::of(net("10.9.0.1/32")) };
    let far = Route {
        onlink: true,
        ..Route::of(net("10.8.0.0/16"), "203.0.113.9".parse().ok(), 7, terms::MAIN_TABLE)
    };
    let from = Route {
        source: "192.0.2.10".parse().ok(),
        ..Route::of(net("10.7.0.0/16"), "192.0.2.1".parse().ok(), 7, terms::MAIN_TABLE)
    };
    for asked in [Asked::AddAddress(peer), Asked::AddRoute(far), Asked::AddRoute(from)] {
        rig.kernel.abuse("eth0", asked).unwrap();
    }
    let bare = Addr { is_bare: true, ..Addr::of(net("10.2.0.1/24")) };
    rig.kernel.abuse("eth0", Asked::AddAddress(bare)).unwrap();
    let near =
        Route { protocol: terms::KERNEL, ..Route::of(net("10.2.0.0/24"), None, 100, terms::MAIN_TABLE) };
    rig.kernel.abuse("eth0", Asked::AddRoute(near)).unwrap();
    rig.kernel.abuse("eth1", Asked::AddAddress(Addr::of(net("10.6.0.1/24")))).unwrap();
    rig.kernel.abuse("eth1", Asked::Up(false)).unwrap();
    let before = rig.links().await;
    assert!(rig.put(&cuts()[2]).await.unwrap_err().rolled_back);
    assert_eq!(rig.links().await, before);
    let other = spec(json!({ "match": { "name": "eth1" }, "ipv4": { "addresses": ["10.6.0.2/24"] } }));
    rig.put_at("lan", &other).await.unwrap();
    rig.take_at("lan", &other).await.unwrap();
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn another_vlan_under_the_same_name_is_made_again() {
    let rig = Rig::new().await;
    let vlan = |id: u16, gateway: &str| {
        spec(json!({ "match": { "name": "v0" }, "type": "Vlan", "vlan": { "id": id, "parent": "eth1" },
                     "ipv4": { "addresses": ["10.5.0.1/24"], "gateway": gateway }, "confirm": { "within": "5s", "checks": ["Gateway"] } }))
    };
    rig.kernel.abuse("eth1", Asked::Up(true)).unwrap();
    rig.kernel.neighbour("v0", "10.5.0.9");
    rig.put(&vlan(7, "10.5.0.9")).await.unwrap();
    let before = rig.links().await["v0"].made.clone();
    assert!(rig.put(&vlan(8, "10.5.0.8")).await.unwrap_err().rolled_back);
    assert_eq!(rig.links().await["v0"].made, before);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_put_back_is_not_changed() {
    let rig = Rig::new().await;
    rig.kernel.goes_beyond("eth0", "a route to 0.0.0.0/0 by several ways");
    let before = rig.links().await;
    let failure = rig.put(&good()).await.unwrap_err();
    assert_eq!(failure.reason, "CannotBePutBack");
    assert!(failure.message.contains("by several ways"), "{failure:?}");
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_wanted_no_more_is_drift_and_goes() {
    let rig = Rig::new().await;
    let with = |routes: Value| {
        spec(json!({ "ipv4": { "addresses": ["192.0.2.11/24"], "gateway": "192.0.2.1", "routes": routes } }))
    };
    let former = with(json!([{ "to": "10.4.0.0/16", "via": "192.0.2.2" }]));
    rig.put(&former).await.unwrap();
    let wanted = with(json!([]));
    let (id, held) = ("wan".parse().unwrap(), held(&former));
    let owned = Owned { spec: &former, applied: true, attempted: None, held: &held };
    let target = Target { id: &id, wanted: Some(&wanted), owned: Some(owned) };
    let sight =
        rig.reconciler.observe(&[target]).await.unwrap().remove(&id).unwrap().map_err(|_| ()).unwrap();
    let paths: Vec<_> = sight.drift(&wanted).into_iter().map(|found| found.path).collect();
    assert_eq!(paths, ["ipv4.routes.10.4.0.0/16"]);
    let put = Put { id: &id, spec: &wanted, digest: digest(&wanted), owned, restart: false };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    rig.reconciler.reconcile(&cx, &put).await.map_err(|error| error.to_failure()).unwrap();
    assert!(!rig.links().await["eth0"].routes.iter().any(|route| route.to.to_string() == "10.4.0.0/16"));
}

#[tokio::test(start_paused = true)]
async fn under_another_id_it_is_given_back_as_it_was() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    rig.put(&good()).await.unwrap();
    assert_eq!(rig.see_at("uplink", &good()).await.was_there, Some(true));
    rig.take_at("uplink", &good()).await.unwrap();
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn an_interface_has_one_resource() {
    let rig = Rig::new().await;
    rig.put(&good()).await.unwrap();
    rig.see(&good()).await;
    let mac = rig.links().await["eth0"].mac.unwrap().to_string();
    let failure =
        rig.put_at("other", &spec(json!({ "match": { "mac": mac }, "mtu": 1300 }))).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("Conflict", true), "{failure:?}");
    // An address that another interface has, too.
    let same = spec(json!({ "match": { "name": "eth1" }, "ipv4": { "addresses": ["192.0.2.11/24"] } }));
    assert_eq!(rig.put_at("same", &same).await.unwrap_err().reason, "SharedAddress");
}

#[tokio::test(start_paused = true)]
async fn hardware_that_shares_an_address_comes_back_all_the_same() {
    let rig = Rig::new().await;
    rig.kernel.plug("aaa0", &[]);
    rig.kernel.has_address("aaa0", rig.links().await["eth0"].mac.unwrap());
    let before = rig.links().await;
    assert!(rig.put(&cuts()[0]).await.unwrap_err().rolled_back);
    assert_eq!(rig.links().await, before);
}
