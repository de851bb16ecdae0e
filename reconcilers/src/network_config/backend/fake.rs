//! A backend in memory that remembers as NetworkManager does: while there is a checkpoint, what it is told is on its disk only once that is confirmed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};
use serde_json::Value;

use super::{Backend, BackendError, Kept, Saved, Trial, Unsupported, Wanted};
use crate::observation::Difference;

/// What is configured, by interface.
type Profiles = BTreeMap<String, Value>;

/// A backend in memory. Clones are the same one: it goes on when the agent ends. It leaves the kernel to the agent.
#[derive(Debug, Clone, Default)]
pub struct FakeBackend(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    memory: Profiles,
    disk: Profiles,
    checkpoint: Option<Profiles>,
}

impl FakeBackend {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has on its disk; `None` while a change is open, or not all of it is there.
    pub fn settled(&self) -> Option<Profiles> {
        let state = self.state();
        (state.checkpoint.is_none() && state.memory == state.disk).then(|| state.disk.clone())
    }

    fn profile(wanted: &Wanted<'_>) -> Value {
        serde_json::to_value(wanted.spec).unwrap_or_default()
    }
}

impl Backend for FakeBackend {
    async fn find(&self) -> Result<Option<Capability>, BackendError> {
        Ok(Some(Capability { name: "fake".into(), version: String::new(), api_version: None }))
    }

    async fn unsupported(&self, _: &NetworkConfigSpec) -> Option<Unsupported> {
        None
    }

    async fn differences(&self, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        tokio::task::yield_now().await;
        let profile = Self::profile(wanted);
        let seen = self.state().memory.get(&wanted.setup.name).cloned().unwrap_or_default();
        Ok((seen != profile)
            .then(|| Difference::in_place("configuration", profile, seen))
            .into_iter()
            .collect())
    }

    async fn save(&self, interfaces: &[String]) -> Result<Saved, BackendError> {
        let state = self.state();
        let saved = |name: &String| {
            let was = state.memory.get(name).cloned().unwrap_or_default();
            (name.clone(), Kept { by: "fake".into(), was })
        };
        Ok(Saved(interfaces.iter().map(saved).collect()))
    }

    async fn begin(&self, _: &Saved, _: Duration) -> Result<Option<Trial>, BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.checkpoint = Some(state.memory.clone());
        Ok(Some(Trial("checkpoint".into())))
    }

    async fn apply(&self, wanted: &[Wanted<'_>], on_trial: bool) -> Result<(), BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        for wanted in wanted {
            let (name, profile) = (wanted.setup.name.clone(), Self::profile(wanted));
            if !on_trial {
                state.disk.insert(name.clone(), profile.clone());
            }
            state.memory.insert(name, profile);
        }
        Ok(())
    }

    async fn confirm(&self, _: &Saved, _: Option<&Trial>) -> Result<(), BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.checkpoint = None;
        state.disk = state.memory.clone();
        Ok(())
    }

    async fn abandon(&self, _: &Saved, _: Option<&Trial>) -> Result<(), BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        if let Some(before) = state.checkpoint.take() {
            state.memory = before;
        }
        Ok(())
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        let is_open = state.checkpoint.is_some();
        let State { memory, disk, .. } = &mut *state;
        for profiles in if is_open { vec![memory] } else { vec![memory, disk] } {
            for (name, kept) in &saved.0 {
                match &kept.was {
                    Value::Null => drop(profiles.remove(name)),
                    was => drop(profiles.insert(name.clone(), was.clone())),
                }
            }
        }
        Ok(())
    }

    fn acts(&self) -> bool {
        false
    }
}
