//! What follows from an answer beside a new manifest: whether locks count, and whether what is known is brought once more. Pure.

use crate::source::balena::api::State;

/// Whether locks are ignored from an answer on, and what of what was asked stays to be done.
pub(super) fn locks(ignored: bool, asked: Option<bool>, answer: &State) -> (bool, Option<bool>) {
    match (asked, answer) {
        (Some(ignore), State::New { .. } | State::Unchanged) => (ignore, None),
        // What is known is held without locks at once, and so is what is asked for still.
        (Some(ignore), State::Refused(_) | State::Unknown(_)) => (ignore, asked),
        (None, State::New { .. }) => (false, None),
        (None, _) => (ignored, None),
    }
}

/// What has changed since the last manifest was made, beside the target state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// Whether locks count is another matter now.
    pub(super) changes_locks: bool,
    /// Whether it was brought, and all that belongs to it could be kept.
    pub(super) is_brought: bool,
    /// This device is another in something that matters.
    pub(super) changes_facts: bool,
}

/// Whether what is known is brought once more after an answer: what is so of this device is not for the API to say, and what is unchanged may have been followed by what
/// could not be used.
pub(super) fn is_brought_again(answer: &State, since: &Since) -> bool {
    match answer {
        State::New { .. } => false,
        State::Unchanged => since.changes_locks || since.changes_facts || !since.is_brought,
        State::Refused(_) | State::Unknown(_) => since.changes_locks,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::source::balena::api::Trouble;

    #[test]
    fn what_is_known_is_brought_again_when_locks_or_the_last_answer_say_so() {
        let new = State::New { document: Value::Null, etag: None };
        let lost = State::Unknown(Trouble { why: "no route".into(), wait: None });
        let nothing = Since { changes_locks: false, is_brought: true, changes_facts: false };
        let locks = Since { changes_locks: true, ..nothing };
        let unusable = Since { is_brought: false, ..nothing };
        let facts = Since { changes_facts: true, ..nothing };
        for (answer, since, again) in [
            (&new, locks, false),
            (&State::Unchanged, nothing, false),
            (&State::Unchanged, unusable, true),
            (&State::Unchanged, locks, true),
            (&State::Unchanged, facts, true),
            (&lost, locks, true),
            (&lost, nothing, false),
            (&lost, facts, false),
        ] {
            assert_eq!(is_brought_again(answer, &since), again, "{answer:?} {since:?}");
        }
    }

    #[test]
    fn who_asks_to_ignore_locks_is_obeyed_until_something_else_is_wanted() {
        let new = State::New { document: Value::Null, etag: None };
        let lost = State::Unknown(Trouble { why: "no route".into(), wait: None });
        let mut ignored = false;
        let mut asked = Some(true);
        let mut seen = Vec::new();
        for answer in [&lost, &lost, &new, &State::Unchanged, &lost, &State::Unchanged, &new] {
            (ignored, asked) = locks(ignored, asked, answer);
            seen.push((ignored, asked));
        }
        let still = (true, Some(true));
        assert_eq!(
            seen,
            [still, still, (true, None), (true, None), (true, None), (true, None), (false, None)]
        );
        assert_eq!(locks(true, Some(false), &State::Unchanged), (false, None), "it is asked to mind them");
    }
}
