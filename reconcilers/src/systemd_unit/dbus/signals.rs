//! What systemd tells without being asked.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::SelectAll};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until},
};
use zbus::{Connection, MatchRule, MessageStream, message::Message, zvariant::OwnedObjectPath};

use super::{PROPERTIES, SERVICE, SYSTEMD, jobs::Jobs, loads::Loads};
use crate::systemd_unit::init::UnitEvent;

/// Under this, each unit has an object of its own.
const UNITS: &str = "/org/freedesktop/systemd1/unit/";

/// So many messages of each kind may wait to be read.
const QUEUE: usize = 256;
/// Reading all unit files again takes no longer.
const RELOAD: Duration = Duration::from_secs(90);
/// So long after that its news come, and whoever had it done has something to do with systemd first.
const SETTLES: Duration = Duration::from_millis(250);

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
        let mut reload = Reload::default();
        loop {
            let told = tokio::select! {
                told = signals.next() => told,
                () = reload.settled() => {
                    reload = Reload::default();
                    self.say(UnitEvent::Any);
                    continue;
                }
            };
            let Some(Ok(message)) = told else { break };
            match read(&message) {
                Some(News::JobEnded { job, unit, result }) => {
                    lock(&self.jobs).has_ended(job, result);
                    self.say(UnitEvent::Unit(unit));
                }
                Some(News::Loaded(unit)) if !reload.is_under_way() && lock(&self.loads).is_news_of(&unit) => {
                    self.say(UnitEvent::Unit(unit));
                }
                Some(News::Reloading(goes_on)) => reload = Reload::heard(goes_on, Instant::now()),
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

/// All unit files are read again. systemd tells that each unit goes and comes then: that is one piece of news, of all of them.
#[derive(Debug, Default, PartialEq)]
struct Reload {
    ends: Option<Instant>,
}

impl Reload {
    /// It begins, or is through.
    fn heard(goes_on: bool, now: Instant) -> Self {
        Self { ends: Some(now + if goes_on { RELOAD } else { SETTLES }) }
    }

    fn is_under_way(&self) -> bool {
        self.ends.is_some()
    }

    /// Returns once it is over; never without one.
    async fn settled(&self) {
        match self.ends {
            Some(ends) => sleep_until(ends).await,
            None => std::future::pending().await,
        }
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
    /// All unit files are being read again, or have been.
    Reloading(bool),
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
        "Reloading" => Some(News::Reloading(body.deserialize().ok()?)),
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

    #[tokio::test(start_paused = true)]
    async fn a_reload_is_one_piece_of_news_soon_after_it() {
        let took = async |reload: &Reload| {
            let began = Instant::now();
            reload.settled().await;
            began.elapsed()
        };
        let reload = Reload::heard(false, Instant::now());
        assert!(reload.is_under_way());
        assert_eq!(took(&reload).await, SETTLES);
        assert_eq!(took(&Reload::heard(true, Instant::now())).await, RELOAD, "its end may never be told");
        let none = Reload::default();
        assert!(!none.is_under_way());
        assert!(tokio::time::timeout(RELOAD * 2, none.settled()).await.is_err());
    }

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
