//! The NATS sink: the key `actual-state.<agent-id>` by compare-and-swap, and the heartbeat beside it.

use std::time::Duration;

use async_nats::jetstream::{
    self, ErrorCode,
    kv::{self, UpdateError, UpdateErrorKind},
    stream::LastRawMessageErrorKind,
};
use manifest_types::{keys, name::AgentId};
use tokio::{sync::mpsc, time::timeout};

use super::{Answer, Order, instance_of};
use crate::{
    chain::chain,
    engine::outbox::{Fact, Held},
    nats::Link,
};

/// What the headers of a write may take of the most that a server takes at once.
const HEADERS: usize = 512;
/// Longer than any request may take: a connection that swallows what it is given must not stop the sink.
const ANSWER: Duration = Duration::from_secs(15);

/// Where the status goes.
#[derive(Debug, Clone)]
pub struct Place {
    /// The bucket of statuses.
    pub bucket: String,
    /// The bucket of heartbeats.
    pub heartbeat_bucket: String,
    /// The device.
    pub agent_id: AgentId,
    /// This run of the agent.
    pub instance_id: String,
}

/// Carries out orders until there are no more, and tells whether the server can be reached.
pub async fn run(link: Link, place: Place, mut orders: mpsc::Receiver<Order>, answers: mpsc::Sender<Answer>) {
    let mut sink = Sink {
        jetstream: jetstream::new(link.client.clone()),
        place,
        fleet: None,
        heartbeats: None,
        limit: None,
        heard: None,
        is_deaf: false,
    };
    let mut state = link.state.clone();
    let mut number = 0;
    loop {
        let now = *state.borrow_and_update();
        if now != number {
            number = now;
            sink.forget_buckets();
            let up = number % 2 == 1;
            let limit = link.client.server_info().max_payload.saturating_sub(HEADERS);
            let fact = if up { Fact::LinkUp } else { Fact::LinkDown };
            let told = answers.send(Answer::Limit(limit)).await.and(answers.send(Answer::Fact(fact)).await);
            if told.is_err() {
                return;
            }
        }
        let order = tokio::select! {
            order = orders.recv() => order,
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Some(order) = order else { return };
        let is_sign_of_life = matches!(order, Order::Heartbeat { .. } | Order::Listen);
        let is_listening = matches!(order, Order::Listen);
        let fact = tokio::select! {
            fact = timeout(ANSWER, sink.carry_out(order)) => fact.unwrap_or_else(|_| match is_listening {
                true => Some(Fact::OtherAlive),
                false => Some(unknown("the server does not answer")),
            }),
            // What was under way has gone with the connection.
            changed = state.changed() => match changed {
                Ok(()) => Some(unknown("the connection was lost")),
                Err(_) => return,
            },
        };
        if let Some(limit) = sink.limit.take() {
            let limit = limit.min(link.client.server_info().max_payload).saturating_sub(HEADERS);
            if answers.send(Answer::Limit(limit)).await.is_err() {
                return;
            }
        }
        let fact = fact.filter(|fact| !is_sign_of_life || matches!(fact, Fact::OtherAlive));
        if let Some(fact) = fact
            && answers.send(Answer::Fact(fact)).await.is_err()
        {
            return;
        }
    }
}

fn unknown(message: &str) -> Fact {
    Fact::Unknown { message: message.to_owned() }
}

struct Sink {
    jetstream: jetstream::Context,
    place: Place,
    fleet: Option<kv::Store>,
    heartbeats: Option<kv::Store>,
    /// The most that the bucket takes at once, if that was found out just now.
    limit: Option<usize>,
    /// The revision of the last heartbeat of another instance.
    heard: Option<u64>,
    /// Whether it is told that nobody can be heard.
    is_deaf: bool,
}

impl Sink {
    fn forget_buckets(&mut self) {
        self.fleet = None;
        self.heartbeats = None;
    }

    async fn carry_out(&mut self, order: Order) -> Option<Fact> {
        match order {
            Order::Read => Some(self.read().await.unwrap_or_else(|message| Fact::Unknown { message })),
            Order::Write { bytes, over } => {
                Some(self.write(bytes, over).await.unwrap_or_else(|message| Fact::Unknown { message }))
            }
            Order::Heartbeat { bytes } => {
                if let Err(error) = self.heartbeat(bytes).await {
                    tracing::debug!(error, "no heartbeat");
                }
                None
            }
            Order::Listen => self.listen().await,
        }
    }

    /// From the stream's leader: what a replica says may be stale.
    async fn read(&mut self) -> Result<Fact, String> {
        let key = keys::actual_state(&self.place.agent_id);
        let subject = keys::kv_subject(&self.place.bucket, &key);
        let message = self.fleet().await?.stream.get_last_raw_message_by_subject(&subject).await;
        match message {
            Ok(message) => {
                let is_deleted = message.headers.get("KV-Operation").is_some();
                let held = match instance_of(&message.payload) {
                    _ if is_deleted => Held::Nothing,
                    Some(instance) => Held::By(instance),
                    None => Held::Unreadable,
                };
                Ok(Fact::Read { revision: message.sequence, held })
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok(Fact::Read { revision: 0, held: Held::Nothing })
            }
            Err(error) => {
                self.fleet = None;
                Err(format!("cannot read {key}: {error}"))
            }
        }
    }

    async fn write(&mut self, bytes: Vec<u8>, over: u64) -> Result<Fact, String> {
        let key = keys::actual_state(&self.place.agent_id);
        match self.fleet().await?.update(&key, bytes.into(), over).await {
            Ok(revision) => Ok(Fact::Delivered { revision }),
            Err(error) if is_conflict(&error) => Ok(Fact::Conflict),
            Err(error) => {
                self.fleet = None;
                Err(format!("cannot write {key}: {}", chain(&error)))
            }
        }
    }

    async fn heartbeat(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let key = keys::heartbeat(&self.place.agent_id);
        let put = self.heartbeats().await?.put(&key, bytes.into()).await;
        if put.is_err() {
            self.heartbeats = None;
        }
        put.map(drop).map_err(|error| error.to_string())
    }

    /// A heartbeat that was not heard before, by another instance, is a sign of life. So is not to know: silence counts only where it was heard.
    async fn listen(&mut self) -> Option<Fact> {
        match self.is_other_silent().await {
            Ok(is_silent) => {
                self.is_deaf = false;
                (!is_silent).then_some(Fact::OtherAlive)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_deaf, true) {
                    tracing::warn!(
                        error,
                        "cannot listen for the other agent of this id; it counts as alive until that is possible"
                    );
                }
                self.heartbeats = None;
                Some(Fact::OtherAlive)
            }
        }
    }

    async fn is_other_silent(&mut self) -> Result<bool, String> {
        let key = keys::heartbeat(&self.place.agent_id);
        let entry = self.heartbeats().await?.entry(&key).await;
        let Some(entry) = entry.map_err(|error| format!("key {key}: {}", chain(&error)))? else {
            return Ok(true);
        };
        let is_other = instance_of(&entry.value).is_some_and(|instance| instance != self.place.instance_id);
        let is_new = self.heard.replace(entry.revision) != Some(entry.revision);
        Ok(!(is_other && is_new && entry.operation == kv::Operation::Put))
    }

    async fn fleet(&mut self) -> Result<&kv::Store, String> {
        let is_new = self.fleet.is_none();
        let store = open(&self.jetstream, &self.place.bucket, &mut self.fleet).await?;
        if is_new {
            // -1 is no limit but the server's.
            self.limit = usize::try_from(store.stream.cached_info().config.max_message_size).ok();
        }
        Ok(store)
    }

    async fn heartbeats(&mut self) -> Result<&kv::Store, String> {
        open(&self.jetstream, &self.place.heartbeat_bucket, &mut self.heartbeats).await
    }
}

