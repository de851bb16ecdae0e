//! Who waits for the end of which job. A job may end before anybody knows its name: ends that nobody waits for are kept for a while.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

/// So many ends that nobody has asked for are kept.
const KEPT: usize = 256;

/// The jobs that are waited for, and those that have ended.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    waiting: BTreeMap<String, oneshot::Sender<String>>,
    ended: VecDeque<(String, String)>,
}

impl Jobs {
    /// The word for how a job ends, once it has. Nothing comes if the connection breaks before.
    pub(super) fn end_of(&mut self, job: &str) -> oneshot::Receiver<String> {
        let (told, end) = oneshot::channel();
        match self.ended.iter().position(|(known, _)| known == job) {
            Some(index) => {
                let (_, result) = self.ended.remove(index).expect("it was just found");
                // Who has asked is there.
                let _ = told.send(result);
            }
            None => drop(self.waiting.insert(job.to_owned(), told)),
        }
        end
    }

    /// A job has ended.
    pub(super) fn has_ended(&mut self, job: String, result: String) {
        // Who does not wait any more does not want to know.
        if let Some(waiting) = self.waiting.remove(&job) {
            let _ = waiting.send(result);
            return;
        }
        if self.ended.len() == KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back((job, result));
    }

    /// The connection broke: whatever ends is not heard any more.
    pub(super) fn give_up(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_heard_whether_it_is_asked_for_before_or_after() {
        let mut jobs = Jobs::default();
        let mut before = jobs.end_of("1");
        assert!(before.try_recv().is_err());
        jobs.has_ended("1".into(), "done".into());
        assert_eq!(before.try_recv().as_deref(), Ok("done"));
        jobs.has_ended("2".into(), "failed".into());
        assert_eq!(jobs.end_of("2").try_recv().as_deref(), Ok("failed"));
        assert!(jobs.end_of("2").try_recv().is_err(), "it is told once");
    }

    #[test]
    fn what_nobody_asks_for_is_not_kept_for_ever() {
        let mut jobs = Jobs::default();
        for job in 0..=KEPT {
            jobs.has_ended(job.to_string(), "done".into());
        }
        assert!(jobs.ended.len() == KEPT && jobs.end_of("0").try_recv().is_err());
        let mut waiting = jobs.end_of("later");
        jobs.give_up();
        assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
