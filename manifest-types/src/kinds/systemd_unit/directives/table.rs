//! The directives whose place, or whose value, can be told without systemd. A directive that is not here passes.

use super::values::Expected;

/// Sections that run something have these in common (systemd.exec(5), systemd.kill(5)).
const EXEC: &[&str] = &["Service", "Socket", "Mount", "Swap"];
/// The same, and those that only bound what runs in them (systemd.resource-control(5)).
const CONTROL: &[&str] = &["Service", "Socket", "Mount", "Swap", "Slice", "Scope"];
const UNIT: &[&str] = &["Unit"];
const INSTALL: &[&str] = &["Install"];
const SERVICE: &[&str] = &["Service"];
const TIMER: &[&str] = &["Timer"];
const SOCKET: &[&str] = &["Socket"];
const PATH: &[&str] = &["Path"];

/// The sections that each directive may stand in.
const PLACES: &[(&[&str], &[&str])] = &[
    (
        &[
            "Description",
            "Documentation",
            "Wants",
            "Requires",
            "Requisite",
            "BindsTo",
            "PartOf",
            "Upholds",
            "Conflicts",
            "Before",
            "After",
            "OnFailure",
            "OnSuccess",
            "PropagatesReloadTo",
            "ReloadPropagatedFrom",
            "JoinsNamespaceOf",
            "RequiresMountsFor",
            "OnFailureJobMode",
            "IgnoreOnIsolate",
            "StopWhenUnneeded",
            "RefuseManualStart",
            "RefuseManualStop",
            "AllowIsolate",
            "DefaultDependencies",
            "CollectMode",
            "FailureAction",
            "SuccessAction",
            "JobTimeoutSec",
            "JobRunningTimeoutSec",
            "StartLimitIntervalSec",
            "ConditionPathExists",
            "ConditionHost",
            "ConditionFirstBoot",
            "ConditionVirtualization",
            "AssertPathExists",
        ],
        UNIT,
    ),
    (&["Alias", "WantedBy", "RequiredBy", "UpheldBy", "Also", "DefaultInstance"], INSTALL),
    (
        &[
            "ExecStart",
            "ExecCondition",
            "ExecReload",
            "RemainAfterExit",
            "GuessMainPID",
            "PIDFile",
            "BusName",
            "RestartSec",
            "Restart",
            "TimeoutStartSec",
            "TimeoutAbortSec",
            "WatchdogSec",
            "SuccessExitStatus",
            "RestartPreventExitStatus",
            "RestartForceExitStatus",
            "NotifyAccess",
            "Sockets",
            "FileDescriptorStoreMax",
        ],
        SERVICE,
    ),
    // A mount's is that of its file system.
    (&["Type"], &["Service", "Mount"]),
    (&["ExecStartPre", "ExecStartPost", "ExecStopPost"], &["Service", "Socket"]),
    (
        &[
            "OnActiveSec",
            "OnBootSec",
            "OnStartupSec",
            "OnUnitActiveSec",
            "OnUnitInactiveSec",
            "OnCalendar",
            "AccuracySec",
            "RandomizedDelaySec",
            "FixedRandomDelay",
            "Persistent",
            "WakeSystem",
            "RemainAfterElapse",
        ],
        TIMER,
    ),
    (
        &[
            "ListenStream",
            "ListenDatagram",
            "ListenSequentialPacket",
            "ListenFIFO",
            "ListenSpecial",
            "ListenNetlink",
            "ListenMessageQueue",
            "SocketMode",
            "SocketUser",
            "SocketGroup",
            "Accept",
            "MaxConnections",
            "RemoveOnStop",
        ],
        SOCKET,
    ),
    (
        &[
            "PathExists",
            "PathExistsGlob",
            "PathChanged",
            "PathModified",
            "DirectoryNotEmpty",
            "MakeDirectory",
        ],
        PATH,
    ),
    (
        &[
            "User",
            "Group",
            "WorkingDirectory",
            "RootDirectory",
            "Environment",
            "EnvironmentFile",
            "StandardInput",
            "StandardOutput",
            "StandardError",
            "SyslogIdentifier",
            "UMask",
            "Nice",
            "OOMScoreAdjust",
            "ProtectSystem",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "PrivateNetwork",
            "NoNewPrivileges",
            "CapabilityBoundingSet",
            "AmbientCapabilities",
            "ReadWritePaths",
            "ReadOnlyPaths",
            "InaccessiblePaths",
            "StateDirectory",
            "RuntimeDirectory",
            "CacheDirectory",
            "LogsDirectory",
            "ConfigurationDirectory",
            "LimitNOFILE",
            "LimitCORE",
        ],
        EXEC,
    ),
    (&["KillMode", "KillSignal", "SendSIGKILL"], &["Service", "Socket", "Mount", "Swap", "Scope"]),
    (
        &[
            "MemoryMax",
            "MemoryHigh",
            "MemoryLow",
            "CPUQuota",
            "CPUWeight",
            "TasksMax",
            "IOWeight",
            "Slice",
            "Delegate",
        ],
        CONTROL,
    ),
];

