//! A spec in which everything is set.

use serde_json::{Value, json};

/// The settings of a spec in which everything is set that engines read and that excludes nothing else, some of it in two ways. `annotates` says whether
/// the engine knows annotations; `ip` is its address in `network`.
pub fn full(annotates: bool, network: &str, volume: &str, ip: &str) -> Value {
    let mut spec = json!({
        "command": ["-c", "sleep 10000"], "entrypoint": ["/bin/sh"], "env": { "MODE": "kiosk", "EMPTY": "", "EQUALS": "a=b" },
        "workingDir": "/srv", "user": "0:0", "groups": ["10"], "hostname": "web",
        "ports": [{ "container": 80, "host": 18080, "ip": "127.0.0.1" }, { "container": "9000-9001", "host": "19100-19101", "protocol": "Udp" }, { "container": 81 }],
        "mounts": [
            { "type": "Bind", "source": "/etc", "target": "/mnt/etc", "readOnly": true },
            { "type": "Bind", "source": "/usr", "target": "/mnt/usr", "propagation": "Private" },
            { "type": "Volume", "source": volume, "target": "/data", "noCopy": true },
            { "type": "Tmpfs", "target": "/cache", "size": "16Mi", "mode": "0700" }
        ],
        "networks": [{ "name": network, "aliases": ["www"], "ip": [ip], "mac": "02:42:0a:5b:29:87" }],
        "dns": ["10.0.0.1"], "dnsSearch": ["example"], "dnsOptions": ["ndots:2"], "extraHosts": { "db": "10.0.0.2" },
        "resources": { "memory": "64Mi", "memoryReservation": "32Mi", "cpus": 0.5, "cpuShares": 512, "pids": 100, "cpuset": "0" },
        "restartPolicy": "OnFailure", "maxRestarts": 5,
        "healthcheck": { "command": ["true"], "interval": "30s", "timeout": "2s", "startPeriod": "10s", "retries": 2 },
        "stopSignal": "SIGINT", "stopGracePeriod": "3s", "init": false, "tty": true,
        "capabilities": { "add": ["NET_ADMIN"], "drop": ["MKNOD"] },
        "devices": [{ "host": "/dev/null", "container": "/dev/modem", "permissions": "rw" }], "deviceCgroupRules": ["c 188:* rwm"],
        "sysctls": { "net.ipv4.ip_forward": "1" }, "ulimits": { "nofile": { "soft": 1024, "hard": 2048 }, "nproc": { "soft": 500, "hard": 1000 } },
        "securityOpt": ["no-new-privileges"], "readOnlyRootFilesystem": true, "shmSize": "32Mi", "ipc": "private", "pid": "host", "oomScoreAdj": 100, "oomKillDisable": true,
        "logging": { "driver": "json-file", "options": { "max-size": "1m" } }, "labels": { "tier": "front" }
    });
    if annotates {
        spec["annotations"] = json!({ "a.b/c": "d" });
    }
    spec
}
