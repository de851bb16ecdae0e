//! What is reported of apps: which release runs, and how far the next one is. Pure.
//!
//! The API takes `apps` for all there is, and forgets what is not in it; so it is always whole. A release counts as running when all of it does, networks and volumes
//! included, and nothing is left of the one before it. One that ran goes on to count, however its services fare; until the next one does, both are told.

use std::collections::{BTreeMap, BTreeSet};

use manifest_types::{
    digest::Digest,
    kinds::{ResourceDetails, container::ContainerDetails, engine::ImageRef},
    name::ResourceId,
    status::{AgentStatus, Phase, Progress, ResourceStatus},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::source::balena::translate::{Line, Outcome, Translation};

/// The releases that were whole last, by app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Running(BTreeMap<String, RunningRelease>);

/// A release that was whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RunningRelease {
    commit: String,
    services: BTreeMap<String, Line>,
}

/// How far a service is, in the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Downloading(Option<u64>),
    Downloaded,
    Idle,
    Installing,
    Installed,
    Starting,
    Running,
    Paused,
    Exited,
    Dead,
    Stopping,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Downloading(_) => "Downloading",
            Self::Downloaded => "Downloaded",
            Self::Idle => "Idle",
            Self::Installing => "Installing",
            Self::Installed => "Installed",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "Dead",
            Self::Stopping => "Stopping",
        }
    }
}

/// A service of the release that is held.
struct Held<'a> {
    line: &'a Line,
    word: Word,
    /// Whether it is as wanted.
    is_done: bool,
    /// Whether it failed, and waits.
    is_failed: bool,
    /// Whether it waits to be changed, and for nothing that must be brought before.
    is_waiting: bool,
    /// Whether its container is of its image.
    is_of_image: bool,
}

/// What is reported of all apps, with the releases that are whole from now on; nothing while the status does not speak of what is wanted yet.
pub(super) fn apps(
    translation: &Translation,
    status: &AgentStatus,
    running: &Running,
) -> Option<(Value, Running)> {
    let (mut told, mut whole) = (Map::new(), Running::default());
    for (uuid, outcome) in &translation.apps {
        let held = held(translation, outcome, status)?;
        let rest = rest(translation, outcome, status)?;
        let is_whole = rest.is_settled && held.values().all(|service| service.is_done);
        let now_running = match &outcome.held {
            Some(commit) if is_whole => {
                Some(RunningRelease { commit: commit.clone(), services: outcome.services.clone() })
            }
            // Nothing of it is left, and nothing comes in its place.
            None if rest.is_settled => None,
            _ => running.0.get(uuid).cloned(),
        };
        let is_run = |running: &RunningRelease| Some(&running.commit) == outcome.held.as_ref();
        let counts_on = now_running.as_ref().is_some_and(is_run)
            && held.values().all(|own| own.is_of_image)
            && !rest.is_failed;
        let update = if is_whole || counts_on { "done" } else { update_status(&held, rest.is_failed) };
        told.insert(uuid.clone(), app(outcome, (&held, update), now_running.as_ref(), status));
        if let Some(release) = now_running {
            whole.0.insert(uuid.clone(), release);
        }
    }
    Some((told.into(), whole))
}

fn app(
    outcome: &Outcome,
    (held, update): (&BTreeMap<&str, Held<'_>>, &str),
    running: Option<&RunningRelease>,
    status: &AgentStatus,
) -> Value {
    let mut releases = Map::new();
    let mut told = json!({});
    if let Some(commit) = &outcome.held {
        let services: Map<_, _> = held
            .iter()
            .map(|(name, service)| ((*name).to_owned(), line(&service.line.image, service.word)))
            .collect();
        releases.insert(commit.clone(), json!({ "update_status": update, "services": services }));
    }
    // Until another one runs whole.
    if let Some(former) = running.filter(|former| Some(&former.commit) != outcome.held.as_ref()) {
        let services = left(former, held, status);
        if !services.is_empty() {
            releases.insert(former.commit.clone(), json!({ "update_status": "done", "services": services }));
        }
    }
    if let Some(wanted) = &outcome.wanted {
        let shared = shared(&outcome.other_images, &releases);
        if !outcome.rejected.is_empty() {
            releases.insert(wanted.clone(), json!({ "update_status": "rejected", "services": shared }));
        } else if let Some(services) =
            releases.get_mut(wanted).and_then(|own| own["services"].as_object_mut())
        {
            services.extend(shared);
        }
    }
    if let Some(running) = running.filter(|running| releases.contains_key(&running.commit)) {
        told["release_uuid"] = running.commit.as_str().into();
    }
    told["releases"] = releases.into();
    told
}

/// How far that of an app is that is no service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    /// Whether all of it is as wanted, and nothing of what was before is left.
    is_settled: bool,
    /// Whether any of it failed, and waits.
    is_failed: bool,
}

