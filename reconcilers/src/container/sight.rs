//! What was seen of a container, and how it is compared with its spec. Pure.

use std::path::PathBuf;

use manifest_types::kinds::{
    ResourceDetails,
    container::{ContainerDetails, ContainerHealth, ContainerSpec, Desired},
};
use serde_json::{Value, json};

use super::{fare, probes::Said};
use crate::{
    engine::{
        marks,
        shape::Shape,
        terms::{Activity, Checked, Container},
    },
    observation::{Difference, Health, Observed},
};

/// What was seen of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The name that it is to have.
    pub name: String,
    /// The container of that name.
    pub found: Option<Container>,
    /// Whether it bears our mark, or is taken over.
    pub is_ours: bool,
    /// What of ours there is beside it: under a former name, or left by a replacement that did not come to its end.
    pub beside: Vec<String>,
    /// What the wanted image stands for in the engine now, if it is there.
    pub image_id: Option<String>,
    /// The digest by which registries know its image, if they do.
    pub image_digest: Option<String>,
    /// The lock that somebody has on it.
    pub locked_by: Option<PathBuf>,
    /// What its probes have said.
    pub said: Said,
    /// How it fares.
    pub health: Health,
}

impl Sight {
    /// Nothing is there.
    pub(super) fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            found: None,
            is_ours: false,
            beside: Vec::new(),
            image_id: None,
            image_digest: None,
            locked_by: None,
            said: Said::default(),
            health: Health::Starting("it is not there"),
        }
    }
}

impl std::hash::Hash for Sight {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.is_ours, &self.beside, &self.image_id, &self.locked_by, self.said, &self.health)
            .hash(state);
        if let Some(found) = &self.found {
            (&found.id, &found.image_id, &found.state, &found.shape).hash(state);
        }
    }
}

/// Where a container is not as a spec wants it, but for whether it runs. `image_id` is what the wanted image stands for.
pub(super) fn differences(
    found: &Container,
    wanted: &ContainerSpec,
    image_id: Option<&str>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let canonical = wanted.image.canonical();
    let is_other_image = match image_id {
        Some(image_id) => image_id != found.image_id,
        None => canonical != found.image,
    };
    if is_other_image {
        let told = |name: &str, id: &str| -> Value { format!("{name} ({id})").into() };
        differences.push(Difference {
            path: "image".into(),
            want: told(wanted.image.as_str(), image_id.unwrap_or("not here")),
            got: told(&found.image, &found.image_id),
            in_place: false,
        });
    }
    differences.extend(Shape::wanted(wanted).differences(&found.shape, &marks::birth(&found.labels)));
    if wanted.desired == Desired::Stopped {
        // It has another one for as long as it is held stopped, where the engine can change that in place.
        differences
            .retain(|difference| !["restartPolicy", "maxRestarts"].contains(&difference.path.as_str()));
    }
    differences
}

/// Where what a container does is not what is wanted.
pub(super) fn activity(found: &Container, wanted: &ContainerSpec) -> Option<Difference> {
    let told = |in_place: bool, want: Value| Difference {
        path: "running".into(),
        want,
        got: found.state.activity.to_string().into(),
        in_place,
    };
    match (wanted.desired, found.state.activity) {
        (Desired::Running, Activity::Paused) => Some(told(true, json!("running"))),
        (Desired::Running, activity) if !activity.is_up() && fare::is_to_run(wanted, &found.state) => {
            Some(told(true, json!("running")))
        }
        (Desired::Stopped, activity) if activity.is_up() => Some(told(false, json!("exited"))),
        _ => None,
    }
}

/// What healthcheck and readiness probe say together.
fn told_health(healthcheck: Option<Checked>, ready: Option<bool>) -> Option<ContainerHealth> {
    match (healthcheck, ready) {
        (None, None) => None,
        (Some(Checked::Unhealthy), _) | (_, Some(false)) => Some(ContainerHealth::Unhealthy),
        (Some(Checked::Starting), _) => Some(ContainerHealth::Starting),
        (Some(Checked::Healthy) | None, _) => Some(ContainerHealth::Healthy),
    }
}

/// The digest in a reference.
fn pinned(reference: &str) -> Option<String> {
    reference.split_once('@').map(|(_, digest)| digest.to_owned())
}

impl Observed<ContainerSpec> for Sight {
    fn is_present(&self) -> bool {
        self.found.is_some()
    }

    fn drift(&self, wanted: &ContainerSpec) -> Vec<Difference> {
        let mut differences: Vec<_> = self
            .beside
            .iter()
            .map(|name| Difference::in_place("beside", Value::Null, name.as_str()))
            .collect();
        match &self.found {
            None => differences.push(Difference::in_place("container", self.name.as_str(), Value::Null)),
            Some(found) if !self.is_ours => {
                let difference = Difference::in_place("container", self.name.as_str(), found.image.as_str());
                differences.push(Difference { in_place: false, ..difference });
            }
            Some(found) => {
                differences.extend(self::differences(found, wanted, self.image_id.as_deref()));
                differences.extend(activity(found, wanted));
                if self.said.is_dead {
                    let dead = Difference::in_place("alive", true, false);
                    differences.push(Difference { in_place: false, ..dead });
                }
            }
        }
        differences
    }

    fn health(&self) -> Health {
        self.health.clone()
    }

    fn details(&self) -> Option<ResourceDetails> {
        let found = self.found.as_ref()?;
        let state = &found.state;
        let has_ended = state.finished_at.is_some();
        Some(ResourceDetails::Container(ContainerDetails {
            name: found.name.clone(),
            container_id: found.id.clone(),
            state: state.activity.to_string(),
            image: found.image.clone(),
            image_id: found.image_id.clone(),
            image_digest: pinned(&found.image).or_else(|| self.image_digest.clone()),
            started_at: state.started_at,
            finished_at: state.finished_at,
            restarts: state.restarts,
            exit_code: has_ended.then_some(state.exit_code),
            oom_killed: state.oom_killed,
            health: told_health(state.healthcheck, self.said.ready),
        }))
    }

    fn is_running(&self) -> bool {
        self.is_ours && self.found.as_ref().is_some_and(|found| found.state.activity.is_up())
    }

    fn holder(&self) -> Option<String> {
        Some(format!("{} is there", self.locked_by.as_ref()?.display()))
    }

    fn is_marked_ours(&self) -> bool {
        self.is_ours
    }
}
