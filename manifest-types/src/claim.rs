//! Claims: the things on a device that one resource at most may hold.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One thing on the device. All kinds share one namespace, so that a unit with text and a file at the same path cannot both be wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Claim {
    /// A path in the file system.
    Path(String),
    /// A systemd unit.
    Unit(String),
    /// A container's name.
    Container(String),
    /// A container engine's volume.
    Volume(String),
    /// A container engine's network.
    Network(String),
    /// A network interface of the host.
    Interface(String),
}

/// A text that is no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a claim: one of path:, unit:, container:, volume:, network:, interface: and a name")]
pub struct ClaimError(String);

impl Claim {
    /// Whether it is a path in the directory that the other one is.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(path), Self::Path(directory)) => {
                path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            _ => false,
        }
    }

    /// The directories that a path is in, as claims: the nearest first.
    pub fn around(&self) -> impl Iterator<Item = Self> + '_ {
        let path = match self {
            Self::Path(path) => path.as_str(),
            _ => "",
        };
        let ends = path.rmatch_indices('/').map(|(end, _)| end).take_while(|end| *end > 0);
        ends.map(|end| Self::Path(path[..end].to_owned()))
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Path(name) => ("path", name),
            Self::Unit(name) => ("unit", name),
            Self::Container(name) => ("container", name),
            Self::Volume(name) => ("volume", name),
            Self::Network(name) => ("network", name),
            Self::Interface(name) => ("interface", name),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (space, name) = self.parts();
        write!(f, "{space}:{name}")
    }
}

impl FromStr for Claim {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let (space, name) = text.split_once(':').unwrap_or((text, ""));
        let make = match space {
            _ if name.is_empty() => return Err(ClaimError(text.into())),
            "path" => Self::Path,
            "unit" => Self::Unit,
            "container" => Self::Container,
            "volume" => Self::Volume,
            "network" => Self::Network,
            "interface" => Self::Interface,
            _ => return Err(ClaimError(text.into())),
        };
        Ok(make(name.to_owned()))
    }
}

impl From<Claim> for String {
    fn from(claim: Claim) -> String {
        claim.to_string()
    }
}

impl TryFrom<String> for Claim {
    type Error = ClaimError;

    fn try_from(text: String) -> Result<Self, ClaimError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_within_a_directory() {
        let within = |path: &str, directory: &str| {
            path.parse::<Claim>().unwrap().is_within(&directory.parse().unwrap())
        };
        assert!(within("path:/srv/app/x", "path:/srv/app") && within("path:/srv/app/x/y", "path:/srv/app"));
        assert!(!within("path:/srv/app-x", "path:/srv/app") && !within("path:/srv/app", "path:/srv/app"));
        assert!(!within("unit:/srv/app/x", "path:/srv/app"));
        let path: Claim = "path:/srv/app/x".parse().unwrap();
        let around: Vec<_> = path.around().map(|claim| claim.to_string()).collect();
        assert_eq!(around, ["path:/srv/app", "path:/srv"]);
    }

    #[test]
    fn a_claim_reads_what_it_writes() {
        for text in
            ["path:/etc/a:b", "unit:web.service", "container:web", "volume:v", "network:n", "interface:eth0"]
        {
            assert_eq!(text.parse::<Claim>().unwrap().to_string(), text);
        }
        for bad in ["", "path:", "path", "disk:sda"] {
            assert!(bad.parse::<Claim>().is_err(), "{bad}");
        }
    }
}
