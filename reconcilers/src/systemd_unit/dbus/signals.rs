//! What systemd tells without being asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream::SelectAll};
use tokio::sync::broadcast;
use zbus::{Connection, MatchRule, MessageStream, message::Message, zvariant::OwnedObjectPath};

use super::{PROPERTIES, SERVICE, SYSTEMD, jobs::Jobs, loads::Loads};
use crate::systemd_unit::init::UnitEvent;

/// Under this, each unit has an object of its own.
const UNITS: &str = "/org/freedesktop/systemd1/unit/";

/// So many messages of each kind may wait to be read.
const QUEUE: usize = 256;

/// The signals that matter, from now on.
pub(super) async fn listen(connection: &Connection) -> zbus::Result<SelectAll<MessageStream>> {
    let signal = || MatchRule::builder().msg_type(zbus::message::Type::Signal);
    let rules = [
        signal().sender(SERVICE)?.interface(SYSTEMD.interface)?.build(),
        signal().sender(SERVICE)?.interface(PROPERTIES)?.path_namespace(UNITS.trim_end_matches('/'))?.build(),
        signal()
            .sender("org.freedesktop.DBus")?
            .interface("org.freedesktop.DBus")?
            .member("NameOwnerChanged")?
            .add_arg(SERVICE)?
            .build(),
    ];
    let mut signals = SelectAll::new();
    for rule in rules {
        signals.push(MessageStream::for_match_rule(rule, connection, Some(QUEUE)).await?);
    }
    Ok(signals)
}

/// Who hears of it.
pub(super) struct Tells {
    pub(super) jobs: Arc<Mutex<Jobs>>,
    pub(super) loads: Arc<Mutex<Loads>>,
    pub(super) events: broadcast::Sender<UnitEvent>,
}

impl Tells {
    /// Tells what is heard until the connection breaks.
    pub(super) async fn tell(self, mut signals: SelectAll<MessageStream>) {
        // What happened before this connection was made was not heard.
        self.say(UnitEvent::Any);
        while let Some(Ok(message)) = signals.next().await {
            match read(&message) {
                Some(News::JobEnded { job, unit, result }) => {
                    lock(&self.jobs).has_ended(job, result);
                    self.say(UnitEvent::Unit(unit));
                }
                Some(News::Loaded(unit)) if lock(&self.loads).is_news_of(&unit) => {
                    self.say(UnitEvent::Unit(unit));
                }
                Some(News::Event(event)) => self.say(event),
                Some(News::Gone) => break,
                Some(News::Loaded(_)) | None => {}
            }
        }
        lock(&self.jobs).give_up();
        self.say(UnitEvent::Any);
    }

    fn say(&self, event: UnitEvent) {
        // Without anybody who listens nothing is lost: who begins to listen looks first.
        drop(self.events.send(event));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one signal says.
#[derive(Debug, PartialEq)]
enum News {
    JobEnded {
        job: String,
        unit: String,
        result: String,
    },
    /// A unit was loaded, or unloaded.
    Loaded(String),
    Event(UnitEvent),
    /// The init system is another one, or none.
    Gone,
}

fn read(message: &Message) -> Option<News> {
    let header = message.header();
    let body = message.body();
    match header.member()?.as_str() {
        "JobRemoved" => {
            let (_, job, unit, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
            Some(News::JobEnded { job: job.to_string(), unit, result })
        }
        "UnitNew" | "UnitRemoved" => {
            let (unit, _): (String, OwnedObjectPath) = body.deserialize().ok()?;
            Some(News::Loaded(unit))
        }
        "PropertiesChanged" => Some(News::Event(UnitEvent::Unit(unit_of(header.path()?.as_str())?))),
        "UnitFilesChanged" => Some(News::Event(UnitEvent::Any)),
        // It is told when it begins, and when it is through.
        "Reloading" => match body.deserialize() {
            Ok(true) => None,
            _ => Some(News::Event(UnitEvent::Any)),
        },
        "NameOwnerChanged" => Some(News::Gone),
        _ => None,
    }
}

/// The unit of an object: whatever is no letter or digit is written as `_` and two hexadecimal digits.
fn unit_of(path: &str) -> Option<String> {
    let mut rest = path.strip_prefix(UNITS)?;
    let mut name = Vec::with_capacity(rest.len());
    while let Some((plain, escaped)) = rest.split_once('_') {
        name.extend_from_slice(plain.as_bytes());
        name.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = &escaped[2..];
    }
    name.extend_from_slice(rest.as_bytes());
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_names_its_unit() {
        let of = |name: &str| unit_of(&format!("{UNITS}{name}"));
        assert_eq!(of("pump_2eservice").as_deref(), Some("pump.service"));
        assert_eq!(of("getty_40tty1_2eservice").as_deref(), Some("getty@tty1.service"));
        assert_eq!(of("a_5fb_2dc_2etimer").as_deref(), Some("a_b-c.timer"));
        for bad in ["a_", "a_2", "a_zz", "a_é"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(unit_of("/org/freedesktop/systemd1/job/7"), None);
    }
}
