//! An engine that answered, and what is spoken with it.

use hyper::Method;

use super::{
    Docker,
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

impl Docker {
    /// The places where engines usually are, in the order in which they are asked: the one that is named alone, or those of the whole device, Docker's before
    /// Podman's, and then those of the user whose folder for sockets this is.
    pub fn usual_places(named: Option<String>, runtime_dir: Option<&str>) -> Vec<String> {
        if let Some(named) = named {
            return vec![named];
        }
        let device = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"];
        let user =
            runtime_dir.map(|dir| ["docker.sock", "podman/podman.sock"].map(|name| format!("{dir}/{name}")));
        let paths = device.map(str::to_owned).into_iter().chain(user.into_iter().flatten());
        paths.map(|path| format!("unix://{path}")).collect()
    }
}

impl Found {
    pub(super) fn call(&self, method: Method, path: &str, doing: impl Into<String>) -> Call {
        Call::new(method, format!("/v{}.{}{path}", self.api.0, self.api.1), doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_of_the_device_comes_before_one_of_the_user_and_docker_before_podman() {
        let places = Docker::usual_places(None, Some("/run/user/1000"));
        let short: Vec<_> = places.iter().filter_map(|place| place.strip_prefix("unix:///run/")).collect();
        assert_eq!(
            short,
            ["docker.sock", "podman/podman.sock", "user/1000/docker.sock", "user/1000/podman/podman.sock"]
        );
        let named = Some("tcp://127.0.0.1:2375".to_owned());
        assert_eq!(Docker::usual_places(named, Some("/run/user/1000")), ["tcp://127.0.0.1:2375"]);
    }
}
