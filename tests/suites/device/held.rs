//! The agent runs on a device as its own packaged unit, and holds the units of the device's systemd.

use e2e::{Board, agent::LONG, board, fleet};
use manifest_types::status::{AgentStatus, Phase, ResourceStatus};
use serde_json::{Value, json};

use crate::rig::{Rig, example};

/// The units of examples/units.yaml.
const UNITS: [&str; 6] = [
    "pump.service",
    "rinse.service",
    "rinse.timer",
    "valve@left.service",
    "systemd-journald.service",
    "sleep.target",
];

/// What an administrator sees of the units: their files, links, and how they fare.
async fn picture(board: &Board) -> String {
    let names = UNITS.join(" ");
    let line = format!(
        "cd /etc/systemd/system; find . ! -type d ! -name holdfast.service -exec sh -c 'echo $1; readlink $1 || cat $1' sh {{}} \\; | sort; \
         for unit in {names}; do systemctl is-active $unit; systemctl is-enabled $unit 2>&1; done; \
         systemctl show --property DropInPaths systemd-journald.service; exit 0"
    );
    board.sh(&line).await
}

#[tokio::test]
async fn units_of_all_sorts_are_held_drift_comes_back_and_in_the_end_all_is_as_it_was() {
    let rig = Rig::new().await;
    let board = &rig.board;
    // The agent is a service like any other.
    let own = "systemctl show holdfast --property Type,ActiveState,WatchdogUSec,NRestarts";
    board.until(own, "Type=notify\nWatchdogUSec=30s\nNRestarts=0\nActiveState=active").await;
    let before = picture(board).await;
    let generation = rig.apply(example("units.yaml")).await;
    rig.ready(generation).await;
    for (line, printed) in [
        ("systemctl is-active pump rinse.timer valve@left", "active\nactive\nactive"),
        ("systemctl is-enabled pump rinse.timer sleep.target", "enabled\nenabled\nmasked"),
        ("systemctl show pump --property MemoryMax", "MemoryMax=67108864"),
        ("systemctl show systemd-journald --property MemoryHigh", "MemoryHigh=33554432"),
    ] {
        assert_eq!(board.try_sh(line).await.0, printed, "{line}");
    }

    rig.is_left_in_peace("SystemdUnit").await;

    // Each is changed by hand, and comes back.
    for (id, by_hand, seen, comes_back) in [
        ("pump", "systemctl stop pump", "systemctl is-active pump", "active"),
        (
            "pump",
            "echo '#' >> /etc/systemd/system/pump.service",
            "tail -n 1 /etc/systemd/system/pump.service",
            "WantedBy=multi-user.target",
        ),
        (
            "pump",
            "rm /etc/systemd/system/pump.service.d/10-limits.conf; systemctl daemon-reload",
            "systemctl show pump --property MemoryMax",
            "MemoryMax=67108864",
        ),
        (
            "rinse-timer",
            "systemctl disable --quiet --now rinse.timer",
            "systemctl is-enabled rinse.timer; systemctl is-active rinse.timer",
            "enabled\nactive",
        ),
        ("valve-left", "systemctl kill --signal KILL valve@left", "systemctl is-active valve@left", "active"),
        (
            "valve-template",
            "rm /etc/systemd/system/valve@.service",
            "systemctl cat valve@left.service | tail -n 1",
            "ExecStart=/bin/sleep infinity",
        ),
        (
            "quiet-journal",
            "rm -r /etc/systemd/system/systemd-journald.service.d; systemctl daemon-reload",
            "systemctl show systemd-journald --property MemoryHigh",
            "MemoryHigh=33554432",
        ),
        ("no-sleep", "systemctl unmask --quiet sleep.target", "systemctl is-enabled sleep.target", "masked"),
    ] {
        let drifts = |status: &AgentStatus| status.resources[id].drift_count;
        let so_far = drifts(&rig.ready(generation).await);
        board.sh(by_hand).await;
        board.until(seen, comes_back).await;
        rig.resource(id, by_hand, |it| it.drift_count > so_far && it.phase == Phase::Ready).await;
    }

    // What others put on top of ours is told.
    board.sh("printf '[Service]\\nMemoryMax=1G\\n' > /etc/systemd/system/pump.service.d/90-admin.conf; systemctl daemon-reload").await;
    let admin = "/etc/systemd/system/pump.service.d/90-admin.conf";
    let tells =
        |it: &ResourceStatus| serde_json::to_value(&it.details).unwrap()["foreignDropIns"] == json!([admin]);
    rig.resource("pump", "the administrator's drop-in is told", tells).await;
    board.sh(&format!("rm {admin}; systemctl daemon-reload")).await;

    // Killed, the agent is started by systemd, and touches nothing.
    let ran = "systemctl show pump valve@left --property MainPID";
    let pids = board.sh(ran).await;
    board.sh("systemctl kill --signal KILL holdfast").await;
    let again = |status: &AgentStatus| e2e::agent::is_ready(status, generation);
    board.until("systemctl is-active holdfast", "active").await;
    rig.status("it is there again", again).await;
    assert_eq!(board.sh(ran).await, pids);

    // A changed configuration restarts the service that asked for it, and nothing else.
    let mut changed = example("units.yaml");
    changed[0]["spec"]["content"]["inline"] = json!("speed = 4\n");
    let generation = rig.apply(changed).await;
    rig.ready(generation).await;
    board.until("journalctl --unit pump --output cat | grep -c 'pumping with speed = 4'", "1").await;
    let after = board.sh(ran).await;
    let [old, new] = [&pids, &after].map(|pids| pids.split_once("\n\n").unwrap());
    assert!(old.0 != new.0 && old.1 == new.1, "{pids} {after}");

    let generation = rig.apply(json!([])).await;
    rig.ready(generation).await;
    assert_eq!(picture(board).await, before);
}

