//! An engine that answered, and what is spoken with it.

use std::sync::PoisonError;

use hyper::Method;

use super::{
    Docker,
    http::{Call, Endpoint, ask},
    wire::Told,
};
use crate::engine::{Answer, error::EngineError, shape::USUAL_NETWORK, terms::EngineInfo};

/// The API version up to which this build knows what it says.
const NEWEST_API: (u32, u32) = (1, 48);
/// The oldest API that has what is needed: Docker 20.10, Podman 4.
const OLDEST_API: (u32, u32) = (1, 41);

/// An engine that answered.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The place at which it was found, as that was named.
    pub(super) place: String,
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
    let found = Found { place: String::new(), endpoint: endpoint.clone(), api: spoken, is_podman };
    let info = ask(endpoint, found.call(Method::GET, "/info", "tell what it is")).await?;
    let data_dir = Told(&info).some_text("DockerRootDir");
    let api_version = format!("{}.{}", spoken.0, spoken.1);
    let (announces_restarts, leaves_names) = (!is_podman, is_podman);
    Ok((found, EngineInfo { name, version, api_version, data_dir, announces_restarts, leaves_names }))
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

    pub(super) fn known(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, found: Option<Found>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// A network as this engine calls it.
    pub(super) fn network_name<'a>(&self, name: &'a str) -> &'a str {
        let is_podman = self.known().is_some_and(|found| found.is_podman);
        if is_podman && name == USUAL_NETWORK { "podman" } else { name }
    }

    pub(super) async fn found(&self) -> Answer<Found> {
        match self.known() {
            Some(found) => Ok(found),
            None => self.find().await.map(|(found, _)| found),
        }
    }

    pub(super) async fn find(&self) -> Answer<(Found, EngineInfo)> {
        let mut told = Vec::new();
        let home = self.home.place().await.filter(|home| self.places.contains(home));
        let is_home = |place: &&String| home.as_ref().is_none_or(|home| *place == home);
        for place in self.places.iter().filter(is_home) {
            let Some(endpoint) = Endpoint::parse(place) else {
                told.push(format!("{place} (neither unix:///path nor tcp://host:port)"));
                continue;
            };
            match identify(&endpoint).await {
                Ok((found, info)) => {
                    let found = Found { place: place.clone(), ..found };
                    self.remember(Some(found.clone()));
                    return Ok((found, info));
                }
                Err(error @ EngineError::TooOld { .. }) => return Err(error),
                Err(EngineError::Away { why, .. }) => told.push(format!("{place} ({why})")),
                Err(error) => told.push(format!("{place} ({error})")),
            }
        }
        self.remember(None);
        let places = told.join(", ");
        Err(match home {
            Some(_) => EngineError::Away {
                endpoint: places,
                why: "no other one is taken: what this agent has made is there".into(),
            },
            None => EngineError::NoEngine { places },
        })
    }

    /// An engine that cannot be reached is looked for again, at all its places, with the next call.
    pub(super) fn note<T>(&self, answer: Answer<T>) -> Answer<T> {
        if matches!(answer, Err(EngineError::Away { .. })) {
            self.remember(None);
        }
        answer
    }
}

impl Found {
    pub(super) fn call(&self, method: Method, path: &str, doing: impl Into<String>) -> Call {
        Call::new(method, format!("/v{}.{}{path}", self.api.0, self.api.1), doing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    /// Something that answers every question with this.
    async fn identified(answer: Value) -> Answer<(Found, EngineInfo)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = [0; 4096];
                let _ = stream.read(&mut question).await.unwrap();
                let body = answer.to_string();
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        let told = identify(&Endpoint::Unix(path)).await;
        server.abort();
        told
    }

    #[tokio::test]
    async fn a_version_is_spoken_that_both_know() {
        for (highest, lowest, spoken) in
            [("1.41", "1.12", "1.41"), ("1.99", "1.24", "1.48"), ("1.60", "1.50", "1.50")]
        {
            let told = json!({ "Version": "1", "ApiVersion": highest, "MinAPIVersion": lowest });
            assert_eq!(identified(told).await.unwrap().1.api_version, spoken);
        }
        let old = json!({ "Version": "19.03", "ApiVersion": "1.40", "MinAPIVersion": "1.12" });
        let error = identified(old).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::TooOld { api_version, .. } if api_version == "1.40"),
            "{error}"
        );
        assert!(error.to_string().contains("1.41 is needed"), "{error}");
    }

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
