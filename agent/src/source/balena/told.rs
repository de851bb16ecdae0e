//! What the source tells of itself, to whoever asks the agent.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api::{State, Trouble},
    identity::Identity,
    translate::Translation,
};

/// What the source tells of itself.
#[derive(Debug, Default)]
pub struct Told {
    identity: Option<Value>,
    last_poll: Option<Value>,
    translation: Option<Value>,
    /// When the next request is due.
    pub next: Option<Timestamp>,
    /// Why the API gives no target state.
    pub away: Option<String>,
}

impl Told {
    /// Who this device is.
    pub fn is(&mut self, identity: &Identity) {
        self.identity = Some(json!({
            "apiEndpoint": identity.endpoint, "uuid": identity.uuid, "deviceId": identity.device_id,
            "deviceType": identity.device_type, "registered": identity.is_registered,
        }));
    }

    /// What was answered to a request.
    pub fn polled(&mut self, at: Timestamp, answer: &State) {
        let words = match answer {
            State::New { .. } => "a target state".to_owned(),
            State::Unchanged => "unchanged".to_owned(),
            State::Refused(refusal) => refusal.to_string(),
            State::Unknown(Trouble { why, .. }) => why.clone(),
        };
        self.last_poll = Some(json!({ "at": at, "answer": words }));
    }

    /// What the last usable target state is here.
    pub fn translated(&mut self, translation: &Translation) {
        let Translation { name, apps, left_alone, notes, .. } = translation;
        self.translation =
            Some(json!({ "name": name, "apps": apps, "leftAlone": left_alone, "notes": notes }));
    }

    /// All of it.
    pub fn document(&self) -> Value {
        let Self { identity, last_poll, translation, next, away } = self;
        json!({
            "source": "balena", "identity": identity, "lastPoll": last_poll, "nextPoll": next, "away": away, "target": translation,
        })
    }
}