/// How far networks and volumes are, and what has to go; nothing while the status does not speak of what is wanted yet.
fn rest(translation: &Translation, outcome: &Outcome, status: &AgentStatus) -> Option<Rest> {
    let of_app = |id: &str| id.starts_with(&outcome.prefix);
    let wanted: BTreeMap<&str, &Value> = translation
        .resources
        .iter()
        .filter_map(|own| Some((own["id"].as_str().filter(|id| of_app(id))?, own)))
        .collect();
    let is_left = status.resources.keys().any(|id| of_app(id.as_str()) && !wanted.contains_key(id.as_str()));
    let mut rest = Rest { is_settled: !is_left, is_failed: false };
    for resource in wanted.values().filter(|own| own["kind"] != "Image" && own["kind"] != "Container") {
        let own = told(resource, status)?;
        rest.is_settled &= own.phase == Phase::Ready;
        rest.is_failed |= own.phase == Phase::Failed;
    }
    Some(rest)
}

/// What the status tells of a resource, if it speaks of what is wanted of it now.
fn told<'a>(resource: &Value, status: &'a AgentStatus) -> Option<&'a ResourceStatus> {
    let (_, own) = status.resources.iter().find(|(id, _)| resource["id"] == id.as_str())?;
    (own.spec_digest == Some(Digest::of_json(&resource["spec"]))).then_some(own)
}

/// What of a release is told that the manifest has not: the images that it shares with what is told, as they are there. The API counts them.
fn shared(images: &BTreeMap<String, String>, releases: &Map<String, Value>) -> Map<String, Value> {
    let told = releases.values().filter_map(|release| release["services"].as_object());
    let lines: Vec<_> = told.flat_map(Map::values).collect();
    let line_of = |image: &String| lines.iter().find(|line| line["image"] == image.as_str());
    images.iter().filter_map(|(name, image)| Some((name.clone(), (*line_of(image)?).clone()))).collect()
}

fn line(image: &str, word: Word) -> Value {
    let mut line = json!({ "image": image, "status": word.text() });
    match word {
        Word::Downloading(percent) => line["download_progress"] = json!(percent.unwrap_or(0)),
        // Left out it would keep its old value.
        _ => line["download_progress"] = Value::Null,
    }
    line
}

/// How far the services of the release that is held are.
fn held<'a>(
    translation: &Translation,
    outcome: &'a Outcome,
    status: &AgentStatus,
) -> Option<BTreeMap<&'a str, Held<'a>>> {
    let of_resource =
        |id: &ResourceId| told(translation.resources.iter().find(|own| own["id"] == id.as_str())?, status);
    let one = |(name, line): (&'a String, &'a Line)| {
        let own = of_resource(&line.resource)?;
        let own_image = match &line.image_resource {
            Some(image) => Some(of_resource(image)?),
            None => None,
        };
        Some((name.as_str(), service(line, own, own_image)))
    };
    outcome.services.iter().map(one).collect()
}

/// How far a service's image is, where that does not wait for its container.
fn image(own: &ResourceStatus) -> Word {
    match own.phase {
        Phase::Ready => Word::Downloaded,
        _ => Word::Downloading(own.progress.as_ref().and_then(percent)),
    }
}

fn percent(progress: &Progress) -> Option<u64> {
    let total = progress.total.filter(|total| *total > 0)?;
    (progress.done.min(total) * 100).checked_div(total)
}

