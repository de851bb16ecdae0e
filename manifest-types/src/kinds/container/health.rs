//! How it is known that a container is well: the engine's healthcheck, and probes by the agent.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    kinds::is_default,
    problem::{JsonPath, Problem},
    quantity::Span,
};

/// The engine's own healthcheck: a command that it runs in the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Healthcheck {
    /// A program and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A line for the container's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Switches off what the image brings.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disabled: bool,
    /// The time between two. Default: the image's, else 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// The time that one may take. Default: the image's, else 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// The time after a start in which failures do not count. Default: the image's, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Span>,
    /// The time between two within the start period. Needs Docker 25. Default: the image's, else 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Span>,
    /// So many failures in a row make it unhealthy. Default: the image's, else 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u16>,
}

/// Probes that the agent runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probes {
    /// Until it succeeds, and while it fails, the container is not `Ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// When it fails, the container is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// A question that the agent asks the container again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// A GET that must be answered with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A connection that must be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// A program in the container that must end with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// The time after a start before the first. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Span>,
    /// The time between two. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// The time that one may take. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// So many failures in a row make it fail. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u16>,
    /// So many successes in a row make it succeed. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u16>,
}

/// A GET to the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// The container's port.
    pub port: u16,
    /// What is asked for. Default: /
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// More headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A connection to the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpProbe {
    /// The container's port.
    pub port: u16,
}

/// A program in the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecProbe {
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl Probe {
    /// The time between two.
    pub fn wanted_interval(&self) -> Duration {
        self.interval.map_or(Duration::from_secs(10), |span| span.0)
    }

    /// The time that one may take.
    pub fn wanted_timeout(&self) -> Duration {
        self.timeout.map_or(Duration::from_secs(1), |span| span.0)
    }

    fn problems(&self, at: &JsonPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let given = [self.http.is_some(), self.tcp.is_some(), self.exec.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            problems.push(Problem::new(at.clone(), "needs exactly one of http, tcp and exec"));
        }
        if self.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
            problems.push(Problem::new(at.key("exec").key("command"), "is empty"));
        }
        if self.http.as_ref().and_then(|http| http.path.as_ref()).is_some_and(|path| !path.starts_with('/')) {
            problems.push(Problem::new(at.key("http").key("path"), "must begin with /"));
        }
        for (key, least, span) in [
            ("interval", Duration::from_millis(100), self.interval),
            ("timeout", Duration::from_millis(10), self.timeout),
        ] {
            if span.is_some_and(|span| span.0 < least) {
                problems.push(Problem::new(at.key(key), format!("must be {} at least", Span(least))));
            }
        }
        for (key, count) in
            [("failureThreshold", self.failure_threshold), ("successThreshold", self.success_threshold)]
        {
            if count == Some(0) {
                problems.push(Problem::new(at.key(key), "must be 1 at least"));
            }
        }
        problems
    }
}

impl Probes {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = |key: &str| JsonPath::root().key("probes").key(key);
        let of = |key: &str, probe: &Option<Probe>| {
            probe.iter().flat_map(|probe| probe.problems(&at(key))).collect()
        };
        let both: [Vec<Problem>; 2] = [of("readiness", &self.readiness), of("liveness", &self.liveness)];
        both.concat()
    }
}

impl Healthcheck {
    /// What is run, as engines write it; `None` if that is left to the image.
    pub fn test(&self) -> Option<Vec<String>> {
        let with = |how: &str, rest: &[String]| [&[how.to_owned()], rest].concat();
        match (&self.command, &self.shell) {
            _ if self.disabled => Some(vec!["NONE".to_owned()]),
            (Some(command), _) => Some(with("CMD", command)),
            (None, Some(line)) => Some(with("CMD-SHELL", std::slice::from_ref(line))),
            (None, None) => None,
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = JsonPath::root().key("healthcheck");
        let mut problems = Vec::new();
        if self.command.is_some() && self.shell.is_some() {
            problems.push(Problem::new(at.clone(), "takes command or shell, not both"));
        }
        if self.disabled && (self.command.is_some() || self.shell.is_some()) {
            problems.push(Problem::new(at.key("disabled"), "does not go with a command"));
        }
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Problem::new(at.key("command"), "is empty"));
        }
        let spans =
            [("interval", self.interval), ("timeout", self.timeout), ("startInterval", self.start_interval)];
        for (key, span) in spans {
            // What engines refuse: anything but none at all, or a millisecond at least.
            if span.is_some_and(|span| span.0 < Duration::from_millis(1)) {
                problems.push(Problem::new(at.key(key), "must be 1ms at least"));
            }
        }
        problems
    }
}
