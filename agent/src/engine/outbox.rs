//! When a status may be sent, and over which revision: the budget of writes, the claim on the key, and fencing. Without wall clocks.

use std::{collections::BTreeSet, time::Duration};

use manifest_types::{digest::Digest, status::AgentStatus};

use super::settings::Settings;
use crate::{
    clock::{BootTime, Now},
    plan::backoff::{Bucket, chance, delay, jittered},
    report::{self, Settled},
};

/// Writes that settle something: so many at once, one more every second.
const SETTLING: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);
/// What the sink holds is read so often, give or take a tenth, although nothing happens.
const READ_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Mere progress is told after so long, if nothing has settled by then: a change that takes milliseconds is one status, not two.
const PROGRESS_WAITS: Duration = Duration::from_millis(100);

/// A fact about the status on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The sink can be reached; whatever was known of its content may be outdated.
    LinkUp,
    /// The sink cannot be reached.
    LinkDown,
    /// The write under way was accepted, with this revision.
    Delivered {
        /// The revision it got.
        revision: u64,
    },
    /// The write under way was refused: the sink holds another revision.
    Conflict,
    /// What became of the write under way, or of the reading, is not known.
    Unknown {
        /// Why.
        message: String,
    },
    /// What the sink holds.
    Read {
        /// The revision to write over: 0 where there never was anything.
        revision: u64,
        /// What is there.
        held: Held,
    },
    /// A heartbeat of another instance was seen that had not been seen before; or it cannot be known whether there is one.
    OtherAlive,
}

/// What the sink holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing: there never was anything, or it was deleted.
    Nothing,
    /// A status that this instance wrote.
    By(String),
    /// Something of which it cannot be said who wrote it.
    Unreadable,
}

/// What the status's key is to this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    /// Not claimed yet: the first write goes over whatever is there.
    Open,
    /// Ours.
    Held,
    /// Another instance's: this one changes nothing until that one has been silent for long.
    Fenced { by: String, silent_since: BootTime },
}

/// The status on its way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    link: bool,
    claim: Claim,
    /// The revision that the sink holds, if that is known.
    revision: Option<u64>,
    own: BTreeSet<String>,
    reading: bool,
    sending: Option<Sent>,
    delivered: Option<Sent>,
    /// The revision that it got: a sink that holds another one does not hold it.
    delivered_as: u64,
    tokens: Bucket,
    sent_at: Option<BootTime>,
    /// Since when there is mere progress that was not told.
    progress_since: Option<BootTime>,
    retry_at: BootTime,
    /// Tries in vain, in a row.
    failures: u32,
    /// How many of them were writes, since one was answered.
    failed_writes: u32,
    /// When what the sink holds is read again, although nothing happens: others may have deleted or claimed it.
    read_again_at: BootTime,
    /// The facts that the last comparison has seen.
    considered: u64,
    /// The last failure, until something goes well.
    pub(crate) failure: Option<String>,
}

/// A status that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    content: Digest,
    settled: Settled,
    generations: (u64, u64),
    all_settled: bool,
}

impl Sent {
    fn of(status: &AgentStatus, facts: &Shown) -> Self {
        Self {
            content: report::content_digest(status),
            settled: Settled::of(status),
            generations: facts.generations,
            all_settled: facts.settled,
        }
    }

    /// Whether one for these generations would be the first in which everything has settled.
    fn is_outdone_by(&self, facts: &Shown) -> bool {
        facts.settled && (self.generations != facts.generations || !self.all_settled)
    }
}

/// What a status would show, in short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// Counts the facts.
    pub(crate) changes: u64,
    /// The generation in force, and the one last processed.
    pub(crate) generations: (u64, u64),
    /// Whether nothing is under way any more.
    pub(crate) settled: bool,
}

/// What is to be done about the status.
#[derive(Debug, PartialEq)]
pub(crate) enum Outgoing {
    /// Nothing until something happens.
    Nothing,
    /// Nothing before this time.
    Wait(BootTime),
    /// Read what the sink holds.
    Read,
    /// Make the status and offer it.
    Compare,
    /// Send this over that revision.
    Send(u64, Box<AgentStatus>),
}

