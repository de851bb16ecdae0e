//! What befalls a device from outside: manifests, power cuts, links that come and go, a server that loses its store.

use holdfast::{
    admit::{Form, Terms, admit},
    engine::{Engine, event::Event, outbox::Fact},
};
use manifest_types::{manifest::AgentManifest, name::AgentId};

use super::{Pending, Play, Sink, settings};
use crate::check;

impl Play {
    /// The source brings what the key holds.
    pub(crate) fn source(&mut self) -> Result<(), String> {
        let Some((bytes, revision)) = self.fleet.current.clone().filter(|_| self.link) else {
            return Ok(());
        };
        let agent_id: AgentId = "sim".parse().expect("it is a name");
        let last = self.engine.last_admission("sim");
        let terms = Terms { agent_id: &agent_id, source: "sim", form: Form::Json, last };
        match admit(&bytes, &terms) {
            Ok(admitted) => {
                self.wanted = Some(admitted.manifest.clone());
                self.tell(Event::Admitted { admitted: Box::new(admitted), revision })
            }
            Err(rejection) => self.tell(Event::Refused { rejection: Box::new(rejection), revision }),
        }
    }

    /// Power is cut, and comes back. What was on its way may or may not have come through.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        self.log(|| "crash".into());
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Remember { write, .. } if self.chance.percent(50) => self.memory.commit(&write),
                Pending::Publish { status, over, answer: None } if self.chance.percent(50) => {
                    self.store_status(&status, over);
                }
                Pending::Step { changes, at, phase, .. } if self.chance.percent(50) => {
                    if let Some(change) = changes.get(at) {
                        let loads = check::loads(&self.engine, &change.id);
                        self.world.effect(change, phase, &loads, self.now);
                        self.evidence.effect(&change.id);
                    }
                }
                _ => {}
            }
        }
        self.memory.instances.insert(format!("life-{}", self.lives));
        self.lives += 1;
        let seed = self.chance.next();
        self.engine = Engine::new(settings(self.lives, self.sabotage, seed), self.memory.clone(), self.now());
        self.wanted = self.memory.manifest.as_ref().and_then(|saved| {
            let value = serde_json::from_str(&saved.text).ok()?;
            AgentManifest::read(&value).ok()
        });
        self.evidence.new_life();
        self.gates.clear();
        self.plan()?;
        if self.link { self.tell(Event::Outbox(Fact::LinkUp)) } else { Ok(()) }
    }

    pub(crate) fn set_link(&mut self, up: bool) -> Result<(), String> {
        if self.link == up {
            return Ok(());
        }
        self.link = up;
        self.pending.retain(|pending| up || !matches!(pending, Pending::Publish { .. } | Pending::Read));
        let fact = if up { Fact::LinkUp } else { Fact::LinkDown };
        self.tell(Event::Outbox(fact))?;
        if up { self.source() } else { Ok(()) }
    }

    /// The server lost its store.
    pub(crate) fn wipe_stream(&mut self) {
        self.stream_life += 1;
        self.sink = Sink { revision: 0, held: None };
    }
}
