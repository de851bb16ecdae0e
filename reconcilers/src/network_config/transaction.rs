//! A change of interfaces: everything that changes together, tried, and confirmed or taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use manifest_types::{digest::Digest, name::ResourceId};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    NetworkConfigReconciler,
    backend::{Backend, Wanted, all_moves},
    checks::{self, Probe},
    error::NetworkError,
    kernel::Kernel,
    lock,
    memory::{Checkpoint, Open, Record},
    moves::Snapshot,
    terms::Links,
};
use crate::reconciler::StepContext;

mod back;
mod notes;

use back::Rest;

/// Between two looks at whether it has come about.
const AGAIN: Duration = Duration::from_millis(100);
/// What nobody has to confirm is waited for so long.
const SETTLES: Duration = Duration::from_secs(20);
/// A check that fails before a change is asked again for so long, and so often, before it does not count.
const FAILS_FOR: Duration = Duration::from_secs(10);
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// A backend that acts by itself is given so long before the kernel is asked for what is missing.
const ACTS: Duration = Duration::from_secs(3);

/// One change that is to be made.
pub(super) struct Planned<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) work: Work<'a>,
    /// Whether it must be confirmed.
    pub(super) on_trial: bool,
    pub(super) probes: Vec<Probe>,
    /// The same checks, of how it is before the change.
    pub(super) probes_before: Vec<Probe>,
    pub(super) within: Duration,
    /// The interfaces that it changes.
    pub(super) interfaces: BTreeSet<String>,
    /// What is changed of it, for people.
    pub(super) tried: String,
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "there are a few of them, for as long as a step lasts")]
pub(super) enum Work<'a> {
    /// `released`: what was held before and is not wanted any more.
    Put {
        wanted: Wanted<'a>,
        digest: Digest,
        released: Checkpoint,
    },
    Take {
        held: Checkpoint,
    },
}

impl Planned<'_> {
    /// Whether something is given back.
    pub(super) fn is_removal(&self) -> bool {
        matches!(self.work, Work::Take { .. })
    }

    /// Whether one of the checks that it asks for counts, or it asks for none.
    fn is_proven_by(&self, probes: &[Probe]) -> bool {
        self.probes.is_empty() || self.probes.iter().any(|probe| probes.contains(probe))
    }

    fn digest(&self) -> Option<Digest> {
        match &self.work {
            Work::Put { digest, .. } => Some(*digest),
            Work::Take { .. } => None,
        }
    }
}

/// Why a trial failed.
enum Failed {
    Cancelled,
    Why(String),
    Error(NetworkError),
}