#[tokio::test]
async fn what_fails_again_and_again_is_told_with_its_journal() {
    let rig = Rig::new().await;
    let unit = |name: &str, restart: &str| {
        let content = format!(
            "[Unit]\nStartLimitIntervalSec={restart}\nStartLimitBurst=3\n[Service]\nRestart=always\nRestartSec=200ms\n\
             ExecStart=/bin/sh -c 'echo there is no cheese; sleep 0.5; exit 7'\n"
        );
        json!({ "id": name, "kind": "SystemdUnit", "spec": { "name": format!("{name}.service"), "content": content, "state": "Active" } })
    };
    // The one is given up by systemd, the other never.
    rig.apply(json!([unit("limited", "60"), unit("endless", "0")])).await;
    for id in ["limited", "endless"] {
        let told = rig
            .resource(id, "its loop is told", |it| {
                // The journal may lag behind.
                it.error.as_ref().is_some_and(|error| {
                    error.reason == "CrashLoop" && error.message.contains("there is no cheese")
                })
            })
            .await;
        let message = &told.error.as_ref().unwrap().message;
        assert!(message.contains("7"), "{message}");
        assert_eq!(told.phase, Phase::Failed, "{told:?}");
    }
    // It is never taken for well in between.
    let endless = "endless";
    let restarts = |status: &AgentStatus| {
        let details = serde_json::to_value(&status.resources[endless].details).unwrap();
        details["restarts"].as_u64().unwrap_or_default()
    };
    let before = restarts(&rig.fleet.status(&rig.board.id).await.unwrap());
    e2e::until("it was restarted three times more", LONG, async || {
        let status = rig.fleet.status(&rig.board.id).await.unwrap();
        assert_eq!(status.resources[endless].phase, Phase::Failed, "{:?}", status.resources[endless]);
        restarts(&status) >= before + 3
    })
    .await;
}

#[tokio::test]
async fn what_the_agent_stands_on_is_not_touched() {
    let rig = Rig::new().await;
    let unit = |id: &str, spec: Value| json!({ "id": id, "kind": "SystemdUnit", "spec": spec });
    let resources = json!([
        unit("own", json!({ "name": "holdfast.service", "state": "Inactive" })),
        unit("bus", json!({ "name": "dbus.service", "masked": true })),
        unit("nobody", json!({ "name": "nobody.service", "state": "Active" })),
        unit(
            "bad",
            json!({ "name": "srv-bad.mount", "content": "[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/srv/other\n", "state": "Active" })
        ),
        unit(
            "good",
            json!({ "name": "good.service", "content": "[Service]\nExecStart=/bin/sleep 1000\n", "state": "Active" })
        ),
    ]);
    rig.apply(resources).await;
    for (id, reason) in
        [("own", "Protected"), ("bus", "Protected"), ("nobody", "UnitMissing"), ("bad", "BadSetting")]
    {
        let is = |it: &ResourceStatus| it.error.as_ref().is_some_and(|error| error.reason == reason);
        rig.resource(id, reason, is).await;
    }
    rig.resource("good", "the good one runs", |it| it.phase == Phase::Ready).await;
    assert_eq!(rig.board.sh("systemctl is-active holdfast dbus").await, "active\nactive");
    assert!(!rig.board.try_sh("ls /etc/systemd/system/srv-bad.mount").await.1);
}

#[tokio::test]
async fn what_a_condition_holds_off_is_told_and_starts_once_that_is_met() {
    let rig = Rig::new().await;
    let content = "[Unit]\nConditionPathExists=/run/plugged\n[Service]\nExecStart=/bin/sleep 1000\n";
    let unit = json!({ "id": "meter", "kind": "SystemdUnit", "spec": { "name": "meter.service", "content": content, "state": "Active" } });
    let generation = rig.apply(json!([unit])).await;
    let is_held_off =
        |it: &ResourceStatus| it.error.as_ref().is_some_and(|error| error.reason == "ConditionNotMet");
    let told = rig.resource("meter", "its condition is told", is_held_off).await;
    assert!(told.retry_after.is_some(), "{told:?}");
    rig.board.sh("touch /run/plugged").await;
    rig.ready(generation).await;
    assert_eq!(rig.board.sh("systemctl is-active meter").await, "active");
}

#[tokio::test]
async fn units_of_the_agents_own_user_are_held_beside_those_of_the_system() {
    let server = board::server().await;
    let fleet = fleet(&server).await;
    let board = Board::start(&server).await;
    // Root's own systemd, as `loginctl enable-linger root` starts it at boot.
    board.sh("loginctl enable-linger root").await;
    board.until("systemctl is-active user@0.service", "active").await;
    board.sh("systemctl enable --quiet --now holdfast.service").await;
    let rig = Rig::of(board, fleet, server);
    let generation = rig
        .apply(json!([{ "id": "tea", "kind": "SystemdUnit", "spec": {
            "name": "tea.service", "scope": "User", "state": "Active", "enabled": true,
            "content": "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=default.target\n"
        } }]))
        .await;
    rig.ready(generation).await;
    let user = "XDG_RUNTIME_DIR=/run/user/0 systemctl --user";
    assert_eq!(
        rig.board.sh(&format!("{user} is-active tea; {user} is-enabled tea")).await,
        "active\nenabled"
    );
    rig.board.sh(&format!("{user} stop tea")).await;
    rig.board.until(&format!("{user} is-active tea"), "active").await;
    let generation = rig.apply(json!([])).await;
    rig.ready(generation).await;
    let (printed, _) =
        rig.board.try_sh(&format!("{user} is-active tea; ls /root/.config/systemd/user")).await;
    assert_eq!(printed, "inactive");
}