async fn open<'a>(
    jetstream: &jetstream::Context,
    bucket: &str,
    store: &'a mut Option<kv::Store>,
) -> Result<&'a kv::Store, String> {
    if store.is_none() {
        let opened = jetstream.get_key_value(bucket).await;
        *store = Some(opened.map_err(|error| format!("bucket {bucket}: {}", chain(&error)))?);
    }
    Ok(store.as_ref().expect("it was just opened"))
}

/// Whether a write was refused because the key holds another revision. Servers say it in two ways: 10071, and in clusters 10164.
fn is_conflict(error: &UpdateError) -> bool {
    if error.kind() == UpdateErrorKind::WrongLastRevision {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(told) = cause.downcast_ref::<jetstream::Error>() {
            return conflicts(told.error_code());
        }
        source = cause.source();
    }
    false
}

fn conflicts(code: ErrorCode) -> bool {
    matches!(code.0, 10071 | 10164)
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::context::{PublishError, PublishErrorKind};

    use super::*;

    fn told(code: u64) -> jetstream::Error {
        serde_json::from_str(&format!(
            r#"{{"code":400,"err_code":{code},"description":"wrong last sequence"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn both_ways_of_telling_a_conflict_are_understood() {
        let of = |code| UpdateError::from(PublishError::with_source(PublishErrorKind::Other, told(code)));
        assert!(is_conflict(&of(10164)) && is_conflict(&of(10071)));
        assert!(!is_conflict(&of(10077)));
        assert!(is_conflict(&UpdateError::new(UpdateErrorKind::WrongLastRevision)));
        assert!(!is_conflict(&UpdateError::new(UpdateErrorKind::TimedOut)));
    }
}