fn service<'a>(line: &'a Line, own: &ResourceStatus, own_image: Option<&ResourceStatus>) -> Held<'a> {
    let container = container(own);
    let is_of_image = container.is_some_and(|container| is_same_image(&container.image, &line.image));
    let is_done = own.phase == Phase::Ready;
    let word = match (own.phase, &own.progress) {
        (Phase::Ready, _) => container.map_or(Word::Running, state),
        (_, Some(progress)) => Word::Downloading(percent(progress)),
        (Phase::Pending, None) if is_of_image => container.map_or(Word::Downloaded, state),
        // One that pulls its image itself does so once it may be stopped.
        (Phase::Pending, None) => own_image.map_or(Word::Idle, image),
        (Phase::Deleting, None) => Word::Stopping,
        (_, None) if is_of_image => container.map_or(Word::Starting, state),
        (Phase::Failed, None) if is_pull(own) => Word::Downloading(None),
        (_, None) => Word::Installing,
    };
    let is_failed = |own: Option<&ResourceStatus>| own.is_some_and(|own| own.phase == Phase::Failed);
    let is_there = |image: &ResourceStatus| image.phase == Phase::Ready;
    Held {
        line,
        word,
        is_done,
        is_failed: is_failed(Some(own)) || (!is_done && is_failed(own_image)),
        is_waiting: own.phase == Phase::Pending && (is_of_image || own_image.is_none_or(is_there)),
        is_of_image,
    }
}

/// Whether what failed is the image.
fn is_pull(own: &ResourceStatus) -> bool {
    let reasons =
        ["ImagePullFailed", "ImageNotFound", "Unauthorized", "RegistryUnreachable", "DigestMismatch"];
    own.error.as_ref().is_some_and(|error| reasons.contains(&error.reason.as_str()))
}

fn container(own: &ResourceStatus) -> Option<&ContainerDetails> {
    match &own.details {
        Some(ResourceDetails::Container(details)) => Some(details),
        _ => None,
    }
}

fn state(container: &ContainerDetails) -> Word {
    match container.state.as_str() {
        "created" => Word::Installed,
        "paused" => Word::Paused,
        "exited" => Word::Exited,
        "dead" => Word::Dead,
        "removing" => Word::Stopping,
        _ => Word::Running,
    }
}

/// Two names of one image: by its digest, whatever else stands beside it.
fn is_same_image(one: &str, other: &str) -> bool {
    let read = |name: &str| name.parse::<ImageRef>().ok();
    match (read(one), read(other)) {
        (Some(one), Some(other)) => match (one.digest(), other.digest()) {
            (Some(one), Some(other)) => one == other,
            _ => one.canonical() == other.canonical(),
        },
        _ => one == other,
    }
}

/// How far a release is that is not done, from how far its services are: the lowest counts.
fn update_status(services: &BTreeMap<&str, Held<'_>>, has_failed: bool) -> &'static str {
    let any = |is: fn(&Held<'_>) -> bool| services.values().any(is);
    let is_downloading = |service: &Held<'_>| matches!(service.word, Word::Downloading(_));
    if has_failed || any(|service| service.is_failed) {
        "aborted"
    } else if any(is_downloading) {
        "downloading"
    } else if any(|service| service.is_waiting)
        && services.values().all(|service| service.is_done || service.is_waiting)
    {
        "downloaded"
    } else {
        "applying changes"
    }
}

/// The services of a former release that still run, and those whose image the next one has, too.
fn left(
    former: &RunningRelease,
    held: &BTreeMap<&str, Held<'_>>,
    status: &AgentStatus,
) -> Map<String, Value> {
    let is_left = |name: &str, line: &Line| match held.get(name) {
        Some(next) => !next.is_done && (!next.is_of_image || is_same_image(&next.line.image, &line.image)),
        None => status.resources.contains_key(&line.resource),
    };
    let still: BTreeSet<_> =
        former.services.iter().filter(|(name, line)| is_left(name, line)).map(|(name, _)| name).collect();
    let images: BTreeSet<_> = held.values().map(|service| service.line.image.as_str()).collect();
    let told = former
        .services
        .iter()
        .filter(|(name, line)| still.contains(name) || images.contains(line.image.as_str()));
    let word = |line: &Line| match status.resources.get(&line.resource) {
        Some(own) if own.phase == Phase::Deleting && own.reason.as_deref() == Some("TakingAway") => {
            Word::Stopping
        }
        Some(own) => container(own).map_or(Word::Running, state),
        None => Word::Running,
    };
    told.map(|(name, line_of)| (name.clone(), line(&line_of.image, word(line_of)))).collect()
}

#[cfg(test)]
mod tests;
