//! How the API of balenaCloud or openBalena is reached, as it was configured.

use std::{path::PathBuf, time::Duration};

use crate::secret::Secret;

/// Where a balena device has its own configuration.
pub const CONFIG_JSON: &str = "/mnt/boot/config.json";

/// How the API is reached, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is.
    pub api_endpoint: Option<String>,
    /// The device's uuid.
    pub uuid: Option<String>,
    /// The device's key.
    pub api_key: Option<Secret>,
    /// The key with which it registers itself.
    pub provisioning_key: Option<Secret>,
    /// The fleet that it registers itself in.
    pub fleet: Option<u64>,
    /// Its type.
    pub device_type: Option<String>,
    /// A balena device's own configuration, and whether it must be there.
    pub config: (PathBuf, bool),
    /// A certificate to trust beside the system's, and beside that of `config`.
    pub ca: Option<PathBuf>,
    /// The least time between two requests for the target state, and between two reports.
    pub spacing: Duration,
    /// Where what is known of it is kept.
    pub dir: PathBuf,
    /// What paths of manifests are below.
    pub root: PathBuf,
    /// Where container engines may listen.
    pub engine_places: Vec<String>,
}
