use serde_json::{Value, json};

use super::*;

fn problems(spec: Value) -> Vec<String> {
    let mut with_image = json!({ "image": "web:1" });
    with_image.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let problems = match crate::decode::decode::<ContainerSpec>(&with_image) {
        Ok(spec) => spec.problems(),
        Err(problems) => problems,
    };
    problems.iter().map(ToString::to_string).collect()
}

/// A spec in which every field is set.
pub(crate) fn full() -> Value {
    json!({
        "name": "web", "image": "registry.example/web:1.2", "pullPolicy": "Always", "registryCredentials": "/etc/registry.json",
        "command": ["serve"], "entrypoint": ["/bin/web"], "env": { "MODE": "kiosk" }, "initialEnv": { "NAME": "pump" }, "workingDir": "/srv", "user": "1000:1000",
        "groups": ["audio"], "hostname": "web", "domainname": "example",
        "ports": [{ "container": 80, "host": 8080, "ip": "127.0.0.1" }, { "container": "9000-9002", "host": "9100-9102", "protocol": "Udp" }],
        "mounts": [
            { "type": "Bind", "source": "/etc/web", "target": "/etc/web", "readOnly": true, "propagation": "RSlave" },
            { "type": "Bind", "source": "/srv/web", "target": "/srv", "createSource": true },
            { "type": "Volume", "source": "data", "target": "/data", "noCopy": true, "subPath": "web/a" },
            { "type": "Tmpfs", "target": "/cache", "size": "16Mi", "mode": "0700" }
        ],
        "networks": [{ "name": "shop", "aliases": ["www"], "ip": ["10.89.7.5"], "linkLocalIps": ["169.254.7.5"],
            "mac": "52:54:00:12:34:56", "gatewayPriority": 1, "driverOptions": { "a": "b" } }],
        "dns": ["10.0.0.1"], "dnsSearch": ["example"], "dnsOptions": ["ndots:2"], "extraHosts": { "db": "10.0.0.2", "host": "host-gateway" },
        "resources": { "memory": "64Mi", "memoryReservation": "32Mi", "cpus": 0.5, "cpuShares": 512, "pids": 100, "cpuset": "0-1,3", "cpuRealtimePeriod": "1s", "cpuRealtimeRuntime": "950ms" },
        "restartPolicy": "OnFailure", "maxRestarts": 5,
        "healthcheck": { "command": ["/bin/check"], "interval": "5s", "timeout": "2s", "startPeriod": "10s", "startInterval": "1s", "retries": 2 },
        "probes": {
            "readiness": { "http": { "port": 80, "path": "/ready", "headers": { "Host": "web" } }, "interval": "2s" },
            "liveness": { "tcp": { "port": 80 }, "failureThreshold": 5 }
        },
        "stopSignal": "SIGINT", "stopGracePeriod": "3s", "init": true, "tty": true, "privileged": false,
        "capabilities": { "add": ["NET_ADMIN"], "drop": ["MKNOD"] },
        "devices": [{ "host": "/dev/ttyS0", "container": "/dev/modem", "permissions": "rw" }], "deviceCgroupRules": ["c 188:* rwm"],
        "deviceRequests": [{ "driver": "nvidia", "count": 1, "capabilities": ["gpu"] }],
        "sysctls": { "net.core.somaxconn": "1024" }, "ulimits": { "nofile": { "soft": 1024, "hard": 2048 } },
        "securityOpt": ["no-new-privileges"], "readOnlyRootFilesystem": true, "shmSize": "32Mi", "ipc": "private", "pid": "host", "uts": "host", "userns": "host", "cgroup": "Private", "cgroupParent": "/plant", "runtime": "runc",
        "oomScoreAdj": -500, "oomKillDisable": true, "storageOpt": { "size": "1G" },
        "logging": { "driver": "json-file", "options": { "max-size": "1m" } }, "labels": { "tier": "front" }, "annotations": { "a.b/c": "d" }, "takeOver": { "labels": { "made-by": "hand" } },
        "update": { "strategy": "StopFirst", "healthyWithin": "30s", "locks": ["/run/web/updates.lock"] }, "desired": "Running"
    })
}

