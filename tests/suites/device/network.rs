//! Interfaces of a device whose only way out is one of them.

use std::time::Duration;

use e2e::{agent::LONG, parts, until};
use manifest_types::status::{AgentStatus, Phase, ResourceStatus};
use serde_json::{Value, json};

use crate::rig::{Rig, example};

/// What the kernel has, in the words of a tool that is not ours.
const SEEN: &str = "ip -oneline address show dev eth0 scope global | grep -o 'inet6* [0-9a-f:./]*'; ip route show dev eth0 | sed 's/ metric .*//; s/ *$//' | sort -u; ip -oneline link show dev eth0 | grep -o 'mtu [0-9]*'; ip -oneline link | grep -c .";

/// The device's own address and gateway.
struct Way {
    address: String,
    gateway: String,
}

async fn way(rig: &Rig) -> Way {
    let address =
        "ip -oneline -family inet address show dev eth0 | grep -o 'inet [0-9./]*' | cut -d ' ' -f 2";
    let gateway = "ip route show default | cut -d ' ' -f 3";
    Way { address: rig.board.sh(address).await, gateway: rig.board.sh(gateway).await }
}

fn wan(more: Value) -> Value {
    let mut spec = json!({ "match": { "name": "eth0" }, "confirm": { "within": "5s", "checks": ["ControlPlane", "Gateway"] } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "id": "wan", "kind": "NetworkConfig", "spec": spec })
}

/// What cuts the device off, in all the ways that there are.
fn cuts(way: &Way) -> [Value; 4] {
    let Way { address, .. } = way;
    [
        wan(json!({ "ipv4": { "addresses": ["198.51.100.7/24"], "gateway": "198.51.100.1" } })),
        wan(json!({ "ipv4": { "addresses": [address], "gateway": "198.18.255.254" } })),
        wan(json!({ "state": "Down" })),
        wan(
            json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth0"], "ipv4": { "addresses": ["10.77.0.1/24"] } }),
        ),
    ]
}

/// Something else of the same manifest, which is no concern of the network.
fn bystander(text: &str) -> Value {
    json!({ "id": "note", "kind": "File", "spec": { "path": "/etc/note", "content": { "inline": text } } })
}

fn is_rolled_back(it: &ResourceStatus) -> bool {
    it.phase == Phase::Failed && it.error.as_ref().is_some_and(|error| error.reason == "RolledBack")
}

fn is_back(status: &AgentStatus) -> bool {
    status.resources.get("wan").is_some_and(is_rolled_back)
}

/// What manages the interfaces, and what brings it: as a device would have it, with an interface of its own already.
const BACKENDS: [(&str, &str); 3] = [
    ("netlink", "true"),
    (
        "systemd-networkd",
        r"address=$(ip -oneline -family inet address show dev eth0 | grep -o 'inet [0-9./]*' | cut -d ' ' -f 2)
          printf '[Match]\nName=eth0\n[Network]\nAddress=%s\nGateway=198.18.0.1\n' $address > /etc/systemd/network/50-plant.network
          ip route del default
          systemctl enable --quiet --now systemd-networkd systemd-resolved
          until networkctl status eth0 | grep -q routable; do sleep 0.1; done",
    ),
    (
        "NetworkManager",
        r"address=$(ip -oneline -family inet address show dev eth0 | grep -o 'inet [0-9./]*' | cut -d ' ' -f 2)
          systemctl enable --quiet --now NetworkManager
          nmcli --wait 20 connection add type ethernet ifname eth0 con-name plant ipv4.method manual ipv4.addresses $address ipv4.gateway 198.18.0.1
          nmcli --wait 20 connection up plant",
    ),
];

/// So long that no machine is too slow for it.
const PATIENT: &str = "45s";