impl Outbox {
    pub(crate) fn new(settings: &Settings, mut own: BTreeSet<String>) -> Self {
        own.insert(settings.instance_id.clone());
        Self {
            link: false,
            claim: Claim::Open,
            revision: None,
            own,
            reading: false,
            sending: None,
            delivered: None,
            delivered_as: 0,
            tokens: Bucket::full(SETTLING, SECOND),
            sent_at: None,
            progress_since: None,
            retry_at: BootTime::default(),
            failures: 0,
            failed_writes: 0,
            read_again_at: BootTime::default(),
            considered: 0,
            failure: None,
        }
    }

    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self.claim, Claim::Fenced { .. })
    }

    /// The instance that fences this one.
    pub(crate) fn fenced_by(&self) -> Option<&str> {
        match &self.claim {
            Claim::Fenced { by, .. } => Some(by),
            Claim::Open | Claim::Held => None,
        }
    }

    pub(crate) fn apply(&mut self, fact: Fact, settings: &Settings, now: Now) {
        match fact {
            Fact::LinkUp => {
                self.link = true;
                (self.failures, self.failed_writes) = (0, 0);
                self.lose_track();
                self.retry_at = now.boot;
                // Without a link nobody could be heard: that was no silence.
                if let Claim::Fenced { silent_since, .. } = &mut self.claim {
                    *silent_since = now.boot;
                }
            }
            Fact::LinkDown => {
                self.link = false;
                self.lose_track();
            }
            Fact::Delivered { revision } => {
                if let Some(sent) = self.sending.take() {
                    self.delivered = Some(sent);
                    self.delivered_as = revision;
                    self.claim = Claim::Held;
                    self.revision = Some(revision);
                    self.went_well(settings, now);
                }
            }
            Fact::Conflict => {
                self.sending = None;
                self.revision = None;
            }
            Fact::Unknown { message } => {
                if settings.sabotage.breaks(super::sabotage::Rule::StatusArrives) && self.sending.is_some() {
                    self.delivered = self.sending.take();
                    return;
                }
                self.failure = Some(message);
                self.failed_writes += u32::from(self.sending.is_some());
                self.lose_track();
                // The first time it may be chance; a bucket that is missing or may not be written stays so for long.
                let spread = match self.failures {
                    0 => Duration::ZERO,
                    times => delay(times.min(6), chance(settings.seed, "deliver", u64::from(times))),
                };
                self.failures += 1;
                self.retry_at = now.boot + SECOND + spread;
            }
            Fact::Read { revision, held } => self.read(revision, held, settings, now),
            Fact::OtherAlive => {
                if let Claim::Fenced { silent_since, .. } = &mut self.claim {
                    *silent_since = now.boot;
                }
            }
        }
    }

    fn lose_track(&mut self) {
        if self.sending.take().is_some() {
            self.delivered = None;
        }
        self.reading = false;
        self.revision = None;
    }

    fn read(&mut self, revision: u64, held: Held, settings: &Settings, now: Now) {
        if !std::mem::take(&mut self.reading) {
            return;
        }
        // That reading goes well says nothing of writing: what was refused is written less and less often.
        self.is_read(settings, now);
        let foreign = match &held {
            Held::By(instance) if !self.own.contains(instance) => Some(instance.clone()),
            _ => None,
        };
        match (&mut self.claim, foreign) {
            (Claim::Held, Some(by)) => self.claim = Claim::Fenced { by, silent_since: now.boot },
            (Claim::Fenced { by, silent_since }, Some(other)) => {
                if *by != other {
                    (*by, *silent_since) = (other, now.boot);
                }
            }
            // Nothing is there: the key, or the whole stream, is new. Or it is our own, of this run or an earlier one.
            (claim @ Claim::Fenced { .. }, None) => *claim = Claim::Open,
            // A server that has lost the end of its store may hold an earlier one of ours.
            (Claim::Held, None) if held == Held::Nothing || revision != self.delivered_as => {
                self.delivered = None
            }
            (Claim::Held, None) | (Claim::Open, _) => {}
        }
        self.revision = Some(revision);
    }

    fn went_well(&mut self, settings: &Settings, now: Now) {
        self.failed_writes = 0;
        self.is_read(settings, now);
    }

    fn is_read(&mut self, settings: &Settings, now: Now) {
        self.failure = None;
        self.failures = self.failed_writes;
        let chance = chance(settings.seed, "read the status again", self.considered);
        self.read_again_at = now.boot + jittered(READ_AGAIN, chance);
    }

    /// Takes the key over once the other has been silent for long enough, as far as it could have been heard.
    pub(crate) fn take_over(&mut self, settings: &Settings, now: BootTime) -> Option<BootTime> {
        let Claim::Fenced { silent_since, .. } = &self.claim else {
            return None;
        };
        if !self.link {
            return None;
        }
        let due = *silent_since + settings.takeover_after;
        if now < due {
            return Some(due);
        }
        self.claim = Claim::Open;
        self.revision = None;
        self.delivered = None;
        None
    }

    /// What is to be done now. Whether a status says anything new is only asked when it could be sent.
    pub(crate) fn next(&mut self, facts: &Shown, now: BootTime) -> Outgoing {
        if !self.link || self.reading || self.sending.is_some() || self.is_fenced() {
            return Outgoing::Nothing;
        }
        if now < self.retry_at {
            return Outgoing::Wait(self.retry_at);
        }
        if self.revision.is_none() || now >= self.read_again_at {
            self.reading = true;
            return Outgoing::Read;
        }
        if facts.changes == self.considered && self.delivered.is_some() {
            return Outgoing::Wait(self.read_again_at);
        }
        let progress_at = self.progress_at(now);
        if !self.hurries(facts) && !self.tokens.has_token(now) && now < progress_at {
            return Outgoing::Wait(progress_at);
        }
        Outgoing::Compare
    }

    /// Sends `status`, if it says something new and may be sent now.
    pub(crate) fn offer(&mut self, status: AgentStatus, facts: &Shown, now: BootTime) -> Outgoing {
        let Some(over) = self.revision else {
            return Outgoing::Nothing;
        };
        let sent = Sent::of(&status, facts);
        let last = self.delivered.as_ref();
        let says_more = last.is_none_or(|last| last.content != sent.content);
        let settles =
            self.hurries(facts) || last.is_none_or(|last| sent.settled.says_more_than(&last.settled));
        if says_more && !settles {
            self.progress_since.get_or_insert(now);
            let progress_at = self.progress_at(now);
            if now < progress_at {
                return Outgoing::Wait(progress_at);
            }
        }
        self.progress_since = None;
        self.considered = facts.changes;
        if !says_more {
            return Outgoing::Wait(self.read_again_at);
        }
        if settles {
            self.tokens.take(now);
        }
        self.sent_at = Some(now);
        self.sending = Some(sent);
        Outgoing::Send(over, Box::new(status))
    }

    fn hurries(&self, facts: &Shown) -> bool {
        self.delivered.as_ref().is_none_or(|last| last.is_outdone_by(facts))
    }

    fn progress_at(&self, now: BootTime) -> BootTime {
        let often = self.sent_at.map(|sent_at| sent_at + SECOND);
        let early = self.progress_since.map(|since| since + PROGRESS_WAITS);
        often.max(early).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests;
