//! The NATS source: the key `desired-state.<agent-id>`. Subscribed first, then read, so that nothing falls in between;
//! the highest revision wins within one life of the stream, unless that has gone back; and all of it again after every reconnect.

use std::time::Duration;

use async_nats::{
    Message,
    jetstream::{
        self, kv,
        stream::{Info, LastRawMessageErrorKind},
    },
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use manifest_types::{digest::Digest, keys, name::AgentId};
use tokio::sync::mpsc;

use super::News;
use crate::{
    chain::chain,
    clock::Now,
    nats::Link,
    plan::backoff::{chance, jittered},
};

/// Where the manifest is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The device.
    pub agent_id: AgentId,
}

/// The key's revision is read so often, whatever was told in between.
const READ_AGAIN: Duration = Duration::from_secs(10 * 60);
/// After so long, a leader that was deposed knows it.
const DEPOSED: Duration = Duration::from_secs(1);
/// After a failure it is tried again: first soon, then up to half a minute later.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What was last brought: the stream's creation tells one life of it from another.
#[derive(Debug, Default, PartialEq)]
struct Brought {
    life: String,
    revision: u64,
    content: Option<Digest>,
}

impl Brought {
    fn of(life: &str, value: &Value) -> Self {
        let content = value.bytes.as_deref().map(Digest::of);
        Self { life: life.to_owned(), revision: value.revision, content }
    }

    /// Whether a change of this number, which is not higher than the last, is an echo of what was read, or the stream has begun anew or gone back.
    fn is_in_doubt(&self, revision: u64) -> bool {
        revision <= self.revision
    }

    /// Whether what the stream's leader says now means that it has gone back in the same life: it lost its end, or a backup was put in its place.
    fn has_gone_back(&self, now: &Self) -> bool {
        self.life == now.life && now.revision <= self.revision && self != now
    }
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// Nobody listens any more.
    Unheard,
    /// Something went wrong; it is tried again.
    Failed(String),
    /// The connection was lost.
    Lost,
    /// This client may not subscribe to this subject.
    Denied(String),
}

/// How changes of the key are heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As plain messages, where the bucket republishes them.
    Republished,
    /// By a watch.
    Watch,
}

/// Brings the key's content, now and after every change, until nobody listens any more.
pub async fn run(mut link: Link, place: Place, news: mpsc::Sender<News>) {
    let mut brought = Brought::default();
    let mut failures = 0u32;
    let mut deaf_on = None;
    loop {
        let Some(number) = connected(&mut link, &news).await else { return };
        let way = if deaf_on == Some(number) { Way::Watch } else { Way::Republished };
        let end = session(&mut link, number, way, &place, &news, &mut brought, &mut failures).await;
        let why = match end {
            End::Unheard => return,
            End::Lost => "the connection is lost".to_owned(),
            End::Denied(subject) => {
                tracing::warn!(
                    subject,
                    "no permission to subscribe to what the bucket republishes; watching the key instead, which costs the server a consumer"
                );
                deaf_on = Some(number);
                continue;
            }
            End::Failed(why) => {
                failures += 1;
                tracing::warn!(reason = why, "the source cannot be read; it is tried again");
                why
            }
        };
        if news.send(News::Disconnected(why)).await.is_err() {
            return;
        }
        let pause = Duration::from_millis(250).saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT);
        if failures > 0 {
            let turn = Now::read().boot.as_duration().as_nanos() as u64;
            tokio::time::sleep(jittered(pause, chance(turn, place.agent_id.as_str(), u64::from(failures))))
                .await;
        }
    }
}

/// Waits for the connection, telling why it does not come.
async fn connected(link: &mut Link, news: &mpsc::Sender<News>) -> Option<u64> {
    let mut waiting = link.clone();
    loop {
        tokio::select! {
            number = waiting.up() => return number,
            why = link.trouble() => news.send(News::Disconnected(why)).await.ok()?,
        }
    }
}

async fn session(
    link: &mut Link,
    number: u64,
    way: Way,
    place: &Place,
    news: &mpsc::Sender<News>,
    brought: &mut Brought,
    failures: &mut u32,
) -> End {
    let subject = republished(place);
    let opened = async {
        let jetstream = jetstream::new(link.client.clone());
        let store = jetstream.get_key_value(&place.bucket).await;
        let store = store.map_err(|error| format!("bucket {}: {error}", place.bucket))?;
        let info =
            store.stream.get_info().await.map_err(|error| format!("bucket {}: {error}", place.bucket))?;
        let changes = subscribe(link, way, &store, &info, place).await?;
        link.client.flush().await.map_err(|error| error.to_string())?;
        Ok((store, info.created.to_string(), changes))
    };
    let (store, life, mut changes) = match opened.await {
        Ok(opened) => opened,
        Err(why) => return End::Failed(why),
    };
    if let Err(end) = read(&store, &life, place, news, brought).await {
        return end;
    }
    if news.send(News::Connected).await.is_err() {
        return End::Unheard;
    }
    *failures = 0;
    loop {
        let turn = Now::read().boot.as_duration().as_nanos() as u64;
        let again = jittered(READ_AGAIN, chance(turn, place.agent_id.as_str(), 0));
        let mut lost = link.clone();
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(change)) => {
                    let brings = match brought.is_in_doubt(change.revision) {
                        true if is_reborn(&store, &life).await => {
                            link.renew();
                            return End::Lost;
                        }
                        true => read(&store, &life, place, news, brought).await,
                        false => bring(change, &life, news, brought).await,
                    };
                    if let Err(end) = brings {
                        return end;
                    }
                }
                Some(Err(why)) => return End::Failed(why),
                None => return End::Failed("the subscription ended".into()),
            },
            () = lost.lost(number) => return End::Lost,
            () = link.denied(&subject), if way == Way::Republished => return End::Denied(subject),
            () = tokio::time::sleep(again) => match store.stream.get_info().await {
                Ok(info) if info.created.to_string() != life => {
                    link.renew();
                    return End::Lost;
                }
                Ok(_) => if let Err(end) = read(&store, &life, place, news, brought).await {
                    return end;
                },
                Err(error) => return End::Failed(error.to_string()),
            },
        }
    }
}

