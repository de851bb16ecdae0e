//! The one way of several reconcilers to one engine: what it is, what happens there, and whether what was read of it may have changed since.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use manifest_types::{
    kinds::container::Attachment,
    name::{AgentId, ResourceId},
    status::Capability,
};
use tokio::sync::broadcast;

use super::{
    Answer, ContainerEngine,
    terms::{Container, EngineEvent, EngineInfo, Subject},
};
use crate::reconciler::Hint;

mod ends;
mod rebuilt;

use ends::Ends;
pub use rebuilt::Rebuilding;
use rebuilt::Rebuilt;

/// So much news is kept for whoever is slow to hear it.
const KEPT: usize = 1024;
/// A stream of events that ends at once is not opened again sooner.
const PAUSE: Duration = Duration::from_secs(1);
/// So many containers are remembered to have changed; beyond that, all count as changed.
const MOST_CHANGED: usize = 4096;

/// A way to an engine.
#[derive(Debug)]
pub struct Link<E> {
    /// The engine.
    pub engine: E,
    /// Whose things there are ours.
    pub agent: AgentId,
    state: Mutex<State>,
    rebuilt: Arc<Mutex<Rebuilt>>,
    news: broadcast::Sender<News>,
}

#[derive(Debug, Default)]
struct State {
    info: Option<EngineInfo>,
    /// Which one it is, or was when it was last there.
    identity: String,
    is_listening: bool,
    /// When something last happened that was told.
    last: Option<i64>,
    changes: Changes,
    ends: Ends,
}

/// What has changed, counted: a container, any image, everything.
#[derive(Debug, Default)]
struct Changes {
    count: u64,
    containers: BTreeMap<String, u64>,
    images: u64,
    everything: u64,
}

/// What is heard from an engine.
#[derive(Debug, Clone)]
enum News {
    /// Something happened.
    Happened(Subject),
    /// Something may have happened: the stream of events has ended.
    Anything,
}

