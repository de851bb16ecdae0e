//! A container engine, in our own terms: what `Container`, `Image`, `Volume` and `ContainerNetwork` need of Docker and of Podman.
//!
//! [`ContainerEngine`] is the seam. Beyond it stand the real engine (`docker`, which speaks Docker's API to either of the two) and a fake;
//! both keep the same [`contract`]. What an engine says of a container is a [`Shape`](shape::Shape): its settings by
//! their paths in the spec, so that wanted and seen are compared field by field.

use std::{future::Future, time::Duration};

use futures_util::{TryStreamExt, stream::BoxStream};
use manifest_types::{
    claim::Claim,
    kinds::{
        container::{Attachment, ContainerSpec},
        container_network::ContainerNetworkSpec,
        engine::{ImageRef, Texts},
        volume::VolumeSpec,
    },
    status::Progress,
};

use self::{
    error::EngineError,
    terms::{
        Adjustment, Container, EngineEvent, EngineInfo, Image, Line, Listed, Login, NamedImage, Network,
        Printed, Volume,
    },
};
use crate::{reconciler::Owned, tail::tail};

#[cfg(any(test, feature = "testing"))]
pub mod bed;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod docker;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod images;
pub mod link;
pub mod marks;
pub mod shape;
pub mod terms;

/// What an engine answers.
pub type Answer<T> = Result<T, EngineError>;
/// What is printed, line by line, as it comes.
pub type Output = BoxStream<'static, Answer<Line>>;

/// A container engine. Every call may be dropped at any await; what was asked may come about nevertheless.
pub trait ContainerEngine: Send + Sync + 'static {
    /// What it is. The one call that finds an engine that is not known yet, or finds it again.
    fn identify(&self) -> impl Future<Output = Answer<EngineInfo>> + Send;

    /// All containers, whoever made them, in any state: one call, however many there are.
    fn containers(&self) -> impl Future<Output = Answer<Vec<Listed>>> + Send;

    /// One container by its name or id, with all that it is made of; `None` if there is none.
    fn container(&self, name: &str) -> impl Future<Output = Answer<Option<Container>>> + Send;

    /// Makes a container, and does not start it. Returns its id.
    fn create(&self, new: &NewContainer<'_>) -> impl Future<Output = Answer<String>> + Send;

    /// Starts a container. One that runs is left.
    fn start(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Asks a container to end, and kills it after `grace`. One that does not run is left.
    fn stop(&self, id: &str, grace: Duration) -> impl Future<Output = Answer<()>> + Send;

    /// Lets a container that was paused go on. One that is not paused is left.
    fn unpause(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Gives a container another name.
    fn rename(&self, id: &str, name: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Changes what can be changed of a container that runs.
    fn adjust(&self, id: &str, to: &Adjustment) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a container, killing it if it runs, and its nameless volumes. Absent already is success.
    fn remove(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Puts a container into a network.
    fn connect(&self, id: &str, to: &Attachment) -> impl Future<Output = Answer<()>> + Send;

    /// Takes a container out of a network. Absent already is success.
    fn disconnect(&self, id: &str, network: &str) -> impl Future<Output = Answer<()>> + Send;

    /// What a container has printed, and prints: of both of its outputs, oldest first.
    fn output(&self, id: &str, wanted: &Printed) -> impl Future<Output = Answer<Output>> + Send;

    /// Runs a program in a container, and says with what it ended.
    fn run_in(&self, id: &str, command: &[String]) -> impl Future<Output = Answer<i64>> + Send;

    /// The image that a reference stands for now; `None` if there is none.
    fn image(&self, reference: &str) -> impl Future<Output = Answer<Option<Image>>> + Send;

    /// Pulls an image, telling how far it is.
    fn pull(
        &self,
        image: &ImageRef,
        login: Option<&Login>,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> impl Future<Output = Answer<()>> + Send;

    /// All images.
    fn images(&self) -> impl Future<Output = Answer<Vec<NamedImage>>> + Send;

    /// Removes a name of an image, and with its last name, or by its id, the image, if nothing uses it. Absent already is success.
    fn remove_image(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;

    /// All volumes.
    fn volumes(&self) -> impl Future<Output = Answer<Vec<Volume>>> + Send;

    /// Makes a volume.
    fn create_volume(
        &self,
        name: &str,
        spec: &VolumeSpec,
        marks: &Texts,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a volume that nothing uses, with all that is in it. Absent already is success.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;

    /// All networks.
    fn networks(&self) -> impl Future<Output = Answer<Vec<Network>>> + Send;

    /// Makes a network.
    fn create_network(
        &self,
        name: &str,
        spec: &ContainerNetworkSpec,
        marks: &Texts,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a network that nothing uses. Absent already is success.
    fn remove_network(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;

    /// What has happened since `since` (nanoseconds since 1970, by the engine's clock), and what happens from now on.
    /// The stream ends, or fails, with its connection.
    fn events(&self, since: i64) -> BoxStream<'static, Answer<EngineEvent>>;
}

/// So long it may take to tell the last of what was printed.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// So many lines are read to tell the last of what was printed.
const LAST_LINES: u32 = 50;

/// The end of what a container has printed, `most` bytes at most.
pub(crate) async fn last_output(engine: &impl ContainerEngine, id: &str, most: usize) -> Answer<String> {
    let wanted = Printed { last: Some(LAST_LINES), since: None, follow: false };
    let mut printed = engine.output(id, &wanted).await?;
    let mut end = Vec::new();
    let read = async {
        while let Some(line) = printed.try_next().await? {
            end.extend_from_slice(&line.bytes);
            // Twice as much is kept, for the blank end that is cut off.
            end.drain(..end.len().saturating_sub(2 * most));
        }
        Ok(())
    };
    let late = |_| EngineError::TooSlow { doing: format!("tell what {id} printed"), limit: LAST_WORDS };
    tokio::time::timeout(LAST_WORDS, read).await.map_err(late)??;
    Ok(tail(&end, most))
}

/// The names in the engine among what a resource holds.
pub(crate) fn held<S>(owned: Owned<'_, S>) -> Vec<String> {
    let names = owned.held.keys().filter_map(|claim| match claim {
        Claim::Container(name) | Claim::Volume(name) | Claim::Network(name) => Some(name.clone()),
        Claim::Path(_) | Claim::Unit(_) | Claim::Interface(_) => None,
    });
    names.collect()
}

/// A container to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewContainer<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is wanted of it.
    pub spec: &'a ContainerSpec,
    /// The labels that mark it as ours.
    pub marks: &'a Texts,
}
