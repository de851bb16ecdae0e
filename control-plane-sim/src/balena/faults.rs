//! What goes wrong on purpose. Pure.

use serde::{Deserialize, Serialize};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The target state.
    State,
    /// A report.
    Report,
    /// The registration, and what belongs to it.
    Register,
    /// All of these.
    Any,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// With which requests.
    pub on: About,
    /// So often; without a number, until it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// So long before anything is done, in milliseconds.
    #[serde(default)]
    pub delay: u64,
    /// What becomes of it.
    #[serde(default)]
    pub what: What,
}

/// What becomes of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// It is answered.
    #[default]
    Nothing,
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// It is answered with this status and asked to wait so many seconds, and nothing is done.
    Wait(u16, u64),
    /// The connection ends, and nothing is done.
    CutBefore,
    /// It is done, and the connection ends instead of an answer.
    CutAfter,
    /// It is done, and the answer ends in the middle.
    Truncate,
    /// It is done, and answered with what is no JSON.
    Garbage,
    /// The server's clock is off by so many seconds.
    Clock(i64),
}

/// All that goes wrong now.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// From now on it is this.
    pub fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    /// What goes wrong with a request, which counts.
    pub fn strike(&mut self, about: About) -> Option<Fault> {
        let fits = |fault: &Fault| (fault.on == about || fault.on == About::Any) && fault.times != Some(0);
        let fault = self.0.iter_mut().find(|fault| fits(fault))?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_what_it_is_about_and_so_often() {
        let fault = |on, times| Fault { on, times, delay: 0, what: What::CutBefore };
        let mut faults = Faults::default();
        faults.set(vec![fault(About::State, Some(2))]);
        assert_eq!(faults.strike(About::Report), None);
        assert!(faults.strike(About::State).is_some() && faults.strike(About::State).is_some());
        assert_eq!(faults.strike(About::State), None);
        faults.set(vec![fault(About::Any, None)]);
        assert!((0..9).all(|_| faults.strike(About::Register).is_some()));
    }
}
