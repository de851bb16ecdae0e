//! How a changed network configuration is confirmed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    problem::{JsonPath, Problem},
    quantity::Span,
};

/// A change must be confirmed within this time, or everything is put back as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Confirm {
    /// How long it may take until all checks have passed, from the first change on: 5s to 10m.
    #[serde(skip_serializing_if = "is_default_within")]
    pub within: Span,
    /// What must work afterwards. A check that failed before the change does not count against it. With none, reading the kernel back is all that is asked.
    pub checks: Vec<Check>,
}

/// Something that must work after a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum Check {
    /// The source of manifests answers over a new connection.
    ControlPlane,
    /// Each gateway of this resource answers its neighbours.
    Gateway,
    /// A GET is answered.
    Http {
        /// What is asked for, `http://…`: it must be answered with a status from 200 to 399.
        url: String,
    },
    /// A connection is accepted.
    Tcp {
        /// Where: a host and a port, `192.0.2.1:22`.
        addr: String,
    },
}

const SHORTEST: Span = Span(Duration::from_secs(5));
const LONGEST: Span = Span(Duration::from_secs(600));
const WITHIN: Span = Span(Duration::from_secs(30));

impl Default for Confirm {
    fn default() -> Self {
        Self { within: WITHIN, checks: vec![Check::ControlPlane] }
    }
}

fn is_default_within(within: &Span) -> bool {
    *within == WITHIN
}

/// The host and the port of a text `host:port`, an IPv6 address in brackets.
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(host) if host.parse::<core::net::Ipv6Addr>().is_ok() => host,
        Some(_) => return None,
        None => host,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_host = !host.is_empty() && (bare.is_some() || host.bytes().all(is_plain));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host.then_some((host, port))
}

/// The host, the port and the path of an address `http://host[:port][/path]`.
pub fn http_parts(url: &str) -> Option<(&str, u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let (host, port) = match has_port {
        true => host_and_port(authority)?,
        false => (authority.trim_start_matches('[').trim_end_matches(']'), 80),
    };
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !host.is_empty() && !host.contains(['@', ' '])).then_some((host, port, path))
}

impl Confirm {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = JsonPath::root().key("confirm");
        let mut problems = Vec::new();
        if !(SHORTEST..=LONGEST).contains(&self.within) {
            let message = format!("must be {SHORTEST} at least and {LONGEST} at most");
            problems.push(Problem::new(at.key("within"), message));
        }
        for (index, check) in self.checks.iter().enumerate() {
            let at = at.key("checks").index(index);
            match check {
                Check::Http { url } if http_parts(url).is_none() => {
                    let message = "must be an address such as \"http://192.0.2.1/health\", without a user";
                    problems.push(Problem::new(at.key("Http").key("url"), message));
                }
                Check::Tcp { addr } if host_and_port(addr).is_none() => {
                    let message = "must be a host and a port such as \"192.0.2.1:22\"";
                    problems.push(Problem::new(at.key("Tcp").key("addr"), message));
                }
                _ => {}
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        assert_eq!(host_and_port("192.0.2.1:22"), Some(("192.0.2.1", 22)));
        assert_eq!(host_and_port("[2001:db8::1]:22"), Some(("2001:db8::1", 22)));
        for bad in ["", "a", "a:", ":22", "a:0", "a:70000", "a b:22", "[a]:22", "2001:db8::1:22", "u@a:22"] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
        assert_eq!(http_parts("http://a"), Some(("a", 80, "/")));
        assert_eq!(http_parts("http://a:81/b?c"), Some(("a", 81, "/b?c")));
        assert_eq!(http_parts("http://[2001:db8::1]/b"), Some(("2001:db8::1", 80, "/b")));
        for bad in ["", "a", "https://a", "http://", "http://u:p@a/", "http://a/b c"] {
            assert_eq!(http_parts(bad), None, "{bad}");
        }
    }
}