#[test]
fn every_field_is_read_and_written_again() {
    let spec: ContainerSpec = crate::decode::decode(&full()).unwrap();
    assert_eq!(spec.problems(), []);
    let written = serde_json::to_value(&spec).unwrap();
    let again: ContainerSpec = crate::decode::decode(&written).unwrap();
    assert_eq!(again, spec);
    let schema = schemars::schema_for!(ContainerSpec).to_value();
    let known: std::collections::BTreeSet<_> =
        schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut set: std::collections::BTreeSet<_> = full().as_object().unwrap().keys().cloned().collect();
    set.extend(["networkMode".to_owned(), "networkOf".to_owned()]);
    assert_eq!(set, known, "the test sets every field");
}

#[test]
fn what_types_do_not_rule_out_is_found() {
    for (spec, path) in [
        (json!({ "labels": { "holdfast.agent-id": "x" } }), "$.labels"),
        (json!({ "networkMode": "Host", "ports": [{ "container": 80 }] }), "$.ports"),
        (json!({ "networkMode": "None", "networks": [{ "name": "a" }] }), "$.networks"),
        (json!({ "networks": [{ "name": "a" }, { "name": "a" }] }), "$.networks[1].name"),
        (json!({ "ports": [{ "container": "80-81", "host": 80 }] }), "$.ports[0].host"),
        (json!({ "ports": [{ "container": "80-81", "host": "80-82" }] }), "$.ports[0].host"),
        (json!({ "networkOf": "db", "ports": [{ "container": 80 }] }), "$.ports"),
        (json!({ "networkOf": "db", "networkMode": "Host" }), "$.networkMode"),
        (json!({ "takeOver": {} }), "$.takeOver.labels"),
        (json!({ "update": { "handOver": { "files": ["/run/done"] } } }), "$.update.handOver"),
        (
            json!({ "update": { "strategy": "StartFirst", "handOver": { "files": [] } } }),
            "$.update.handOver.files",
        ),
        (
            json!({ "update": { "strategy": "StartFirst", "handOver": { "files": ["/run/done"], "within": "1h" } } }),
            "$.update.handOver.within",
        ),
        (json!({ "update": { "strategy": "StartFirst", "pull": "AfterStop" } }), "$.update.pull"),
        (json!({ "networkMode": "Host", "update": { "strategy": "StartFirst" } }), "$.update.strategy"),
        (json!({ "env": { "A": "b" }, "initialEnv": { "A": "b" } }), "$.initialEnv.A"),
        (
            json!({ "resources": { "cpuRealtimePeriod": "1ms", "cpuRealtimeRuntime": "1s" } }),
            "$.resources.cpuRealtimeRuntime",
        ),
        (
            json!({ "ports": [{ "container": 80, "host": 80 }, { "container": 81, "host": 80 }] }),
            "$.ports[1].host",
        ),
        (json!({ "mounts": [{ "type": "Bind", "target": "/a" }] }), "$.mounts[0].source"),
        (
            json!({ "mounts": [{ "type": "Volume", "target": "/a", "readOnly": true }] }),
            "$.mounts[0].readOnly",
        ),
        (json!({ "mounts": [{ "type": "Volume", "target": "/a", "subPath": "b" }] }), "$.mounts[0].subPath"),
        (json!({ "mounts": [{ "type": "Volume", "source": "/a", "target": "/a" }] }), "$.mounts[0].source"),
        (
            json!({ "mounts": [{ "type": "Tmpfs", "target": "/a" }, { "type": "Tmpfs", "target": "/a" }] }),
            "$.mounts[1].target",
        ),
        (
            json!({ "mounts": [{ "type": "Volume", "source": "a", "target": "/a", "size": "1Mi" }] }),
            "$.mounts[0].size",
        ),
        (json!({ "resources": { "memory": "1Mi" } }), "$.resources.memory"),
        (json!({ "resources": { "cpus": 0.0 } }), "$.resources.cpus"),
        (
            json!({ "resources": { "memory": "64Mi", "memoryReservation": "65Mi" } }),
            "$.resources.memoryReservation",
        ),
        (json!({ "networks": [{ "name": "a" }, { "name": "host" }] }), "$.networks[1].name"),
        (json!({ "maxRestarts": 3 }), "$.maxRestarts"),
        (json!({ "healthcheck": { "command": ["a"], "shell": "a" } }), "$.healthcheck"),
        (json!({ "probes": { "readiness": {} } }), "$.probes.readiness"),
        (
            json!({ "probes": { "liveness": { "tcp": { "port": 1 }, "interval": "1ms" } } }),
            "$.probes.liveness.interval",
        ),
        (json!({ "devices": [{ "host": "/dev/a", "permissions": "x" }] }), "$.devices[0].permissions"),
        (json!({ "ulimits": { "files": { "soft": 1, "hard": 1 } } }), "$.ulimits.files"),
        (json!({ "ulimits": { "nofile": { "soft": 2, "hard": 1 } } }), "$.ulimits.nofile"),
        (json!({ "ipc": "mine" }), "$.ipc"),
        (json!({ "pid": "container:" }), "$.pid"),
        (json!({ "uts": "mine" }), "$.uts"),
        (json!({ "deviceRequests": [{}] }), "$.deviceRequests[0]"),
        (json!({ "deviceRequests": [{ "driver": "a", "count": 1, "ids": ["0"] }] }), "$.deviceRequests[0]"),
        (
            json!({ "mounts": [{ "type": "Volume", "source": "a", "target": "/a", "subPath": "../b" }] }),
            "$.mounts[0].subPath",
        ),
        (
            json!({ "mounts": [{ "type": "Bind", "source": "/a:b", "target": "/a", "createSource": true }] }),
            "$.mounts[0].createSource",
        ),
        (
            json!({ "mounts": [{ "type": "Bind", "source": "/a", "target": "/a", "noCopy": true }] }),
            "$.mounts[0].noCopy",
        ),
        (json!({ "oomScoreAdj": 1001 }), "$.oomScoreAdj"),
        (json!({ "resources": { "cpuset": "3-1" } }), "$.resources.cpuset"),
        (json!({ "resources": { "cpuset": "0,,1" } }), "$.resources.cpuset"),
        (json!({ "healthcheck": { "startInterval": "1us" } }), "$.healthcheck.startInterval"),
        (json!({ "extraHosts": { "db": "nowhere" } }), "$.extraHosts.db"),
        (json!({ "env": { "A=B": "c" } }), "$.env"),
        (
            json!({ "update": { "strategy": "StartFirst" }, "ports": [{ "container": 80, "host": 80 }] }),
            "$.update.strategy",
        ),
        (json!({ "image": "Web" }), "$.image"),
        (json!({ "stopGracePeriod": 10 }), "$.stopGracePeriod"),
        (json!({ "colour": 1 }), "$.colour"),
    ] {
        let told = problems(spec.clone());
        assert!(told.len() == 1 && told[0].starts_with(path), "{spec}: {told:?}");
    }
    assert!(problems(json!({ "ports": [{ "container": 80, "host": "8000-8010" }, { "container": 81, "host": "8000-8010" }] })).is_empty());
    assert!(problems(json!({ "mounts": [{ "type": "Volume", "target": "/data" }] })).is_empty());
    let hands_over =
        json!({ "strategy": "StartFirst", "handOver": { "files": ["/run/done"], "within": "2m" } });
    assert!(problems(json!({ "networkMode": "Host", "update": hands_over })).is_empty());
    assert!(problems(json!({ "update": { "pull": "AfterRemoval" } })).is_empty());
    assert!(problems(json!({ "ports": [{ "container": 80, "host": 80 }, { "container": 80, "host": 80, "protocol": "Udp" }] })).is_empty());
}

#[test]
fn patience_has_an_end() {
    assert_eq!(
        problems(json!({ "stopGracePeriod": "20m", "update": { "healthyWithin": "20m" } })),
        Vec::<String>::new()
    );
    let told = problems(json!({ "stopGracePeriod": "21m", "update": { "healthyWithin": "1h" } }));
    assert!(told.len() == 2 && told[0].starts_with("$.update.healthyWithin"), "{told:?}");
}
