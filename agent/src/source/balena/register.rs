//! What to ask next to become registered, from what was answered last. Pure.
//!
//! Uuid and key are kept before the first question, so a lost answer is found by asking again: the API then says that the uuid is taken, and whether it was by
//! this device is told by whether its key is known there. Only an answer that says so plainly makes this device somebody else; a network that does not work never does.

use std::time::Duration;

use super::api::Refusal;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// To be registered.
    Register,
    /// Which device has this uuid, as the device itself.
    WhoAmI,
    /// Which device of the fleet has this uuid, as the fleet.
    WhoIsIt,
    /// To take this device's key for that of the device of this number.
    Exchange(u64),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// It is registered, under this number.
    Registered(u64),
    /// Another device has what must be unique.
    Taken(Unique),
    /// The device of this number has the uuid, or none that may be seen.
    Found(Option<u64>),
    /// The key is taken.
    Exchanged,
    /// It was not asked: there is no key to ask with.
    NoKey,
    /// It was refused.
    Refused(Refusal),
    /// There was no answer, or none that means anything.
    Unknown {
        /// Why.
        why: String,
        /// What the API asked to wait.
        wait: Option<Duration>,
    },
}

/// What two devices cannot both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// The uuid, or what is not said.
    Uuid,
    /// The key.
    Key,
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// This is asked, at once.
    Ask(Question),
    /// It is registered, under this number.
    Done(u64),
    /// Uuid and key belong to a stranger: other ones are made, kept, and registered.
    Renew,
    /// The key belongs to a stranger: another one is made, kept, and registered with the same uuid.
    RenewKey,
    /// All is tried again from the start, later.
    Retry {
        /// Why.
        why: String,
        /// What the API asked to wait.
        wait: Option<Duration>,
        /// Whether somebody has to change something first: then it is not tried often.
        is_fault: bool,
    },
}

/// What is asked first. Without the key of a fleet a device may be registered all the same: the answer that said so was lost.
pub fn first(has_key: bool) -> Question {
    if has_key { Question::Register } else { Question::WhoAmI }
}

/// What follows from an answer. `is_made_here` says whether the uuid is one that nobody else can have meant.
pub fn next(question: Question, answer: Answered, is_made_here: bool) -> Next {
    match (question, answer) {
        (_, Answered::Unknown { why, wait }) => Next::Retry { why, wait, is_fault: false },
        (Question::Register, Answered::Registered(id)) => Next::Done(id),
        (Question::Register, Answered::Taken(Unique::Key)) => Next::RenewKey,
        // Was it an earlier try of ours?
        (Question::Register, Answered::Taken(Unique::Uuid)) => Next::Ask(Question::WhoAmI),
        // The key of the fleet may have been taken away since an earlier try.
        (Question::Register, Answered::Refused(Refusal::Unauthorized)) => Next::Ask(Question::WhoAmI),
        (Question::WhoAmI, Answered::Found(Some(id))) => Next::Done(id),
        // The API does not know the key: it was not.
        (Question::WhoAmI, Answered::Found(None) | Answered::Refused(Refusal::Unauthorized)) => {
            Next::Ask(Question::WhoIsIt)
        }
        (_, Answered::NoKey) => fault(
            "this device is not registered, and there is nothing to register it with: say --balena-provisioning-key, --balena-fleet and --balena-device-type",
        ),
        // Our own, or the record that a person means with this uuid, before its device was made anew.
        (Question::WhoIsIt, Answered::Found(Some(id))) => Next::Ask(Question::Exchange(id)),
        (Question::WhoIsIt, Answered::Found(None)) if is_made_here => Next::Renew,
        (Question::WhoIsIt, Answered::Found(None)) => fault("the uuid belongs to a device of another fleet"),
        (Question::Exchange(id), Answered::Exchanged) => Next::Done(id),
        (question, Answered::Refused(refusal)) => {
            let what = match question {
                Question::Register => "to register",
                Question::WhoAmI => "to say which device has the uuid",
                Question::WhoIsIt => "to say which device of the fleet has the uuid",
                Question::Exchange(_) => "to take the device's key",
            };
            fault(format!("the API refuses {what}: {refusal}"))
        }
        (question, answer) => {
            fault(format!("the API answers {answer:?} to {question:?}, which means nothing"))
        }
    }
}

