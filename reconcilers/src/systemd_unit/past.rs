//! What a unit was before us, and whether it is yet to be restarted for what we have changed: remembered before the change it speaks of.

use manifest_types::kinds::systemd_unit::{ActiveState, Scope, SystemdUnitSpec};
use serde::{Deserialize, Serialize};

use super::{
    init::Unit,
    sight::{Kept, is_enabled, is_masked},
};
use crate::observation::Before;

/// What is remembered of a unit that we have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Past {
    /// What it was before us; `None`: there was none.
    pub(super) was: Option<Was>,
    /// Whether it is to be restarted, or reloaded, for what was changed.
    #[serde(default)]
    pub(super) is_restart_due: bool,
}

/// How a unit was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Was {
    pub(super) enabled: Option<bool>,
    pub(super) masked: bool,
    pub(super) active: bool,
}

/// Under which name a unit is remembered.
pub(super) fn key(scope: Scope, name: &str) -> String {
    match scope {
        Scope::System => name.to_owned(),
        Scope::User => format!("user/{name}"),
    }
}

impl Past {
    /// Of a unit that we are about to change for the first time. One that was adopted, since it was as wanted, may have drifted since: then it was as wanted.
    pub(super) fn of(before: Before, seen: &Unit, adopted: Option<&SystemdUnitSpec>) -> Self {
        let now = Was {
            enabled: is_enabled(&seen.file_state),
            masked: is_masked(seen),
            active: seen.active.is_up(),
        };
        let was = match (before, adopted) {
            (Before::Absent, _) => None,
            (Before::Same, Some(spec)) => Some(Was {
                enabled: spec.enabled.or(now.enabled),
                masked: spec.masked.unwrap_or(now.masked),
                active: spec.state.map_or(now.active, |state| state == ActiveState::Active),
            }),
            (Before::Same | Before::Original, _) => seen.is_there().then_some(now),
        };
        Self { was, is_restart_due: false }
    }

    /// What a sight tells of it.
    pub(super) fn kept(past: Option<&Self>) -> Kept {
        Kept {
            was_there: past.map(|past| past.was.is_some()),
            is_restart_due: past.is_some_and(|past| past.is_restart_due),
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_types::kinds::systemd_unit::LoadState;
    use serde_json::json;

    use super::*;
    use crate::systemd_unit::init::Active;

    #[test]
    fn what_was_adopted_was_as_wanted() {
        let seen = Unit {
            load_state: LoadState::Loaded,
            active: Active::Failed,
            file_state: "disabled".into(),
            ..Unit::default()
        };
        let spec = serde_json::from_value(json!({ "name": "a.service", "state": "Active" })).unwrap();
        let was = |before, adopted| Past::of(before, &seen, adopted).was;
        let now = Was { enabled: Some(false), masked: false, active: false };
        assert_eq!(was(Before::Original, Some(&spec)), Some(now));
        assert_eq!(was(Before::Same, Some(&spec)), Some(Was { active: true, ..now }));
        assert_eq!(was(Before::Absent, Some(&spec)), None);
        assert_eq!(
            Past::of(Before::Original, &Unit::default(), None).was,
            None,
            "nothing was there after all"
        );
    }
}
