//! What is kept of target states, across restarts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::balena::{
    api::State,
    keep,
    provision::{Session, blocking},
    translate::Kept,
};

/// The target state as it was received last, and what was accepted of it and of those before.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Cached {
    uuid: String,
    pub(super) etag: Option<String>,
    pub(super) document: Option<Arc<Value>>,
    pub(super) accepted: Kept,
}

impl Cached {
    /// What was kept; `held` are the resources that this device holds by an earlier target state. What it had accepted is so whoever it was then, and also where it
    /// was forgotten or cannot be read: a release that is rejected leaves it as it is, and volumes stay.
    pub(super) async fn load(session: &Session, held: &[Value]) -> Self {
        let path = session.dir.join("target.json");
        let kept = match blocking(move || keep::load::<Self>(&path)).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "the target state that was kept cannot be read; it is asked for again");
                None
            }
        };
        Self::after(kept, &session.identity.uuid, held)
    }

    fn after(kept: Option<Self>, uuid: &str, held: &[Value]) -> Self {
        let uuid = uuid.to_owned();
        match kept {
            Some(kept) if kept.uuid == uuid => kept,
            Some(of_another) => Self { uuid, accepted: of_another.accepted, ..Self::default() },
            None => Self { uuid, accepted: Kept::of_manifest(held), ..Self::default() },
        }
    }

    /// Whose it is from now on: the device may have become another while it was registered.
    pub(super) fn is_of(&mut self, uuid: &str) {
        uuid.clone_into(&mut self.uuid);
    }

    /// Keeps it: whether that could be done. What cannot be kept is still held; after a restart it is asked for again.
    pub(super) async fn save(&self, session: &Session) -> bool {
        let (path, value) = (session.dir.join("target.json"), self.clone());
        let saved = blocking(move || keep::save(&path, &value)).await;
        if let Err(error) = &saved {
            tracing::warn!(%error, "the target state cannot be kept");
        }
        saved.is_ok()
    }

    /// An answer that tells what is known already is no news, whatever its tag.
    pub(super) fn recognized(&mut self, answer: State) -> State {
        match answer {
            State::New { document, etag } if self.document.as_deref() == Some(&document) => {
                self.etag = etag;
                State::Unchanged
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_accepted_outlives_whoever_the_device_was() {
        let volume = json!({ "id": "42.volume.data", "kind": "Volume", "spec": { "name": "42_data", "labels": { "io.balena.app-uuid": "a1" } } });
        let held = [volume];
        let kept = Cached {
            uuid: "one".into(),
            etag: Some("tag".into()),
            document: Some(Arc::new(json!({ "one": {} }))),
            accepted: Kept::of_manifest(&held),
        };
        let same = Cached::after(Some(kept.clone()), "one", &[]);
        assert!(same.document.is_some() && same.etag.is_some() && same.accepted == kept.accepted);
        let another = Cached::after(Some(kept.clone()), "other", &[]);
        assert!(another.document.is_none() && another.etag.is_none() && another.accepted == kept.accepted);
        assert_eq!(Cached::after(None, "one", &held).accepted, kept.accepted);
        assert_eq!(Cached::after(None, "one", &[]).accepted, Kept::default());
    }

    #[test]
    fn the_same_document_in_another_order_is_no_news() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let mut cached = Cached {
            document: Some(Arc::new(read(r#"{ "a": 1, "b": { "c": 2, "d": 3 } }"#))),
            ..Cached::default()
        };
        let told = |text: &str| State::New { document: read(text), etag: Some("new".into()) };
        let again = cached.recognized(told(r#"{ "b": { "d": 3, "c": 2 }, "a": 1 }"#));
        assert!(matches!(again, State::Unchanged) && cached.etag.as_deref() == Some("new"));
        let other = cached.recognized(told(r#"{ "a": 2 }"#));
        assert!(matches!(other, State::New { .. }));
    }
}