fn fault(why: impl Into<String>) -> Next {
    Next::Retry { why: why.into(), wait: None, is_fault: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Answered {
        Answered::Unknown { why: "no route".into(), wait: None }
    }

    #[test]
    fn only_a_plain_answer_makes_another_device_of_it() {
        let questions = [Question::Register, Question::WhoAmI, Question::WhoIsIt, Question::Exchange(7)];
        let refusals = [Refusal::Unauthorized, Refusal::Other { status: 400, message: "no".into() }];
        let answers = || {
            let refused = refusals.iter().cloned().map(Answered::Refused);
            let rest = [
                unknown(),
                Answered::Registered(7),
                Answered::Taken(Unique::Uuid),
                Answered::Taken(Unique::Key),
                Answered::Found(None),
                Answered::Found(Some(7)),
                Answered::Exchanged,
                Answered::NoKey,
            ];
            refused.chain(rest).collect::<Vec<_>>()
        };
        let mut renewing = Vec::new();
        for question in questions {
            for answer in answers() {
                for is_made_here in [false, true] {
                    if matches!(next(question, answer.clone(), is_made_here), Next::Renew | Next::RenewKey) {
                        renewing.push((question, answer.clone(), is_made_here));
                    }
                }
            }
        }
        let expected = [
            (Question::Register, Answered::Taken(Unique::Key), false),
            (Question::Register, Answered::Taken(Unique::Key), true),
            (Question::WhoIsIt, Answered::Found(None), true),
        ];
        assert_eq!(renewing, expected);
    }

    #[test]
    fn an_answer_that_was_lost_is_found_again() {
        assert_eq!(
            next(Question::Register, Answered::Taken(Unique::Uuid), true),
            Next::Ask(Question::WhoAmI)
        );
        assert_eq!(next(Question::WhoAmI, Answered::Found(Some(7)), true), Next::Done(7));
        let refused = Answered::Refused(Refusal::Unauthorized);
        assert_eq!(next(Question::Register, refused.clone(), true), Next::Ask(Question::WhoAmI));
        assert_eq!(first(false), Question::WhoAmI);
        // A refusal on the way does not make another device of one that is registered.
        assert_eq!(next(Question::WhoAmI, refused, true), Next::Ask(Question::WhoIsIt));
        let found = Answered::Found(Some(7));
        assert_eq!(next(Question::WhoIsIt, found, true), Next::Ask(Question::Exchange(7)));
        assert!(matches!(next(Question::WhoIsIt, Answered::NoKey, true), Next::Retry { is_fault: true, .. }));
    }

    #[test]
    fn a_device_that_was_made_anew_takes_its_record_again() {
        let refused = Answered::Refused(Refusal::Unauthorized);
        assert_eq!(next(Question::WhoAmI, refused, false), Next::Ask(Question::WhoIsIt));
        assert_eq!(
            next(Question::WhoIsIt, Answered::Found(Some(7)), false),
            Next::Ask(Question::Exchange(7))
        );
        assert_eq!(next(Question::Exchange(7), Answered::Exchanged, false), Next::Done(7));
        assert!(matches!(
            next(Question::WhoIsIt, Answered::Found(None), false),
            Next::Retry { is_fault: true, .. }
        ));
    }

    #[test]
    fn what_is_not_known_is_asked_again() {
        for question in [Question::Register, Question::WhoAmI, Question::WhoIsIt, Question::Exchange(7)] {
            assert!(matches!(next(question, unknown(), true), Next::Retry { is_fault: false, .. }));
        }
    }
}
