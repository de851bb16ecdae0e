//! The source's task: becomes somebody, asks for the target state when that is due, translates it, and brings the manifest.
//!
//! What was accepted last is brought at the start, before anything is asked. Whatever the API answers, or does not, changes nothing else than when it is asked again.

use std::{sync::Arc, time::Duration};

use manifest_types::{kinds::file::AbsolutePath, manifest::Refusal, problem::in_words};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{
    api::{State, Trouble},
    cadence::{Cadence, PATIENCE, USUAL, interval, patience},
    facts::Facts,
    host,
    identity::Provisioning,
    keep,
    options::Options,
    provision::{self, Session, blocking, find},
    registries,
    told::Told,
    translate::{Translation, translate},
};
use crate::{
    clock::Now,
    source::{News, Order},
};

/// What somebody has to change first is tried again so often.
const FAULTY: Duration = Duration::from_secs(300);
/// Nothing sleeps longer at a time: a device that was suspended wakes to what is due.
const SLICE: Duration = Duration::from_secs(60);

/// What the source knows, for whoever reports to the same API.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The API, and who this device is there.
    pub session: Option<Arc<Session>>,
    /// What is wanted.
    pub translation: Option<Arc<Translation>>,
}

mod again;
mod cached;
mod registered;

use again::{Since, is_brought_again, locks};
use cached::Cached;

/// Nobody listens any more: the agent ends.
struct Ended;

/// The task.
struct Task {
    options: Options,
    news: mpsc::Sender<News>,
    orders: mpsc::Receiver<Order>,
    known: watch::Sender<Known>,
    told: Told,
    revision: u64,
    /// What was brought last.
    brought: Option<Vec<u8>>,
    /// What it was made with.
    facts: Option<Facts>,
    /// Where the engine's socket was seen.
    socket: Option<AbsolutePath>,
    /// Whether something of it could not be kept.
    is_unkept: bool,
    /// What was asked of locks, and has not been answered yet: whether they are to be ignored.
    asked_to_ignore: Option<bool>,
    /// Whether they are now: until another target state comes, or it is asked to mind them.
    ignores_locks: bool,
    /// Whether the API could be reached, and why not, as it was told last.
    away: Option<Option<String>>,
}

/// Brings manifests until nobody listens. `held` are the resources of the last one that was admitted before.
pub async fn run(
    options: Options,
    held: Vec<Value>,
    news: mpsc::Sender<News>,
    orders: mpsc::Receiver<Order>,
    known: watch::Sender<Known>,
) {
    let mut task = Task {
        options,
        news,
        orders,
        known,
        told: Told::default(),
        revision: 0,
        brought: None,
        facts: None,
        socket: None,
        is_unkept: false,
        asked_to_ignore: None,
        ignores_locks: false,
        away: None,
    };
    // It ends when nobody listens.
    let Err(Ended) = task.live(held).await;
}

impl Task {
    async fn live(&mut self, held: Vec<Value>) -> Result<std::convert::Infallible, Ended> {
        let (session, provisioning) = loop {
            match self.somebody().await {
                Ok(found) => break found,
                Err(why) => {
                    self.away(why).await?;
                    self.pause(FAULTY).await?;
                }
            }
        };
        let mut cached = Cached::load(&session, &held).await;
        drop(held);
        self.begin(session.clone());
        self.bring_cached(&session, &mut cached).await?;
        let session = self.registered(session, provisioning).await?;
        self.begin(session.clone());
        cached.is_of(&session.identity.uuid);
        let config = self.known.borrow().translation.as_ref().map(|known| known.config.clone());
        let interval = config.as_ref().map_or(USUAL, interval);
        let mut cadence = Cadence::new(interval, self.options.spacing);
        loop {
            self.until_due(&mut cadence).await?;
            let now = Now::read();
            cadence.begun(now.boot);
            let etag = cached.etag.as_deref().filter(|_| cached.document.is_some());
            let config = self.known.borrow().translation.as_ref().map(|known| known.config.clone());
            let within = config.as_ref().map_or(PATIENCE, patience);
            let asked = session.api.state(&session.identity, etag, within);
            let (answer, again) = self.meanwhile(asked).await?;
            let answer = cached.recognized(answer);
            let (now, left) = locks(self.ignores_locks, self.asked_to_ignore, &answer);
            let changes_locks = std::mem::replace(&mut self.ignores_locks, now) != now;
            self.asked_to_ignore = left;
            let since = Since {
                changes_locks,
                is_brought: self.brought.is_some() && !self.is_unkept,
                changes_facts: self.facts != Some(self.facts(&session).await?),
            };
            let is_brought_again = is_brought_again(&answer, &since);
            self.answered(&session, answer, &mut cached, &mut cadence).await?;
            if is_brought_again {
                self.bring_cached(&session, &mut cached).await?;
            }
            if again {
                cadence.hurry(Now::read().boot);
            }
        }
    }