impl<K: Kernel, B: Backend> NetworkConfigReconciler<K, B> {
    /// Makes the changes, all of them or none.
    pub(super) async fn transaction(
        &self,
        cx: &StepContext,
        plan: &[Planned<'_>],
    ) -> Result<(), NetworkError> {
        let on_trial = plan.iter().any(|planned| planned.on_trial);
        let probes = tokio::select! {
            probes = self.must_pass(plan) => probes,
            () = cx.cancelled() => return Err(NetworkError::Cancelled),
        };
        let interfaces = plan.iter().flat_map(|planned| planned.interfaces.iter().cloned()).collect();
        let before = self.checkpoint(&self.kernel.links().await?, &interfaces).await?;
        cx.check()?;
        let known = self.memory.record().await?;
        let open = on_trial.then(|| self.opened(plan, &before, &known));
        self.memory.change(|record| notes::begin(record, plan, &before, open)).await?;
        let began = Instant::now();
        let within = plan.iter().map(|planned| planned.within).min().unwrap_or(SETTLES);
        let within = if on_trial { within } else { SETTLES };
        let trial = on_trial.then_some(&before);
        let failed = match self.try_out(cx, plan, trial, &probes, began + within).await {
            Ok(()) => {
                self.memory.change(|record| notes::keep(record, plan, &probes)).await?;
                self.reach.network_changed();
                return if on_trial { self.settle().await } else { Ok(()) };
            }
            Err(failed) => failed,
        };
        if !on_trial {
            return Err(match failed {
                Failed::Cancelled => NetworkError::Cancelled,
                Failed::Why(what) => NetworkError::TooSlow { what, within },
                Failed::Error(error) => error,
            });
        }
        let (is_cancelled, why) = match failed {
            Failed::Cancelled => (true, "it was told to stop".to_owned()),
            Failed::Why(why) => (false, why),
            Failed::Error(error) => (false, error.to_string()),
        };
        let tried = tried_of(plan);
        if let Err(missing) = self.undo(Rest::SameBoot).await {
            // The checkpoint stays: the next look goes on with it.
            self.memory.change(|record| notes::decided(record, &tried, &why)).await?;
            return Err(NetworkError::NotBack(missing));
        }
        // What was held before is held again as it was.
        self.memory.change(|record| *record = notes::without_undone(known, plan)).await?;
        match is_cancelled {
            true => Err(NetworkError::Cancelled),
            false => Err(NetworkError::RolledBack { tried, why, away: began.elapsed() }),
        }
    }

    fn opened(&self, plan: &[Planned<'_>], before: &Checkpoint, known: &Record) -> Open {
        let held = |planned: &Planned<'_>| Some((planned.id.clone(), known.held.get(planned.id)?.clone()));
        Open {
            before: before.clone(),
            held: plan.iter().filter_map(held).collect(),
            boot: self.boot.clone(),
            changes: plan.iter().map(|planned| (planned.id.clone(), planned.digest())).collect(),
            // Where the kernel's word is all that is asked for, there is nothing that a kill leaves unconfirmed.
            must_confirm: plan.iter().any(|planned| planned.on_trial && !planned.probes.is_empty()),
            tried: tried_of(plan),
            trial: None,
            why: None,
        }
    }

    /// How interfaces are now.
    async fn checkpoint(
        &self,
        links: &Links,
        interfaces: &BTreeSet<String>,
    ) -> Result<Checkpoint, NetworkError> {
        let kernel: Snapshot =
            interfaces.iter().map(|name| (name.clone(), links.get(name).cloned())).collect();
        let names: Vec<String> = interfaces.iter().cloned().collect();
        Ok(Checkpoint { kernel, saved: self.backend.save(&names).await?, own: None })
    }

    /// The checks that count: those that did not fail before the change, however long they were given.
    async fn must_pass(&self, plan: &[Planned<'_>]) -> Vec<Probe> {
        let on_trial = plan.iter().filter(|planned| planned.on_trial);
        let pairs = on_trial.flat_map(|planned| planned.probes_before.iter().zip(&planned.probes));
        let pairs: BTreeMap<&Probe, &Probe> = pairs.map(|(before, after)| (after, before)).collect();
        let asked: BTreeSet<Probe> = pairs.values().map(|before| (*before).clone()).collect();
        let asked: Vec<Probe> = asked.into_iter().collect();
        let end = Instant::now() + FAILS_FOR;
        let mut failing = checks::failing(&self.kernel, &self.reach, &asked).await;
        while !failing.is_empty() && Instant::now() < end {
            sleep(ASKED_AGAIN).await;
            failing = checks::failing(&self.kernel, &self.reach, &asked).await;
        }
        if !failing.is_empty() {
            tracing::warn!(failing = checks::told(&failing), "checks that fail before a change do not count");
        }
        let counts =
            pairs.into_iter().filter(|(_, before)| !failing.iter().any(|(probe, _)| probe == *before));
        counts.map(|(after, _)| after.clone()).collect()
    }

    async fn try_out(
        &self,
        cx: &StepContext,
        plan: &[Planned<'_>],
        trial: Option<&Checkpoint>,
        probes: &[Probe],
        end: Instant,
    ) -> Result<(), Failed> {
        // What it is waited for, at any moment.
        let lacks = Mutex::new("it has not come about".to_owned());
        let tried = async {
            if let Some(before) = trial {
                let within = end.duration_since(Instant::now());
                self.begin(before, within).await.map_err(Failed::Error)?;
            }
            self.make(plan, trial.is_some()).await.map_err(Failed::Error)?;
            self.come_about(plan, end, &lacks).await?;
            loop {
                note(&lacks, checks::unanswered(probes));
                let failing = checks::failing(&self.kernel, &self.reach, probes).await;
                if failing.is_empty() {
                    return Ok(());
                }
                note(&lacks, checks::told(&failing));
                sleep(AGAIN).await;
            }
        };
        tokio::select! {
            tried = tried => tried,
            () = cx.cancelled() => Err(Failed::Cancelled),
            // What hangs is not waited for, either.
            () = sleep_until(end) => Err(Failed::Why(lock(&lacks).clone())),
        }
    }

    /// Tells the backend what is about to be changed.
    async fn begin(&self, before: &Checkpoint, within: Duration) -> Result<(), NetworkError> {
        if let Some(trial) = self.backend.begin(&before.saved, within).await? {
            self.memory
                .change(|record| record.open.iter_mut().for_each(|open| open.trial = Some(trial.clone())))
                .await?;
        }
        Ok(())
    }

    /// Returns once the kernel and the backend have all that is wanted.
    async fn come_about(
        &self,
        plan: &[Planned<'_>],
        end: Instant,
        lacks: &Mutex<String>,
    ) -> Result<(), Failed> {
        let patience = || if self.backend.acts() { ACTS } else { Duration::ZERO };
        let mut asks_kernel = Instant::now() + patience();
        while Instant::now() < end {
            let lacking = self.lacking(plan).await.map_err(Failed::Error)?;
            if lacking.is_empty() {
                return Ok(());
            }
            note(lacks, format!("{} is not as wanted", lacking.join(", ")));
            if Instant::now() >= asks_kernel {
                self.ask_kernel(plan).await.map_err(Failed::Error)?;
                asks_kernel = Instant::now() + ACTS;
            }
            sleep(AGAIN).await;
        }
        Err(Failed::Why(lock(lacks).clone()))
    }

    /// Tells the backend, and the kernel where nobody else does.
    async fn make(&self, plan: &[Planned<'_>], on_trial: bool) -> Result<(), NetworkError> {
        let back = notes::given_up(plan);
        if !back.is_empty() {
            self.put_back(&back, Rest::SameBoot).await.map_err(NetworkError::NotBack)?;
        }
        let wanted: Vec<Wanted<'_>> = wanted(plan).cloned().collect();
        self.backend.apply(&wanted, on_trial).await?;
        if self.backend.acts() { Ok(()) } else { self.ask_kernel(plan).await }
    }

    async fn ask_kernel(&self, plan: &[Planned<'_>]) -> Result<(), NetworkError> {
        let wanted: Vec<Wanted<'_>> = wanted(plan).cloned().collect();
        let links = self.kernel.links().await?;
        for one in all_moves(&links, &wanted) {
            tracing::debug!(?one, "network");
            self.kernel.make(&one).await?;
        }
        Ok(())
    }

    /// The fields that are not as wanted yet.
    async fn lacking(&self, plan: &[Planned<'_>]) -> Result<Vec<String>, NetworkError> {
        let links = self.kernel.links().await?;
        let mut lacking = Vec::new();
        for wanted in wanted(plan) {
            let differences = wanted.setup.differences(&links);
            lacking
                .extend(differences.iter().map(|found| format!("{} of {}", found.path, wanted.setup.name)));
            let link = links.get(&wanted.setup.name);
            if link.is_some_and(|link| wanted.setup.awaits_lease(link)) {
                lacking.push(format!("an address from the network for {}", wanted.setup.name));
            }
            let configured = self.backend.differences(wanted).await?;
            lacking.extend(configured.iter().map(|found| format!("{} of {}", found.path, wanted.setup.name)));
        }
        Ok(lacking)
    }
}

fn tried_of(plan: &[Planned<'_>]) -> String {
    plan.iter().map(|planned| planned.tried.as_str()).collect::<Vec<_>>().join(", ")
}

fn note(lacks: &Mutex<String>, what: String) {
    *lock(lacks) = what;
}

fn wanted<'p, 'a>(plan: &'p [Planned<'a>]) -> impl Iterator<Item = &'p Wanted<'a>> {
    plan.iter().filter_map(|planned| match &planned.work {
        Work::Put { wanted, .. } => Some(wanted),
        Work::Take { .. } => None,
    })
}
