//! An engine that answered, and what is spoken with it.

use hyper::Method;
use serde::Deserialize;

use super::http::{Call, Endpoint, read};
use crate::engine::{Answer, error::EngineError, terms::EngineInfo};

/// The API version up to which this build knows what it says.
const NEWEST_API: (u32, u32) = (1, 47);
/// The oldest API that has what is needed: Docker 20.10, Podman 4.
const OLDEST_API: (u32, u32) = (1, 41);

/// An engine that answered.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) endpoint: Endpoint,
    /// The version of the API that is spoken with it.
    pub(super) api: (u32, u32),
    pub(super) is_podman: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireVersion {
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    components: Option<Vec<WireComponent>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireComponent {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireInfo {
    docker_root_dir: String,
}

/// Asks an engine what it is.
pub(super) async fn ask(endpoint: &Endpoint) -> Answer<(Found, EngineInfo)> {
    let version: WireVersion = read(endpoint, Call::new(Method::GET, "/version", "tell its version")).await?;
    let components = version.components.unwrap_or_default();
    let is_podman = components.iter().any(|component| component.name.starts_with("Podman"));
    let name = if is_podman { "podman" } else { "docker" };
    let highest = api(&version.api_version).unwrap_or((1, 24));
    let lowest = api(&version.min_api_version).unwrap_or((1, 24));
    let spoken = highest.min(NEWEST_API).max(lowest);
    if highest < OLDEST_API {
        return Err(EngineError::TooOld {
            name: name.into(),
            version: version.version,
            api_version: version.api_version,
        });
    }
    let found = Found { endpoint: endpoint.clone(), api: spoken, is_podman };
    let info: WireInfo = read(endpoint, found.call(Method::GET, "/info", "tell what it is")).await?;
    let data_dir = Some(info.docker_root_dir).filter(|dir| !dir.is_empty());
    let api_version = format!("{}.{}", spoken.0, spoken.1);
    Ok((found, EngineInfo { name: name.into(), version: version.version, api_version, data_dir }))
}

fn api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Found {
    pub(super) fn call(&self, method: Method, path: &str, doing: impl Into<String>) -> Call {
        Call::new(method, format!("/v{}.{}{path}", self.api.0, self.api.1), doing)
    }
}