const BOOLEANS: &[&str] = &[
    "RemainAfterExit",
    "GuessMainPID",
    "RefuseManualStart",
    "RefuseManualStop",
    "AllowIsolate",
    "DefaultDependencies",
    "StopWhenUnneeded",
    "IgnoreOnIsolate",
    "Persistent",
    "WakeSystem",
    "RemainAfterElapse",
    "FixedRandomDelay",
    "Accept",
    "RemoveOnStop",
    "MakeDirectory",
    "NoNewPrivileges",
    "PrivateNetwork",
    "PrivateDevices",
    "SendSIGKILL",
];

const TIMES: &[&str] = &[
    "RestartSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "TimeoutSec",
    "WatchdogSec",
    "RuntimeMaxSec",
    "JobTimeoutSec",
    "JobRunningTimeoutSec",
    "StartLimitIntervalSec",
    "OnActiveSec",
    "OnBootSec",
    "OnStartupSec",
    "OnUnitActiveSec",
    "OnUnitInactiveSec",
    "AccuracySec",
    "RandomizedDelaySec",
];

const COMMANDS: &[&str] = &[
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "ExecCondition",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
];

const NUMBERS: &[&str] =
    &["Nice", "OOMScoreAdjust", "StartLimitBurst", "MaxConnections", "FileDescriptorStoreMax"];

/// Directives with a few values each, by their sections.
const CHOICES: &[(&str, &str, &[&str])] = &[
    ("Service", "Type", &["simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"]),
    (
        "Service",
        "Restart",
        &["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"],
    ),
    ("Service", "NotifyAccess", &["none", "main", "exec", "all"]),
    ("Service", "KillMode", &["control-group", "mixed", "process", "none"]),
    ("Unit", "CollectMode", &["inactive", "inactive-or-failed"]),
];

/// The sections that a directive may stand in; none: it is not known here.
pub(super) fn belongs_to(key: &str) -> &'static [&'static str] {
    let place = PLACES.iter().find(|(keys, _)| keys.contains(&key));
    place.map_or(&[], |(_, sections)| sections)
}

/// What the value of a directive must be like, if that is known here.
pub(super) fn value_of(section: &str, key: &str) -> Option<Expected> {
    let choice = CHOICES.iter().find(|(of, name, _)| *of == section && *name == key);
    if let Some((_, _, all)) = choice {
        return Some(Expected::OneOf(all));
    }
    let lists = [
        (BOOLEANS, Expected::Boolean),
        (TIMES, Expected::Time),
        (COMMANDS, Expected::CommandLine),
        (NUMBERS, Expected::Number),
        (&["Where"], Expected::AbsolutePath),
    ];
    lists.into_iter().find(|(keys, _)| keys.contains(&key)).map(|(_, expected)| expected)
}
