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

/// Whether what is known is brought once more after an answer: whether locks count is not for the API to say, and what is unchanged may have been followed by what could not
/// be used.
pub(super) fn is_brought_again(answer: &State, changes_locks: bool, is_brought: bool) -> bool {
    match answer {
        State::New { .. } => false,
        State::Unchanged => changes_locks || !is_brought,
        State::Refused(_) | State::Unknown(_) => changes_locks,
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
        for (answer, changes_locks, is_brought, again) in [
            (&new, true, false, false),
            (&State::Unchanged, false, true, false),
            (&State::Unchanged, false, false, true),
            (&State::Unchanged, true, true, true),
            (&lost, true, true, true),
            (&lost, false, false, false),
        ] {
            assert_eq!(is_brought_again(answer, changes_locks, is_brought), again, "{answer:?}");
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