    /// What an answer changes.
    async fn answered(
        &mut self,
        session: &Arc<Session>,
        answer: State,
        cached: &mut Cached,
        cadence: &mut Cadence,
    ) -> Result<(), Ended> {
        let now = Now::read();
        self.told.polled(now.wall, &answer);

        match answer {
            State::New { document, etag } => {
                if self.bring(session, Arc::new(document), Some(etag), cached).await? {
                    let known = self.known.borrow().translation.clone();
                    cadence.interval = known.as_ref().map_or(USUAL, |known| interval(&known.config));
                }
                cadence.answered(now.boot, chance());
                self.here().await?;
            }
            State::Unchanged if cached.document.is_none() => {
                cadence.answered(now.boot, chance());
                self.away(
                    "the API has no target state for this device: it was deleted or frozen there".into(),
                )
                .await?;
            }
            State::Unchanged => {
                cadence.answered(now.boot, chance());
                self.here().await?;
            }
            State::Refused(refusal) => {
                cadence.failed(now.boot, None, chance());
                self.away(format!("the API does not tell the target state: {refusal}")).await?;
            }
            State::Unknown(Trouble { why, wait }) => {
                cadence.failed(now.boot, wait, chance());
                self.away(why).await?;
            }
        }
        Ok(())
    }

    /// Who this device is, with what there is: kept before anybody is told.
    async fn somebody(&self) -> Result<(Arc<Session>, Option<Provisioning>), String> {
        let options = self.options.clone();
        let found = tokio::task::spawn_blocking(move || find(&options)).await;
        found.map_err(|error| error.to_string())?
    }

    fn begin(&mut self, session: Arc<Session>) {
        self.told.is(&session.identity);
        self.known.send_modify(|known| known.session = Some(session));
    }

    /// Brings what was accepted last once more: what it is made to may be another now.
    async fn bring_cached(&mut self, session: &Session, cached: &mut Cached) -> Result<(), Ended> {
        if let Some(document) = cached.document.clone() {
            self.bring(session, document, None, cached).await?;
        }
        Ok(())
    }

    /// What is known of this device now.
    async fn facts(&self, session: &Session) -> Result<Facts, Ended> {
        let (who, places) = (session.identity.clone(), self.options.engine_places.clone());
        let file = session.dir.join("registries.json");
        let former = self.socket.clone();
        let ignores_locks = self.ignores_locks;
        let facts = tokio::task::spawn_blocking(move || {
            let mut facts = host::facts(&who.uuid, &places, former);
            facts.api_endpoint.clone_from(&who.endpoint);
            facts.device_key = Some(who.key.clone());
            facts.device_type = who.device_type.clone().or(facts.device_type);
            facts.ignores_locks = ignores_locks;
            facts.registry_credentials = file.to_str().and_then(|file| file.parse().ok());
            facts
        });
        facts.await.map_err(|_| Ended)
    }

