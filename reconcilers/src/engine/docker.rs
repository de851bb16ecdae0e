//! The real engine: Docker's API, as Docker and Podman speak it. All of its wire types stay in here.
//!
//! Its models are our own and read only what is needed, leniently: one container in a state that a client's model does not know must not
//! hide all the others (ADR 0015).

use std::{path::PathBuf, sync::Mutex, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use hyper::Method;
use manifest_types::{
    kinds::{
        container::Attachment,
        container_network::ContainerNetworkSpec,
        engine::{ImageRef, Texts},
        volume::VolumeSpec,
    },
    status::Progress,
};
use serde_json::{Value, json};

use self::{
    found::Found,
    home::Home,
    http::{Call, ask, bytes, encode, lines, parse, stream},
    pull::Pulling,
    wire::{Told, WireListed},
};
use super::{
    Answer, ContainerEngine, NewContainer, Output,
    error::{Cause, EngineError},
    marks,
    terms::{
        Activity, Adjustment, Container, EngineEvent, EngineInfo, Image, Listed, Login, NamedImage, Network,
        Printed, Volume,
    },
};

mod create;
mod events;
mod found;
mod home;
mod http;
mod mounts;
mod networks;
mod printed;
mod pull;
mod read;
mod volumes;
mod wire;

/// What makes or moves a container may take longer than a question.
const CHANGE: Duration = Duration::from_secs(120);
/// A program that is run in a container has so long.
const RUN: Duration = Duration::from_secs(300);

/// Docker or Podman, behind its socket.
#[derive(Debug)]
pub struct Docker {
    /// Where it may be, in this order.
    places: Vec<String>,
    home: Home,
    found: Mutex<Option<Found>>,
}

impl Docker {
    /// The engine at one of `places` (`unix:///path` or `tcp://host:port`); the first that answers. Nothing is asked yet.
    pub fn new(places: Vec<String>) -> Self {
        Self { places, home: Home::default(), found: Mutex::new(None) }
    }

    /// The same, remembering in a file at which place something was made: no other is taken for it then.
    #[must_use]
    pub fn remembering(self, file: PathBuf) -> Self {
        Self { home: Home::kept_in(file), ..self }
    }

    async fn is_there_unpaused(&self, id: &str) -> Answer<bool> {
        let found = self.container(id).await?;
        Ok(found.is_some_and(|container| container.state.activity != Activity::Paused))
    }

    /// With whom it shares a namespace, by the name of that one now. What was made anew has another id, and is not who is meant: then it stays the id.
    async fn with_names_of_shared(&self, mut container: Container) -> Answer<Container> {
        for path in ["ipc", "networkMode", "pid"] {
            let told = container.shape.get(path).and_then(Value::as_str);
            let Some(id) = told.and_then(|told| told.strip_prefix(read::SHARED)).map(str::to_owned) else {
                continue;
            };
            let other = format!("/containers/{}/json", encode(&id));
            let other = if_there(self.get(other, &format!("inspect {id}")).await)?;
            let name = other.as_ref().map(|told| Told(told).text("Name").trim_start_matches('/').to_owned());
            container.shape.set_some(path, name.map(|name| format!("{}{name}", read::SHARED)));
        }
        Ok(container)
    }

    async fn get(&self, path: String, doing: &str) -> Answer<Value> {
        let answer = self.ask(|found| found.call(Method::GET, &path, doing)).await?;
        parse(&answer, doing)
    }

    async fn ask(&self, call: impl FnOnce(&Found) -> Call) -> Answer<bytes::Bytes> {
        let found = self.found().await?;
        self.note(bytes(&found.endpoint, call(&found)).await)
    }

    async fn post(&self, path: String, body: Option<Value>, doing: String) -> Answer<()> {
        let call = |found: &Found| {
            let call = found.call(Method::POST, &path, doing).within(CHANGE);
            match body {
                Some(body) => call.body(body),
                None => call,
            }
        };
        self.ask(call).await.map(drop)
    }

    async fn delete(&self, path: String, doing: String) -> Answer<()> {
        absent_is_fine(
            self.ask(|found| found.call(Method::DELETE, &path, doing).within(CHANGE)).await.map(drop),
        )
    }
}

fn absent_is_fine(answer: Answer<()>) -> Answer<()> {
    match answer {
        Err(error) if error.cause() == Some(Cause::NotFound) => Ok(()),
        answer => answer,
    }
}

fn if_there<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.cause(), Some(Cause::NotFound | Cause::ImageNotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl ContainerEngine for Docker {
    async fn identify(&self) -> Answer<EngineInfo> {
        self.find().await.map(|(_, info)| info)
    }

    async fn containers(&self) -> Answer<Vec<Listed>> {
        let doing = "list containers";
        let all = self.ask(|found| found.call(Method::GET, "/containers/json?all=true", doing)).await?;
        let all: Vec<WireListed> = parse(&all, doing)?;
        let all: Vec<_> = all.into_iter().map(WireListed::read).collect();
        if all.iter().any(|listed| listed.labels.contains_key(marks::AGENT)) {
            self.home.settle(&self.found().await?.place).await;
        }
        Ok(all)
    }

    async fn container(&self, name: &str) -> Answer<Option<Container>> {
        let path = format!("/containers/{}/json", encode(name));
        let found = if_there(self.get(path, &format!("inspect {name}")).await)?;
        let is_podman = self.known().is_some_and(|engine| engine.is_podman);
        let found = found.map(|told| read::container(Told(&told), is_podman));
        // An engine takes the beginning of an id for a name.
        match found.filter(|found| found.name == name || found.id == name) {
            Some(container) => self.with_names_of_shared(container).await.map(Some),
            None => Ok(None),
        }
    }

    async fn create(&self, new: &NewContainer<'_>) -> Answer<String> {
        let found = self.found().await?;
        if let Some((what, needs)) = create::unsupported(new.spec, found.api, found.is_podman) {
            return Err(EngineError::Unsupported { what, needs });
        }
        self.home.settle(&found.place).await;
        let call = found.call(Method::POST, "/containers/create", format!("create {}", new.name));
        let call = call.query("name", new.name).body(create::body(new, found.api)).within(CHANGE);
        let made = self.note(ask(&found.endpoint, call).await)?;
        let id = Told(&made).text("Id").to_owned();
        let others: Vec<_> = new.spec.networks.iter().skip(1).collect();
        for network in others {
            if let Err(error) = self.connect(&id, network).await {
                // What is not whole must not be there.
                self.remove(&id).await?;
                return Err(error);
            }
        }
        Ok(id)
    }

    async fn start(&self, id: &str) -> Answer<()> {
        self.post(format!("/containers/{}/start", encode(id)), None, format!("start {id}")).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Answer<()> {
        let path = format!("/containers/{}/stop?t={}", encode(id), grace.as_secs());
        let limit = grace + CHANGE;
        let doing = format!("stop {id}");
        self.ask(|found| found.call(Method::POST, &path, doing).within(limit)).await.map(drop)
    }

    async fn unpause(&self, id: &str) -> Answer<()> {
        let answer =
            self.post(format!("/containers/{}/unpause", encode(id)), None, format!("unpause {id}")).await;
        // Of one that is not paused, engines say in many ways that they cannot.
        match answer {
            Err(EngineError::Refused { .. }) if self.is_there_unpaused(id).await? => Ok(()),
            answer => answer,
        }
    }

    async fn rename(&self, id: &str, name: &str) -> Answer<()> {
        let path = format!("/containers/{}/rename?name={}", encode(id), encode(name));
        self.post(path, None, format!("rename {id} to {name}")).await
    }

    async fn adjust(&self, id: &str, to: &Adjustment) -> Answer<()> {
        let path = format!("/containers/{}/update", encode(id));
        let answer =
            self.post(path, Some(create::adjustment(to)), format!("change the limits of {id}")).await;
        match answer {
            // The call itself is what is not found: a container that is not there has another message.
            Err(EngineError::Refused { cause: Cause::NotFound, message, .. }) if message == "Not Found" => {
                Err(EngineError::Unsupported { what: "a change of limits in place", needs: "Podman 5" })
            }
            answer => answer,
        }
    }

    async fn remove(&self, id: &str) -> Answer<()> {
        self.delete(format!("/containers/{}?force=true&v=true", encode(id)), format!("remove {id}")).await
    }

    async fn connect(&self, id: &str, to: &Attachment) -> Answer<()> {
        let path = format!("/networks/{}/connect", encode(self.network_name(to.name.as_str())));
        let body = create::connection(id, to);
        self.post(path, Some(body), format!("connect {id} to {}", to.name)).await
    }

    async fn disconnect(&self, id: &str, network: &str) -> Answer<()> {
        let path = format!("/networks/{}/disconnect", encode(self.network_name(network)));
        let body = json!({ "Container": id, "Force": true });
        absent_is_fine(self.post(path, Some(body), format!("disconnect {id} from {network}")).await)
    }

    async fn output(&self, id: &str, wanted: &Printed) -> Answer<Output> {
        let found = self.found().await?;
        let call = printed::call(&found, id, wanted);
        Ok(printed::lines(self.note(stream(&found.endpoint, call).await)?))
    }

    async fn run_in(&self, id: &str, command: &[String]) -> Answer<i64> {
        let path = format!("/containers/{}/exec", encode(id));
        let body = json!({ "Cmd": command, "AttachStdout": true, "AttachStderr": true });
        let found = self.found().await?;
        let call = found.call(Method::POST, &path, format!("run {:?} in {id}", command.first())).body(body);
        let made = self.note(ask(&found.endpoint, call).await)?;
        let run = encode(Told(&made).text("Id"));
        let start = format!("/exec/{run}/start");
        let call = found.call(Method::POST, &start, format!("run {:?} in {id}", command.first()));
        let call = call.body(json!({ "Detach": false, "Tty": false })).within(RUN);
        // What it prints is not kept, however much that is.
        let printed = self.note(stream(&found.endpoint, call).await)?;
        printed.try_for_each(|_| ready(Ok(()))).await?;
        let ended = self.get(format!("/exec/{run}/json"), "tell how it ended").await?;
        Ok(Told(&ended).some("ExitCode").map_or(-1, |_| Told(&ended).number("ExitCode")))
    }

    async fn image(&self, reference: &str) -> Answer<Option<Image>> {
        let path = format!("/images/{}/json", encode(reference));
        let found = if_there(self.get(path, &format!("inspect image {reference}")).await)?;
        Ok(found.map(|told| read::image(Told(&told))))
    }

    async fn pull(
        &self,
        image: &ImageRef,
        login: Option<&Login>,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Answer<()> {
        let found = self.found().await?;
        self.home.settle(&found.place).await;
        let doing = format!("pull {image}");
        let call = found.call(Method::POST, "/images/create", &doing).query("fromImage", image.canonical());
        let call = call.login(login.map(registry_auth)).within(CHANGE);
        let mut told = self.note(lines(&found.endpoint, call).await)?;
        let mut pulling = Pulling::default();
        while let Some(line) = tokio::time::timeout(pull::STALLED, told.next()).await.transpose() {
            let line =
                line.map_err(|_| EngineError::TooSlow { doing: doing.clone(), limit: pull::STALLED })??;
            if let Some(now) = pulling.take(&line, &doing)? {
                progress(now);
            }
        }
        Ok(())
    }

    async fn images(&self) -> Answer<Vec<NamedImage>> {
        let all = self.get("/images/json?all=true".into(), "list images").await?;
        Ok(all.as_array().into_iter().flatten().map(|told| read::named_image(Told(told))).collect())
    }

    async fn remove_image(&self, name: &str) -> Answer<()> {
        let answer = self.delete(format!("/images/{}", encode(name)), format!("remove image {name}")).await;
        match answer {
            Err(error) if error.cause() == Some(Cause::ImageNotFound) => Ok(()),
            answer => answer,
        }
    }

    async fn volumes(&self) -> Answer<Vec<Volume>> {
        let all = self.get("/volumes".into(), "list volumes").await?;
        Ok(Told(&all).list("Volumes").map(volumes::volume).collect())
    }

    async fn create_volume(&self, name: &str, spec: &VolumeSpec, marks: &Texts) -> Answer<()> {
        self.home.settle(&self.found().await?.place).await;
        self.post(
            "/volumes/create".into(),
            Some(volumes::body(name, spec, marks)),
            format!("make volume {name}"),
        )
        .await
    }

    async fn remove_volume(&self, name: &str) -> Answer<()> {
        self.delete(format!("/volumes/{}", encode(name)), format!("remove volume {name}")).await
    }

    async fn networks(&self) -> Answer<Vec<Network>> {
        let all = self.get("/networks".into(), "list networks").await?;
        Ok(all.as_array().into_iter().flatten().map(|told| networks::network(Told(told))).collect())
    }

    async fn create_network(&self, name: &str, spec: &ContainerNetworkSpec, marks: &Texts) -> Answer<()> {
        self.home.settle(&self.found().await?.place).await;
        let body = networks::body(name, spec, marks);
        self.post("/networks/create".into(), Some(body), format!("make network {name}")).await
    }

    async fn remove_network(&self, name: &str) -> Answer<()> {
        match self.delete(format!("/networks/{}", encode(name)), format!("remove network {name}")).await {
            Err(error) if error.cause() == Some(Cause::NetworkNotFound) => Ok(()),
            answer => answer,
        }
    }

    fn events(&self, since: i64) -> BoxStream<'static, Answer<EngineEvent>> {
        let Some(found) = self.known() else {
            return stream::empty().boxed();
        };
        let call = events::call(&found, since);
        let open = async move { lines(&found.endpoint, call).await };
        let told = open.into_stream().try_flatten();
        told.filter_map(|line| ready(line.map(|line| events::event(&line)).transpose())).boxed()
    }
}

/// A login as engines take it.
fn registry_auth(login: &Login) -> String {
    let Login { registry, user, secret } = login;
    let auth = match user {
        Some(user) => json!({ "username": user, "password": secret, "serveraddress": registry }),
        None => json!({ "identitytoken": secret, "serveraddress": registry }),
    };
    URL_SAFE.encode(auth.to_string())
}
