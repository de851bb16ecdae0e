//! What is tried together, what counts as proven, and what is told of what was taken back.

use super::*;

fn lan(address: &str) -> NetworkConfigSpec {
    spec(
        json!({ "match": { "name": "eth1" }, "ipv4": { "addresses": [address] }, "confirm": { "checks": [] } }),
    )
}

/// One put and one more change, of the specs under these ids.
async fn together(
    rig: &Rig,
    wan: &NetworkConfigSpec,
    lan: &NetworkConfigSpec,
    is_removal: bool,
) -> [Option<Failure>; 2] {
    let ids: [ResourceId; 2] = ["wan".parse().unwrap(), "lan".parse().unwrap()];
    let (wan_held, lan_held) = (held(wan), held(lan));
    let new = Owned { spec: wan, applied: false, attempted: None, held: &wan_held };
    let old = Owned { spec: lan, applied: true, attempted: None, held: &lan_held };
    let put = |id, spec, owned| Change::Put(Put { id, spec, digest: digest(spec), owned, restart: false });
    let other = match is_removal {
        true => Change::Take(Take { id: &ids[1], owned: old }),
        false => put(&ids[1], lan, old),
    };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let outcomes = rig.reconciler.transact(&cx, &[put(&ids[0], wan, new), other]).await;
    ids.map(|id| outcomes[&id].as_ref().err().map(|error| error.to_failure()))
}

#[tokio::test(start_paused = true)]
async fn a_repair_is_no_part_of_what_proves_bad_beside_it() {
    let rig = Rig::new().await;
    rig.put_at("lan", &lan("10.3.0.1/24")).await.unwrap();
    rig.kernel.abuse("eth1", Asked::RemoveAddress(Addr::of("10.3.0.1/24".parse().unwrap()))).unwrap();
    let [wan, repaired] = together(&rig, &cuts()[0], &lan("10.3.0.1/24"), false).await;
    assert!(wan.unwrap().rolled_back && repaired.is_none());
    assert_eq!(rig.links().await["eth1"].addresses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_beside_what_proves_bad_is_given_back_later() {
    let rig = Rig::new().await;
    rig.put_at("lan", &lan("10.3.0.1/24")).await.unwrap();
    let [wan, given] = together(&rig, &cuts()[0], &lan("10.3.0.1/24"), true).await;
    let given = given.unwrap();
    assert!(wan.unwrap().rolled_back && !given.rolled_back && given.can_retry, "{given:?}");
    rig.take_at("lan", &lan("10.3.0.1/24")).await.unwrap();
    assert_eq!(rig.links().await["eth1"].addresses.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_for_a_moment_counts() {
    let rig = Rig::new().await;
    rig.beyond.is_down.store(true, Ordering::Relaxed);
    let beyond = rig.beyond.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        beyond.is_down.store(false, Ordering::Relaxed);
    });
    assert!(rig.put(&cuts()[0]).await.unwrap_err().rolled_back);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_has_confirmed_is_on_trial_again() {
    let mut rig = Rig::new().await;
    rig.beyond.is_down.store(true, Ordering::Relaxed);
    rig.put(&cuts()[0]).await.unwrap();
    // Somebody puts the device right by hand, and restarts it.
    for asked in [
        Asked::RemoveAddress(Addr::of("198.51.100.7/24".parse().unwrap())),
        Asked::AddAddress(Addr::of("192.0.2.10/24".parse().unwrap())),
        Asked::AddRoute(Route::of(
            "0.0.0.0/0".parse().unwrap(),
            "192.0.2.1".parse().ok(),
            0,
            terms::MAIN_TABLE,
        )),
    ] {
        rig.kernel.abuse("eth0", asked).unwrap();
    }
    rig.beyond.is_down.store(false, Ordering::Relaxed);
    rig.restart();
    assert!(rig.put(&cuts()[0]).await.unwrap_err().rolled_back);
}

#[tokio::test(start_paused = true)]
async fn what_could_be_put_back_late_only_is_told_with_what_failed_and_not_tried_again() {
    let rig = Rig::new().await;
    rig.kernel.give_no_addresses(true);
    for round in 0..2 {
        let failure = rig.put(&good()).await.unwrap_err();
        assert_eq!(failure.reason, "NotBack", "{round}");
        assert!(failure.message.contains("the address 192.0.2.10/24"), "{failure:?}");
        rig.kernel.give_no_addresses(false);
        rig.see(&good()).await;
        let told = rig.put(&good()).await.unwrap_err();
        assert!(
            told.rolled_back && told.message.contains("a change of eth0 (mtu, ipv4.addresses"),
            "{told:?}"
        );
        assert!(told.message.contains("the kernel refuses to change the address 192.0.2.11/24"), "{told:?}");
        rig.kernel.give_no_addresses(true);
    }
}

#[test]
fn what_follows_an_address_is_not_told() {
    let http = checks::Probe::Http("http://a.example/health?token=secret".into());
    assert_eq!(checks::unanswered(&[http]), "check Http http://a.example/health failed (there is no answer)");
}