    /// Translates a target state, keeps it with what was accepted of it, and brings the manifest. Whether it could be translated.
    async fn bring(
        &mut self,
        session: &Session,
        document: Arc<Value>,
        is_new: Option<Option<String>>,
        cached: &mut Cached,
    ) -> Result<bool, Ended> {
        let facts = self.facts(session).await?;
        let is_there = |socket: &AbsolutePath| std::path::Path::new(socket.as_str()).exists();
        self.socket = self.socket.take().or(facts.engine_socket.clone().filter(is_there));
        let translation = translate(&document, &facts, &cached.accepted);
        self.facts = Some(facts);
        let translation = match translation {
            Ok(translation) => translation,
            Err(problems) => {
                let message =
                    format!("the target state cannot be used: {}", in_words(&problems, Refusal::TOLD));
                self.revision += 1;
                self.brought = None;
                self.send(News::Unusable { message, revision: self.revision }).await?;
                return Ok(false);
            }
        };
        let is_to_be_kept = is_new.is_some() || self.is_unkept || cached.accepted != translation.kept;
        cached.accepted = translation.kept.clone();
        if let Some(etag) = is_new {
            cached.etag = etag;
            cached.document = Some(document);
        }
        let is_kept = !is_to_be_kept || cached.save(session).await;
        let credentials = registries::credentials(&session.identity, &translation);
        let registries = provision::registries(&self.options, &session.dir);
        let kept = blocking(move || match keep::load::<Value>(&registries) {
            Ok(Some(former)) if former == credentials => Ok(()),
            _ => keep::save(&registries, &credentials),
        });
        let kept = kept.await;
        if let Err(error) = &kept {
            tracing::warn!(%error, "the credentials for registries cannot be kept");
        }
        self.is_unkept = !is_kept || kept.is_err();
        self.told.translated(&translation);
        let manifest = serde_json::to_vec(&translation.manifest()).expect("a manifest is plain JSON");
        self.known.send_modify(|known| known.translation = Some(Arc::new(translation)));
        if self.brought.as_ref() != Some(&manifest) {
            self.revision += 1;
            self.brought = Some(manifest.clone());
            self.send(News::Content { bytes: Some(manifest), revision: self.revision }).await?;
        }
        Ok(true)
    }

    /// Waits until the next request is due, answering what is asked meanwhile.
    async fn until_due(&mut self, cadence: &mut Cadence) -> Result<(), Ended> {
        loop {
            let now = Now::read();
            let left = cadence.due() - now.boot;
            self.told.next = now.wall.checked_add(left).ok();
            if left.is_zero() {
                return Ok(());
            }
            if self.pause(left.min(SLICE)).await? {
                cadence.hurry(Now::read().boot);
            }
        }
    }

    /// Does some work, answering what is asked meanwhile. Whether another request is wanted after it.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<(T, bool), Ended> {
        let mut work = std::pin::pin!(work);
        let mut again = false;
        loop {
            tokio::select! {
                done = &mut work => return Ok((done, again)),
                order = self.orders.recv() => again |= self.obey(order)?,
                () = self.news.closed() => return Err(Ended),
            }
        }
    }

    /// Does what was asked; whether a request is wanted.
    fn obey(&mut self, order: Option<Order>) -> Result<bool, Ended> {
        match order {
            None => Err(Ended),
            Some(Order::Tell(reply)) => {
                drop(reply.send(self.told.document()));
                Ok(false)
            }
            Some(Order::Poll { force, reply }) => {
                self.asked_to_ignore = Some(force || self.asked_to_ignore == Some(true));
                // Who asked and went away is not told.
                let _ = reply.send(());
                Ok(true)
            }
        }
    }

    /// Waits for so long, or until the next request is wanted: whether it is.
    async fn pause(&mut self, time: Duration) -> Result<bool, Ended> {
        let end = tokio::time::Instant::now() + time;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(false),
                order = self.orders.recv() => {
                    if self.obey(order)? {
                        return Ok(true);
                    }
                }
                () = self.news.closed() => return Err(Ended),
            }
        }
    }

    async fn here(&mut self) -> Result<(), Ended> {
        if self.away != Some(None) {
            self.away = Some(None);
            self.told.away = None;
            self.send(News::Connected).await?;
        }
        Ok(())
    }

    async fn away(&mut self, why: String) -> Result<(), Ended> {
        if self.away != Some(Some(why.clone())) {
            self.away = Some(Some(why.clone()));
            tracing::warn!(why, "the API gives no target state; what runs goes on");
            self.told.away = Some(why.clone());
            self.send(News::Disconnected(why)).await?;
        }
        Ok(())
    }

    async fn send(&self, news: News) -> Result<(), Ended> {
        self.news.send(news).await.map_err(|_| Ended)
    }
}

/// A number from 0 to 1 that nobody can foresee.
fn chance() -> f64 {
    let random = ulid::Ulid::generate().random();
    (random >> 16) as f64 / (1_u64 << 63) as f64 / 2.0
}