/// A moment, as far as an engine's changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl<E: ContainerEngine> Link<E> {
    /// A way to `engine` for `agent`. Nothing is asked yet.
    pub fn new(engine: E, agent: AgentId) -> Arc<Self> {
        let (news, _) = broadcast::channel(KEPT);
        Arc::new(Self { engine, agent, state: Mutex::default(), rebuilt: Arc::default(), news })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the engine and listens to its events, unless that is so already. An engine that is away is an error.
    pub async fn open(self: &Arc<Self>) -> Answer<()> {
        if self.state().is_listening {
            return Ok(());
        }
        // What happens while the stream is opened is asked for from here on.
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let info = self.engine.identify().await?;
        let mut state = self.state();
        if !state.is_listening {
            let since = state.last.unwrap_or(now);
            state.identity = format!("{} {}", info.name, info.data_dir.as_deref().unwrap_or_default());
            state.info = Some(info);
            state.is_listening = true;
            tokio::spawn(Arc::clone(self).listen(since));
        }
        Ok(())
    }

    /// Tells what happens for as long as the engine does.
    async fn listen(self: Arc<Self>, since: i64) {
        let earliest_end = tokio::time::Instant::now() + PAUSE;
        let mut events = self.engine.events(since);
        while let Some(Ok(event)) = events.next().await {
            self.note(&event);
            // Without anybody who listens, what was noted is enough.
            let _ = self.news.send(News::Happened(event.subject));
        }
        tokio::time::sleep_until(earliest_end).await;
        {
            let mut state = self.state();
            state.is_listening = false;
            state.info = None;
            state.changes.everything();
        }
        let _ = self.news.send(News::Anything);
    }

    fn note(&self, event: &EngineEvent) {
        let mut state = self.state();
        state.last = Some(event.at);
        if let (Subject::Container { id, .. }, Some(end)) = (&event.subject, event.end) {
            state.ends.note(id, event.at, end);
        }
        match &event.subject {
            Subject::Container { id, .. } | Subject::Network { container: Some(id), .. } => {
                state.changes.container(id);
            }
            Subject::Image => state.changes.images(),
            Subject::Volume(_) | Subject::Network { container: None, .. } => {}
        }
    }

    /// One container by its name or id, as [`ContainerEngine::container`] tells it, and how it last ended, though it runs again.
    /// It is in each network that is being made anew as it was before: whoever makes that puts it back.
    pub async fn container(&self, name: &str) -> Answer<Option<Container>> {
        let mut found = self.engine.container(name).await?;
        if let Some(found) = &mut found {
            self.state().ends.tell(&found.id, &mut found.state);
            self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner).tell(found);
        }
        Ok(found)
    }

    /// From now on `network` is being made anew, and these containers count as if they were still in it, until what is returned is dropped.
    pub fn rebuild(self: &Arc<Self>, network: &str, members: &[(String, Attachment)]) -> Rebuilding<E> {
        Rebuilding::begin(Arc::clone(self), network, members)
    }

    /// Tells after a while that something may have changed, though the engine tells nothing: time alone has changed what it means.
    pub fn remind(self: &Arc<Self>, subject: Subject, after: Duration) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            // Nobody may be listening.
            let _ = link.news.send(News::Happened(subject));
        });
    }

    /// What the engine is, while it is there.
    pub fn capability(&self) -> Option<Capability> {
        self.state().info.as_ref().map(EngineInfo::capability)
    }

    /// What the engine is, while it is there.
    pub fn info(&self) -> Option<EngineInfo> {
        self.state().info.clone()
    }

    /// Which engine it is, or was when it was last there, by its name and the place of its data; empty before the first.
    pub fn identity(&self) -> String {
        self.state().identity.clone()
    }

    /// This moment: what is read from now on is as it is after all that was told before.
    pub fn moment(&self) -> Moment {
        Moment(self.state().changes.count)
    }

    /// Whether a container may have changed since then. While nobody listens, anything may have.
    pub fn may_have_changed(&self, container: &str, since: Moment) -> bool {
        let state = self.state();
        let of = state.changes.containers.get(container).copied().unwrap_or(0).max(state.changes.everything);
        !state.is_listening || of > since.0
    }

    /// Whether what a reference stands for may have changed since then.
    pub fn images_may_have_changed(&self, since: Moment) -> bool {
        let state = self.state();
        !state.is_listening || state.changes.images.max(state.changes.everything) > since.0
    }

    /// News of the containers with these names.
    pub fn news_of<const N: usize>(&self, names: [String; N]) -> BoxStream<'static, Hint> {
        self.hints(move |subject| match subject {
            Subject::Container { name, .. } if names.contains(name) => Some(Whose::Kind),
            _ => None,
        })
    }

    /// Hints for one kind: `of` says which resource something happened to, if any of this kind.
    pub fn hints(&self, of: impl Fn(&Subject) -> Option<Whose> + Send + 'static) -> BoxStream<'static, Hint> {
        let heard = stream::unfold(self.news.subscribe(), |mut news| async move {
            match news.recv().await {
                Ok(news_of) => Some((news_of, news)),
                // What was missed may have been anything.
                Err(broadcast::error::RecvError::Lagged(_)) => Some((News::Anything, news)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
        heard
            .filter_map(move |news| {
                let hint = match news {
                    News::Anything => Some(Hint::Kind),
                    News::Happened(subject) => of(&subject).map(Whose::hint),
                };
                std::future::ready(hint)
            })
            .boxed()
    }
}

/// Whose something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This resource's.
    Resource(ResourceId),
    /// Any of the kind's.
    Kind,
}

impl Whose {
    fn hint(self) -> Hint {
        match self {
            Self::Resource(id) => Hint::Resource(id),
            Self::Kind => Hint::Kind,
        }
    }
}

impl Changes {
    fn container(&mut self, id: &str) {
        self.count += 1;
        if self.containers.len() >= MOST_CHANGED {
            self.containers.clear();
            self.everything = self.count;
        }
        self.containers.insert(id.to_owned(), self.count);
    }

    fn images(&mut self) {
        self.count += 1;
        self.images = self.count;
    }

    fn everything(&mut self) {
        self.count += 1;
        self.everything = self.count;
        self.containers.clear();
    }
}

/// Which resource has which name in the engine: those that were looked at and are held.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<String, ResourceId>>);

impl Names {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ResourceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are the names of `id`, and no others.
    pub fn set(&self, id: &ResourceId, names: impl IntoIterator<Item = String>) {
        let mut all = self.lock();
        all.retain(|_, whose| whose != id);
        all.extend(names.into_iter().map(|name| (name, id.clone())));
    }

    /// Whose a name is.
    pub fn whose(&self, name: &str) -> Option<ResourceId> {
        self.lock().get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt;
    use manifest_types::kinds::engine::Texts;
    use serde_json::json;

    use super::*;
    use crate::engine::{
        NewContainer,
        fake::{Behaviour, FakeEngine},
        terms::Activity,
    };

    async fn next(hints: &mut BoxStream<'static, Hint>) -> Hint {
        tokio::time::timeout(Duration::from_secs(10), hints.next())
            .await
            .expect("it is told")
            .expect("it goes on")
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_is_noted_and_hinted_at() {
        let fake = FakeEngine::default();
        fake.add_image("docker.io/library/web:1", "sha256:1", Behaviour::Runs);
        let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
        let mut hints = link.hints(|subject| match subject {
            Subject::Container { name, .. } => name.parse().ok().map(Whose::Resource),
            _ => None,
        });
        let before = link.moment();
        assert!(link.may_have_changed("c1", before), "nobody listens yet");
        link.open().await.unwrap();
        assert_eq!(link.capability().unwrap().name, "fake");
        let spec = serde_json::from_value(json!({ "image": "web:1" })).unwrap();
        let id = fake.create(&NewContainer { name: "web", spec: &spec, marks: &Texts::new() }).await.unwrap();
        assert_eq!(next(&mut hints).await, Hint::Resource("web".parse().unwrap()));
        assert!(link.may_have_changed(&id, before) && !link.may_have_changed("other", before));
        let then = link.moment();
        assert!(!link.may_have_changed(&id, then) && !link.images_may_have_changed(then));
        fake.add_image("docker.io/library/web:1", "sha256:2", Behaviour::Runs);
        fake.start(&id).await.unwrap();
        next(&mut hints).await;
        assert!(link.images_may_have_changed(then));

        // The engine is restarted.
        let then = link.moment();
        fake.set_away(true);
        fake.hang_up();
        assert_eq!(next(&mut hints).await, Hint::Kind);
        assert!(link.may_have_changed(&id, then) && link.capability().is_none());
        assert!(link.open().await.is_err());
        fake.set_away(false);
        let then = link.moment();
        link.open().await.unwrap();
        assert!(!link.may_have_changed(&id, then));
    }

    #[tokio::test(start_paused = true)]
    async fn with_what_a_container_ended_is_known_though_it_runs_again() {
        let fake = FakeEngine::default();
        fake.add_image("docker.io/library/web:1", "sha256:1", Behaviour::Ends(7));
        let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
        link.open().await.unwrap();
        let mut hints = link.hints(|_| Some(Whose::Kind));
        let spec = serde_json::from_value(json!({ "image": "web:1" })).unwrap();
        let id = fake.create(&NewContainer { name: "web", spec: &spec, marks: &Texts::new() }).await.unwrap();
        fake.start(&id).await.unwrap();
        let runs = |own: &mut Container| (own.state.activity, own.state.exit_code) = (Activity::Running, 0);
        fake.change("web", runs).unwrap();
        while link.container("web").await.unwrap().unwrap().state.exit_code != 7 {
            next(&mut hints).await;
        }
    }
}
