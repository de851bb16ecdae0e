//! Answers what people ask of the running agent.

use std::time::Duration;

use manifest_types::name::ResourceId;
use reconcilers::reconciler::Lines;
use tokio::sync::oneshot::Sender;

use super::{Driver, phases};
use crate::{
    admit::{Terms, admit},
    ask::{Ask, Explanation, Logs, Metrics, Preview, Refused},
    clock::{BootTime, Now},
    engine::{Engine, event::Event, resource::Resource},
    ledger::row::Row,
    preview::preview,
    report, source,
};

impl Driver {
    /// Who asked and went away in the meantime is not told.
    pub(super) fn answer(&mut self, ask: Ask, now: Now) {
        match ask {
            Ask::Status(reply) => {
                let _ = reply.send(report::whole(&self.engine, now));
            }
            Ask::Explain(id, reply) => {
                let _ = reply.send(explain(&self.engine, &id, now));
            }
            Ask::Preview(text, reply) => self.preview(&text, reply),
            Ask::Retry(id, reply) => {
                let _ = reply.send(self.knows(id.as_ref()));
                self.engine.apply(Event::Retry { id }, now);
            }
            Ask::Pause(id, time, reply) => {
                let _ = reply.send(self.knows(id.as_ref()));
                let until = time.map(|time| now.boot + time);
                self.engine.apply(Event::Pause { id, until }, now);
            }
            Ask::Reconcile(reply) => {
                let _ = reply.send(());
                self.engine.apply(Event::Resync, now);
            }
            Ask::ForgetGeneration(reply) => {
                self.engine.apply(Event::ForgetGeneration, now);
                self.judge_again(now);
                let _ = reply.send(());
            }
            Ask::Logs(id, lines, reply) => self.logs(&id, lines, reply),
            Ask::Source(reply) => self.ask_source(source::Order::Tell, None, Some, reply),
            Ask::Poll(force, reply) => {
                let order = move |reply| source::Order::Poll { force, reply };
                self.ask_source(order, false, |()| true, reply);
            }
            Ask::Metrics(reply) => {
                let _ = reply.send(self.metrics(now));
            }
        }
    }

    /// Passes a question on to a source that asks; `none` is the answer where there is no such source.
    fn ask_source<T: Send + 'static, A: Send + 'static>(
        &self,
        order: impl FnOnce(Sender<T>) -> source::Order + Send + 'static,
        none: A,
        some: fn(T) -> A,
        reply: Sender<A>,
    ) {
        let Some(source) = self.source.clone() else { return drop(reply.send(none)) };
        tokio::spawn(async move {
            let (answer, answered) = tokio::sync::oneshot::channel();
            if source.send(order(answer)).await.is_ok()
                && let Ok(answered) = answered.await
            {
                drop(reply.send(some(answered)));
            }
        });
    }

    fn knows(&self, id: Option<&ResourceId>) -> bool {
        id.is_none_or(|id| self.engine.resources().contains_key(id))
    }

    /// What a manifest would change is found out beside the loop: it looks at the device.
    fn preview(&self, text: &[u8], reply: Sender<Result<Preview, Refused>>) {
        let terms = Terms {
            agent_id: &self.config.agent_id,
            source: "preview",
            form: crate::admit::Form::Yaml,
            last: None,
        };
        let admitted = match admit(text, &terms) {
            Ok(admitted) => admitted,
            Err(rejection) => {
                let refused = Refused {
                    reason: rejection.reason.to_string(),
                    message: rejection.message,
                    problems: rejection.problems.iter().map(Into::into).collect(),
                };
                return drop(reply.send(Err(refused)));
            }
        };
        let rows = self.engine.resources().iter();
        let rows = rows.filter_map(|(id, resource)| Some((id.clone(), resource.row.clone()?))).collect();
        let (registry, looks) = (self.registry.clone(), self.previews.clone());
        tokio::spawn(async move {
            drop(reply.send(Ok(preview(&registry, &looks, &rows, &admitted.manifest).await)));
        });
    }

    /// What a resource prints is read beside the loop, for as long as somebody reads it.
    fn logs(&self, id: &ResourceId, lines: Lines, reply: Sender<Logs>) {
        let Some(resource) = self.engine.resources().get(id) else { return drop(reply.send(Logs::Unknown)) };
        let target = resource.target(id);
        let spec = target.wanted.as_ref().or(target.owned.as_ref().map(|owned| &owned.spec));
        let Some(kind) = spec.map(|spec| spec.kind()) else {
            return drop(reply.send(Logs::Silent { kind: resource.kind().to_owned() }));
        };
        let registry = self.registry.clone();
        tokio::spawn(async move {
            let logs = match registry.output(kind, &target, lines).await {
                Ok(Some(printed)) => Logs::Printed(printed),
                Ok(None) => Logs::Silent { kind: kind.to_owned() },
                Err(failure) => Logs::Failed(failure),
            };
            drop(reply.send(logs));
        });
    }

    fn metrics(&self, now: Now) -> Metrics {
        let (manifest_generation, observed_generation) = self.engine.generations();
        let rows = self.engine.resources().values().filter_map(|resource| resource.row.as_ref());
        Metrics {
            resources: phases(&self.engine),
            manifest_generation,
            observed_generation,
            drifts: rows.map(|row| row.drift.count).sum(),
            uptime: now.boot - self.started.boot,
            ..self.metrics.clone()
        }
    }
}

fn explain(engine: &Engine, id: &ResourceId, now: Now) -> Option<Explanation> {
    let resource = engine.resources().get(id)?;
    let ahead = |at: BootTime| Some(now.boot.until(at)).filter(|time| *time > Duration::ZERO);
    let depends_on = resource.wanted.iter().flat_map(|wanted| wanted.edges.depends_on.keys());
    let phase =
        |id: &ResourceId| engine.resources().get(id).map(|resource| (id.clone(), resource.standing.phase));
    let row = resource.row.as_ref();
    Some(Explanation {
        id: id.clone(),
        status: report::resource_status(resource, now),
        depends_on: depends_on.filter_map(phase).collect(),
        holds: row.map(|row| holds(row)).unwrap_or_default(),
        differences: differences(resource),
        attempts: row.map_or(0, |row| row.attempts),
        revision: row.map_or(0, |row| row.revision),
        paused_seconds: resource.paused_until.and_then(ahead).map(|time| time.as_secs()),
        retry_in_seconds: resource.standing.retry_at.and_then(ahead).map(|time| time.as_secs_f64()),
    })
}

fn holds(row: &Row) -> std::collections::BTreeMap<String, String> {
    row.held.iter().map(|(claim, before)| (claim.to_string(), format!("{before:?}"))).collect()
}

fn differences(resource: &Resource) -> Vec<manifest_types::status::DriftField> {
    let seen =
        resource.observation().filter(|_| !resource.sight.as_ref().is_some_and(|sight| sight.foreseen));
    let field = |difference: &reconcilers::observation::Difference| manifest_types::status::DriftField {
        path: difference.path.clone(),
        want: difference.want.clone(),
        got: difference.got.clone(),
    };
    seen.map(|seen| seen.differences.iter().map(field).collect()).unwrap_or_default()
}