/// Whether the bucket was deleted and made anew.
async fn is_reborn(store: &kv::Store, life: &str) -> bool {
    let info = store.stream.get_info().await;
    // A server that does not answer says so at the next occasion.
    info.is_ok_and(|info| info.created.to_string() != life)
}

/// One value of the key.
#[derive(Debug)]
struct Value {
    bytes: Option<Vec<u8>>,
    revision: u64,
}

type Changes = BoxStream<'static, Result<Value, String>>;

/// Where the bucket republishes what is written for this device.
fn republished(place: &Place) -> String {
    let (_, to) = keys::republish(&place.bucket);
    to.replace('>', place.agent_id.as_str())
}

/// Committed writes as plain messages where the bucket republishes them: no consumer on the server. Else a watch.
async fn subscribe(
    link: &Link,
    way: Way,
    store: &kv::Store,
    info: &Info,
    place: &Place,
) -> Result<Changes, String> {
    let key = keys::desired_state(&place.agent_id);
    let (from, to) = keys::republish(&place.bucket);
    let republishes = info.config.republish.as_ref().is_some_and(|republish| {
        republish.source == from && republish.destination == to && !republish.headers_only
    });
    if republishes && way == Way::Republished {
        let messages = link.client.subscribe(republished(place)).await.map_err(|error| error.to_string())?;
        return Ok(from_messages(messages).boxed());
    }
    if !republishes {
        tracing::info!(bucket = place.bucket, "the bucket does not republish; watching the key instead");
    }
    let watch = store.watch_with_history(&key).await.map_err(|error| error.to_string())?;
    let values = watch.map(|entry| match entry {
        Ok(entry) => Ok(Value {
            revision: entry.revision,
            bytes: (entry.operation == kv::Operation::Put).then(|| entry.value.to_vec()),
        }),
        Err(error) => Err(error.to_string()),
    });
    Ok(values.boxed())
}

fn from_messages(messages: impl Stream<Item = Message>) -> impl Stream<Item = Result<Value, String>> {
    messages.filter_map(|message| async move {
        let headers = message.headers.as_ref()?;
        let revision = headers.get("Nats-Sequence")?.as_str().parse().ok()?;
        let is_put = headers.get("KV-Operation").is_none_or(|operation| operation.as_str() == "PUT");
        Some(Ok(Value { revision, bytes: is_put.then(|| message.payload.to_vec()) }))
    })
}

/// Brings what the key holds, if it is not what was brought last. That a stream has gone back is believed when it is said twice:
/// a leader that has just been deposed does not know.
async fn read(
    store: &kv::Store,
    life: &str,
    place: &Place,
    news: &mpsc::Sender<News>,
    brought: &mut Brought,
) -> Result<(), End> {
    let mut value = held(store, place).await?;
    if brought.has_gone_back(&Brought::of(life, &value)) {
        tokio::time::sleep(DEPOSED).await;
        let again = held(store, place).await?;
        if Brought::of(life, &again) == Brought::of(life, &value) {
            tracing::warn!(
                revision = again.revision,
                last = brought.revision,
                "the server has lost the end of the stream, or has an older copy of it"
            );
            *brought = Brought::default();
        }
        value = again;
    }
    bring(value, life, news, brought).await
}

/// What the key holds, from the stream's leader: what a replica says may be stale.
async fn held(store: &kv::Store, place: &Place) -> Result<Value, End> {
    let key = keys::desired_state(&place.agent_id);
    let message = store.stream.get_last_raw_message_by_subject(&keys::kv_subject(&place.bucket, &key)).await;
    match message {
        Ok(message) => {
            let operation = message.headers.get("KV-Operation");
            let is_put = operation.is_none_or(|operation| operation.as_str() == "PUT");
            Ok(Value { revision: message.sequence, bytes: is_put.then(|| message.payload.to_vec()) })
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
            Ok(Value { revision: 0, bytes: None })
        }
        Err(error) => Err(End::Failed(format!("key {key}: {}", chain(&error)))),
    }
}

async fn bring(
    value: Value,
    life: &str,
    news: &mpsc::Sender<News>,
    brought: &mut Brought,
) -> Result<(), End> {
    let now = Brought::of(life, &value);
    if now == *brought || brought.has_gone_back(&now) {
        return Ok(());
    }
    *brought = now;
    let Value { bytes, revision } = value;
    news.send(News::Content { bytes, revision }).await.map_err(|_| End::Unheard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_revision_wins_within_one_life_of_the_stream() {
        let of = |life, revision, text: &str| {
            let bytes = (!text.is_empty()).then(|| text.as_bytes().to_vec());
            Brought::of(life, &Value { revision, bytes })
        };
        let brought = of("monday", 5, "a");
        assert!(brought.is_in_doubt(1) && brought.is_in_doubt(5) && !brought.is_in_doubt(6));
        for back in
            [of("monday", 4, "b"), of("monday", 0, ""), of("monday", 5, "written anew under its number")]
        {
            assert!(brought.has_gone_back(&back), "{back:?}");
        }
        for on in [of("monday", 5, "a"), of("monday", 6, "a"), of("tuesday", 1, "b"), of("tuesday", 0, "")] {
            assert!(!brought.has_gone_back(&on), "{on:?}");
        }
        assert!(!Brought::default().has_gone_back(&of("monday", 0, "")), "an empty key is news once");
    }
}