async fn a_right_change_is_confirmed(backend: usize) {
    let (name, line) = BACKENDS[backend];
    let rig = Rig::prepared(line).await;
    let way = way(&rig).await;
    let before = rig.board.sh(SEEN).await;
    let mut more = json!({});
    // Without a backend nobody keeps name servers.
    if backend > 0 {
        more = json!({ "dns": { "servers": ["192.0.2.53"], "search": ["plant.example"] } });
    }
    let right = || {
        let mut all = json!({
            "mtu": 1400,
            "ipv4": { "addresses": [way.address, "10.78.0.1/24"], "gateway": way.gateway,
                      "routes": [{ "to": "10.79.0.0/16", "via": "10.78.0.2", "metric": 7 }] },
            "ipv6": { "addresses": ["2001:db8::10/64"] }
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut wan = wan(all);
        wan["spec"]["confirm"]["within"] = json!(PATIENT);
        wan
    };
    let generation = rig.apply(json!([right()])).await;
    let status = rig.ready(generation).await;
    assert_eq!(status.capabilities.get("network").map(|found| found.name.as_str()), Some(name));
    let holds = async || {
        for (line, printed) in [
            ("ip -oneline address show dev eth0 | grep -c '10.78.0.1/24\\|2001:db8::10/64'", "2"),
            ("ip route show 10.79.0.0/16", "10.79.0.0/16 via 10.78.0.2 dev eth0 proto static metric 7"),
            ("ip -oneline link show dev eth0 | grep -o 'mtu [0-9]*'", "mtu 1400"),
        ] {
            rig.board.until(line, printed).await;
        }
    };
    holds().await;
    // The connection that stood may be one of a network that is gone.
    let connected = "journalctl --unit holdfast --output cat --no-pager | grep -c 'connected to NATS'";
    rig.board.until(&format!("test $({connected}) -gt 1 && echo anew"), "anew").await;

    let dns = ["true", "resolvectl dns eth0 | grep -o 192.0.2.53", "nmcli -g IP4.DNS device show eth0"];
    let found = ["", "192.0.2.53", "192.0.2.53"];
    rig.board.until(dns[backend], found[backend]).await;
    rig.is_left_in_peace("NetworkConfig").await;

    // Whatever somebody takes away is back.
    for by_hand in [
        "ip address del 10.78.0.1/24 dev eth0",
        "ip route del default",
        "ip link set eth0 mtu 1300",
        "ip link set eth0 down",
    ] {
        rig.board.sh(by_hand).await;
        holds().await;
        rig.board.until("ip route show default | cut -d ' ' -f 3", &way.gateway).await;
    }

    rig.board.restart().await;
    holds().await;
    rig.ready(generation).await;

    // What is made, and what is made of that.
    let mut all = example("network.yaml");
    for entry in all.as_array_mut().unwrap() {
        if entry["spec"]["confirm"].is_object() {
            entry["spec"]["confirm"]["within"] = json!(PATIENT);
        }
    }
    all.as_array_mut().unwrap().push(right());
    let generation = rig.apply(all).await;
    rig.ready(generation).await;
    let port = "ip -oneline link show master plant0 | grep -c plant-b";
    assert_eq!(rig.board.sh(port).await, "1");
    assert_eq!(rig.board.sh("ip route show 10.81.0.0/16 | cut -d ' ' -f 3").await, "10.80.0.2");
    rig.board.sh("ip link del plant0").await;
    rig.board.until(port, "1").await;
    let generation = rig.apply(json!([])).await;
    rig.ready(generation).await;
    rig.board.until(SEEN, &before).await;
}

async fn what_cuts_the_device_off_is_taken_back(backend: usize) {
    let rig = Rig::prepared(BACKENDS[backend].1).await;
    let way = way(&rig).await;
    let before = rig.board.sh(SEEN).await;
    for (number, cut) in cuts(&way).into_iter().enumerate() {
        let text = format!("{number}\n");
        let generation = rig.apply(json!([cut, bystander(&text)])).await;
        let what = format!("{cut} is taken back");
        let is_told = |status: &AgentStatus| status.manifest_generation == generation && is_back(status);
        let status = rig.status(&what, is_told).await;
        let message = status.resources["wan"].error.clone().unwrap().message;
        let is_told = ["check ControlPlane failed", "check Gateway", "is not as wanted"];
        let is_told = is_told.iter().any(|why| message.contains(why));
        assert!(is_told && message.contains("as it was before"), "{message}");
        rig.board.until(SEEN, &before).await;
        let is_noted = |status: &AgentStatus| {
            let note = status.resources.get("note");
            status.manifest_generation == generation && note.is_some_and(|it| it.phase == Phase::Ready)
        };
        let status = rig.status("the bystander is Ready", is_noted).await;
        assert_eq!(status.resources["note"].error, None);
        assert_eq!(rig.board.sh("cat /etc/note").await, text.trim());
        // It is not tried again by itself.
        rig.board.sh("systemctl restart holdfast").await;
        let is_another = |other: &AgentStatus| other.instance_id != status.instance_id && is_back(other);
        rig.status("it is told again", is_another).await;
        assert_eq!(rig.board.sh(SEEN).await, before);
    }
}

macro_rules! with_each_backend {
    ($($name:ident($backend:literal) is $test:ident;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $test($backend).await;
            }
        )+
    };
}

with_each_backend! {
    a_right_change_is_confirmed_held_and_survives_a_restart_of_the_device(0) is a_right_change_is_confirmed;
    a_right_change_is_confirmed_and_held_by_networkd(1) is a_right_change_is_confirmed;
    a_right_change_is_confirmed_and_held_by_network_manager(2) is a_right_change_is_confirmed;
    what_cuts_the_device_off_is_taken_back_and_told_and_nothing_else_is_disturbed(0) is what_cuts_the_device_off_is_taken_back;
    what_cuts_the_device_off_is_taken_back_with_networkd(1) is what_cuts_the_device_off_is_taken_back;
    what_cuts_the_device_off_is_taken_back_with_network_manager(2) is what_cuts_the_device_off_is_taken_back;
}

/// The agent is killed at a moment of a change that cuts the device off.
async fn killed(backend: usize, rounds: std::ops::Range<u64>) {
    let rig = Rig::prepared(BACKENDS[backend].1).await;
    let way = way(&rig).await;
    let before = rig.board.sh(SEEN).await;
    let cuts = cuts(&way);
    for round in rounds {
        let cut = &cuts[usize::try_from(round % 4).unwrap()];
        let mut cut = cut.clone();
        // Each time it is another spec.
        cut["spec"]["confirm"]["within"] = json!(format!("{}ms", 5000 + round));
        let generation = rig.apply(json!([cut])).await;
        // From before the change to after it was taken back.
        let moment = Duration::from_millis(round * 6151 % 6500);
        tokio::time::sleep(moment).await;
        rig.board.try_sh("systemctl kill --signal KILL holdfast").await;
        let what = format!("round {round}, killed after {moment:?}: {cut} is taken back");
        rig.status(&what, |status| status.manifest_generation == generation && is_back(status)).await;
        rig.board.until(SEEN, &before).await;
    }
}

/// On several devices at once, each with moments of its own.
async fn killed_at_any_moment(backend: usize, rounds: u64, devices: u64) {
    let each = rounds.div_ceil(devices);
    let all = (0..devices).map(|device| killed(backend, device * each..(device + 1) * each));
    futures_util::future::join_all(all).await;
}

async fn restarted_in_the_middle(backend: usize) {
    let rig = Rig::prepared(BACKENDS[backend].1).await;
    let way = way(&rig).await;
    let before = rig.board.sh(SEEN).await;
    for (cut, moment) in cuts(&way).iter().zip([0, 700, 1400, 2100]) {
        let mut cut = cut.clone();
        cut["spec"]["confirm"]["within"] = json!(PATIENT);
        let generation = rig.apply(json!([cut])).await;
        let what = format!("{cut} is under way");
        until(&what, LONG, async || rig.board.try_sh(SEEN).await.0 != before).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        rig.board.restart().await;
        let is_it = |status: &AgentStatus| status.manifest_generation == generation && is_back(status);
        let status = rig.status("it is taken back", is_it).await;
        let message = status.resources["wan"].error.clone().unwrap().message;
        assert!(message.contains("the device was restarted before it was confirmed"), "{message}");
        rig.board.until(SEEN, &before).await;
    }
}

#[tokio::test]
async fn killed_at_any_moment_the_device_is_as_it_was_before() {
    killed_at_any_moment(0, parts::rounds(50), 5).await;
}

#[tokio::test]
async fn killed_at_any_moment_with_networkd_the_device_is_as_it_was_before() {
    killed_at_any_moment(1, parts::rounds(12), 2).await;
}

#[tokio::test]
async fn killed_at_any_moment_with_network_manager_the_device_is_as_it_was_before() {
    killed_at_any_moment(2, parts::rounds(12), 2).await;
}

with_each_backend! {
    restarted_in_the_middle_of_a_change_the_device_is_as_it_was_before(0) is restarted_in_the_middle;
    restarted_in_the_middle_with_networkd_the_device_is_as_it_was_before(1) is restarted_in_the_middle;
    restarted_in_the_middle_with_network_manager_the_device_is_as_it_was_before(2) is restarted_in_the_middle;
}
