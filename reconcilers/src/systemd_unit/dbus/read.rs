//! A unit's properties, as they are read. What is missing has not been said.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use manifest_types::kinds::systemd_unit::LoadState;
use zbus::{message::Message, zvariant::Value};

use crate::systemd_unit::init::{Active, Service, Unit};

/// systemd's word for a number that is not set.
const UNSET: u64 = u64::MAX;

/// What a unit tells of itself.
struct Told<'a>(HashMap<&'a str, Value<'a>>);

impl<'a> Told<'a> {
    fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::Str(text)) => text.as_str(),
            _ => "",
        }
    }

    fn some_text(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn is(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::U64(number) => Some(*number),
            Value::U32(number) => Some(u64::from(*number)),
            Value::I32(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::Array(all)) => all
                .iter()
                .filter_map(|one| match one {
                    Value::Str(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The words of an error, which is a name and words; both are empty where there is none.
    fn error(&self, name: &str) -> Option<String> {
        let Some(Value::Structure(error)) = self.0.get(name) else { return None };
        match error.fields() {
            [_, Value::Str(words)] if !words.is_empty() => Some(words.to_string()),
            _ => None,
        }
    }

    /// Microseconds since 1970.
    fn time(&self, name: &str) -> Option<Timestamp> {
        let at = self.number(name).filter(|at| *at > 0 && *at != UNSET)?;
        Timestamp::from_microsecond(i64::try_from(at).ok()?).ok()
    }

    /// Microseconds since the boot; 0 is never.
    fn moment(&self, name: &str) -> u64 {
        self.number(name).filter(|at| *at != UNSET).unwrap_or(0)
    }
}

/// What systemd calls so.
pub(super) fn load_state(word: &str) -> LoadState {
    match word {
        "loaded" | "merged" => LoadState::Loaded,
        "not-found" => LoadState::NotFound,
        "bad-setting" => LoadState::BadSetting,
        "error" => LoadState::Error,
        "masked" => LoadState::Masked,
        _ => LoadState::Other,
    }
}

/// The unit that an answer to `GetAll` tells of.
pub(super) fn unit(answer: &Message) -> zbus::Result<Unit> {
    let body = answer.body();
    let told = Told(body.deserialize()?);
    let (up, down) =
        (told.moment("ActiveEnterTimestampMonotonic"), told.moment("InactiveEnterTimestampMonotonic"));
    let left = told.moment("ActiveExitTimestampMonotonic").max(down);
    let began = if up > 0 { up } else { told.moment("InactiveExitTimestampMonotonic") };
    let is_service = told.0.contains_key("ExecMainPID");
    Ok(Unit {
        id: told.text("Id").to_owned(),
        load_state: load_state(told.text("LoadState")),
        load_error: told.error("LoadError"),
        active: Active::of(told.text("ActiveState")),
        sub: told.text("SubState").to_owned(),
        file_state: told.text("UnitFileState").to_owned(),
        fragment: told.some_text("FragmentPath"),
        drop_ins: told.texts("DropInPaths"),
        needs_reload: told.is("NeedDaemonReload"),
        is_held_off: told.moment("ConditionTimestampMonotonic") > 0 && !told.is("ConditionResult"),
        since: told.time("StateChangeTimestamp"),
        ran_for: (began > 0 && left > began).then(|| Duration::from_micros(left - began)),
        has_run: told.moment("InactiveExitTimestampMonotonic") > 0,
        can_reload: told.is("CanReload"),
        result: told.text("Result").to_owned(),
        service: is_service.then(|| service(&told)),
        memory: told.number("MemoryCurrent").filter(|bytes| *bytes != UNSET),
        last_end: None,
        printed: String::new(),
    })
}

fn service(told: &Told<'_>) -> Service {
    // Without a run there is no end: the code is that of `waitid`, and 0 for none.
    let has_ended = told.number("ExecMainCode").is_some_and(|code| code > 0);
    Service {
        of: told.text("Type").to_owned(),
        remains: told.is("RemainAfterExit"),
        main_pid: told.number("MainPID").filter(|pid| *pid > 0).and_then(|pid| u32::try_from(pid).ok()),
        restarts: told.number("NRestarts").and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        exit_status: told
            .number("ExecMainStatus")
            .filter(|_| has_ended)
            .and_then(|status| i32::try_from(status).ok()),
    }
}
