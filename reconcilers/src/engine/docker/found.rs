//! An engine that answered, and what is spoken with it.

use hyper::Method;

use super::{
    http::{Call, Endpoint, ask},
    wire::Told,
};
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

/// Asks an engine what it is.
pub(super) async fn identify(endpoint: &Endpoint) -> Answer<(Found, EngineInfo)> {
    let told = ask(endpoint, Call::new(Method::GET, "/version", "tell its version")).await?;
    let told = Told(&told);
    let version = told.text("Version").to_owned();
    let is_podman = told.list("Components").any(|component| component.text("Name").starts_with("Podman"));
    let name = if is_podman { "podman" } else { "docker" }.to_owned();
    let highest = api(told.text("ApiVersion")).unwrap_or((1, 24));
    let lowest = api(told.text("MinAPIVersion")).unwrap_or((1, 24));
    let spoken = highest.min(NEWEST_API).max(lowest);
    if highest < OLDEST_API {
        return Err(EngineError::TooOld { name, version, api_version: told.text("ApiVersion").to_owned() });
    }
    let found = Found { endpoint: endpoint.clone(), api: spoken, is_podman };
    let info = ask(endpoint, found.call(Method::GET, "/info", "tell what it is")).await?;
    let data_dir = Told(&info).some_text("DockerRootDir");
    let api_version = format!("{}.{}", spoken.0, spoken.1);
    Ok((found, EngineInfo { name, version, api_version, data_dir }))
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
