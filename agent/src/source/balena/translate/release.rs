//! One release of an app, whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use manifest_types::{
    kinds::{
        container_network::ContainerNetworkSpec,
        engine::{TakeOver, Texts},
        volume::{OnDelete, VolumeSpec},
    },
    manifest::Until,
    name::ResourceId,
    problem::{JsonPath, Problem},
};
use serde_json::{Value, json};

use super::{
    Line,
    contract::unmet,
    environment::About,
    kept::KeptApp,
    names::{Names, is_name},
    service::{DEFAULT, Told},
};
use crate::source::balena::{
    compose::{
        depends::Dependency,
        network::{Network, network},
        volume::{Volume, volume},
    },
    document::{Fields, Node, Notes, Read, all, all_named},
    facts::Facts,
    target::{App, number},
};

/// A release in the manifest's terms.
#[derive(Debug, Default)]
pub(super) struct Release {
    /// Its commit, if the app has one.
    pub(super) commit: Option<String>,
    /// Its resources.
    pub(super) parts: Vec<Part>,
    /// The services that the device does without, and why.
    pub(super) left_out: BTreeMap<String, String>,
    services: BTreeMap<String, Line>,
}

/// A resource, and what it was made of.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: &'static str,
    pub(super) resource: Value,
    /// What it was made of.
    pub(super) origin: JsonPath,
    /// The name of a volume in its release.
    volume: Option<String>,
}

impl Release {
    /// Reads the release of an app; an app without one has nothing to run.
    /// Places in it are told from the release on.
    pub(super) fn read(app: &App<'_>, names: &Names<'_>, about: (&str, &Facts), notes: &Notes) -> Read<Self> {
        let (device, facts) = about;
        let Some(releases) = &app.releases else { return Ok(Self::default()) };
        let mut found = releases.members()?.into_iter();
        let Some((commit, node)) = found.next() else { return Ok(Self::default()) };
        if found.next().is_some() {
            return Node::root(releases.value(), notes).wrong("the app has more than one release");
        }
        let node = Node::root(node.value(), notes);
        let mut fields = Fields::of(&node)?;
        fields.need("id", number);
        let services = fields.take("services", |node| named(node, Told::read)).unwrap_or_default();
        let volumes = fields.take("volumes", |node| named(node, volume)).unwrap_or_default();
        let networks = fields.take("networks", |node| named(node, network)).unwrap_or_default();
        let (services, left_out) = fields.end(Some(services)).and_then(|services| choose(services, facts))?;
        let told = Content { names, services, left_out: &left_out, volumes, networks, node };
        told.undefined()?;
        let mut parts = told.images(facts);
        parts.extend(told.volumes());
        parts.extend(told.networks());
        parts.extend(told.containers(app, device, facts)?);
        let line = |(name, told): (&String, &Told<'_>)| {
            let line = Line {
                resource: names.service_id(name),
                image_resource: told.is_pulled_first().then(|| names.image_id(name)),
                image: told.image.clone(),
                service_id: told.id,
            };
            (name.clone(), line)
        };
        let services = told.services.iter().map(line).collect();
        Ok(Self { commit: Some(commit.to_owned()), parts, left_out, services })
    }

    /// The volumes of former releases that it does not have, and that stay.
    pub(super) fn volumes_of<'a>(&self, former: &'a KeptApp) -> impl Iterator<Item = &'a Value> {
        let is_left = |name: &String| self.parts.iter().all(|part| part.volume.as_ref() != Some(name));
        former.volumes.iter().filter(move |(name, _)| is_left(name)).map(|(_, volume)| volume)
    }

    /// What is to be known of it next time, with the volumes of former releases.
    pub(super) fn kept(self, former: &KeptApp) -> KeptApp {
        let mut kept = KeptApp {
            commit: self.commit,
            services: self.services,
            resources: Vec::new(),
            volumes: former.volumes.clone(),
        };
        for part in self.parts {
            match part.volume {
                Some(name) => drop(kept.volumes.insert(name, part.resource)),
                None => kept.resources.push(part.resource),
            }
        }
        kept
    }
}

/// The members of an object by names that an engine takes.
fn named<'a, T>(node: &Node<'a>, read: impl Fn(&Node<'a>) -> Read<T>) -> Read<BTreeMap<String, T>> {
    all_named(node.members()?.into_iter().map(|(name, node)| {
        let read = if is_name(name) {
            read(&node)
        } else {
            node.wrong("has a name that is not a letter or digit, then letters, digits, `_`, `.` and `-`, 200 at most")
        };
        (name.to_owned(), read)
    }))
}

/// The services that this device has, and those that it does without; what requires more than it has, and is not optional, is wrong with all of them.
fn choose<'a>(
    services: BTreeMap<String, Told<'a>>,
    facts: &Facts,
) -> Read<(BTreeMap<String, Told<'a>>, BTreeMap<String, String>)> {
    let judged = all_named(services.into_iter().map(|(name, told)| {
        let unmet = told.contract.as_ref().map_or(Ok(Vec::new()), |contract| unmet(contract, facts));
        (name, unmet.map(|unmet| (told, unmet)))
    }))?;
    let (mut chosen, mut left_out, mut problems) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (name, (told, unmet)) in judged {
        let requires = format!("requires {}", unmet.join(", "));
        match (told.is_service(), unmet.is_empty()) {
            (false, _) => drop(left_out.insert(name, "is a part of the operating system".to_owned())),
            (true, true) => drop(chosen.insert(name, told)),
            (true, false) if told.is_optional() => drop(left_out.insert(name, requires)),
            (true, false) => problems.push(Problem::new(told.node.path().key("contract"), requires)),
        }
    }
    if problems.is_empty() { Ok((chosen, left_out)) } else { Err(problems) }
}

/// What a release has, chosen and read.
struct Content<'a> {
    names: &'a Names<'a>,
    services: BTreeMap<String, Told<'a>>,
    left_out: &'a BTreeMap<String, String>,
    volumes: BTreeMap<String, Volume>,
    networks: BTreeMap<String, Network>,
    node: Node<'a>,
}

impl Content<'_> {
    /// What services mean that the release does not have.
    fn undefined(&self) -> Read<()> {
        let wrong = |told: &Told<'_>, what: String| Problem::new(told.node.path().key("composition"), what);
        let mut problems = Vec::new();
        for told in self.services.values() {
            for (name, why) in told.shares_with().filter_map(|name| self.left_out.get_key_value(name)) {
                let what =
                    format!("shares with the service {name:?}, which this device does without: it {why}");
                problems.push(wrong(told, what));
            }
            for name in told.networks() {
                match self.networks.get(&name) {
                    None if name != DEFAULT => {
                        problems.push(wrong(
                            told,
                            format!("is in the network {name:?}, which the release does not have"),
                        ));
                    }
                    Some(network) if network.is_config_only => {
                        problems.push(wrong(
                            told,
                            format!("is in the network {name:?}, which nothing can be in: it is config_only"),
                        ));
                    }
                    None | Some(_) => {}
                }
            }
            for name in told.volumes().filter(|name| !self.volumes.contains_key(*name)) {
                problems
                    .push(wrong(told, format!("uses the volume {name:?}, which the release does not have")));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The services whose images are there before anything of the app is stopped, or cut off, for the release.
    fn pulled_first(&self) -> impl Iterator<Item = (&String, &Told<'_>)> {
        self.services.iter().filter(|(_, told)| told.is_pulled_first())
    }

    fn image_ids(&self) -> impl Iterator<Item = ResourceId> {
        self.pulled_first().map(|(name, _)| self.names.image_id(name))
    }

    fn images(&self, facts: &Facts) -> Vec<Part> {
        let part = |(name, told): (&String, &Told<'_>)| {
            let (id, spec) = (self.names.image_id(name), told.image(facts));
            let resource = json!({ "id": id, "kind": "Image", "spec": spec });
            Part { kind: "Image", resource, origin: told.node.path().clone(), volume: None }
        };
        self.pulled_first().map(part).collect()
    }

    fn volumes(&self) -> Vec<Part> {
        let part = |(name, told): (&String, &Volume)| {
            let own = [("supervised", "true"), ("app-uuid", self.names.app_uuid())];
            let spec = VolumeSpec {
                name: self.names.volume(name).parse().ok(),
                driver: told.driver.clone(),
                options: told.options.clone(),
                labels: with_marks(&told.labels, &own),
                // What the Supervisor has made is this app's, also what it has made without labels.
                take_over: Some(TakeOver::default()),
                on_delete: OnDelete::Remove,
            };
            let resource = json!({ "id": self.names.volume_id(name), "kind": "Volume", "spec": spec });
            let origin = self.node.path().key("volumes").key(name);
            Part { kind: "Volume", resource, origin, volume: Some(name.clone()) }
        };
        self.volumes.iter().map(part).collect()
    }

    /// The networks: those of the release, and the usual one where somebody is in it.
    fn networks(&self) -> Vec<Part> {
        let usual = Network::default();
        let is_needed = self.services.values().any(|told| told.networks().iter().any(|name| name == DEFAULT));
        let mut all: BTreeMap<&str, &Network> =
            self.networks.iter().map(|(name, told)| (name.as_str(), told)).collect();
        if is_needed {
            all.entry(DEFAULT).or_insert(&usual);
        }
        let used = all.into_iter().filter(|(_, told)| !told.is_config_only);
        used.map(|(name, told)| self.network(name, told)).collect()
    }

    fn network(&self, name: &str, told: &Network) -> Part {
        let app_id = self.names.app_id().to_string();
        let mut own = vec![("supervised", "true"), ("app-id", app_id.as_str())];
        if told.ipam.is_some() {
            own.push(("private.ipam.config", "true"));
        }
        let spec = ContainerNetworkSpec {
            name: self.names.network(name).parse().ok(),
            driver: told.driver.clone(),
            options: told.options.clone(),
            internal: told.is_internal,
            ipv6: told.has_ipv6,
            ipam: told.ipam.clone(),
            labels: with_marks(&told.labels, &own),
            take_over: Some(TakeOver::default()),
        };
        // Making it anew cuts off the app's containers: their locks forbid it, and it is done once the images are there.
        let resource = json!({
            "id": self.names.network_id(name), "kind": "ContainerNetwork", "group": self.names.group(),
            "dependsOn": self.image_ids().collect::<Vec<_>>(), "spec": spec
        });
        let origin = self.node.path().key("networks").key(name);
        Part { kind: "ContainerNetwork", resource, origin, volume: None }
    }

    fn containers(&self, app: &App<'_>, device: &str, facts: &Facts) -> Read<Vec<Part>> {
        let files = self.services.keys().flat_map(|name| self.names.lock_files(name));
        let locks: Vec<_> =
            files.filter_map(|file| file.parse().ok()).filter(|_| !facts.ignores_locks).collect();
        all(self.services.iter().map(|(name, told)| {
            let about = About {
                facts,
                app_id: app.id,
                app_uuid: self.names.app_uuid(),
                app: &app.name,
                service: name,
                device,
                locks: &locks,
            };
            let spec = told.spec(self.names, &about)?;
            let edges = self.edges(told)?;
            let mut resource = json!({
                "id": self.names.service_id(name), "kind": "Container", "group": self.names.group(),
                "dependsOn": edges.until.keys().collect::<Vec<_>>(), "spec": spec
            });
            let until: BTreeMap<_, _> =
                edges.until.iter().filter(|(_, until)| **until != Until::Ready).collect();
            if !until.is_empty() {
                resource["dependsUntil"] = json!(until);
            }
            if !edges.restart_on.is_empty() {
                resource["restartOn"] = json!(edges.restart_on);
            }
            Ok(Part { kind: "Container", resource, origin: told.node.path().clone(), volume: None })
        }))
    }

    /// What a container stands on: the images of all, networks, volumes, and the services that it names.
    fn edges(&self, told: &Told<'_>) -> Read<Edges> {
        let mut edges = Edges::default();
        edges.until.extend(self.image_ids().map(|id| (id, Until::Ready)));
        let mut unknown = Vec::new();
        for name in told.networks() {
            edges.until.insert(self.names.network_id(&name), Until::Ready);
        }
        for name in told.volumes() {
            edges.until.insert(self.names.volume_id(name), Until::Ready);
        }
        for (name, Dependency { until, restarts, is_required }) in told.depends_on() {
            let id = self.names.service_id(&name);
            if self.services.contains_key(&name) {
                edges.until.insert(id.clone(), until);
                if restarts {
                    edges.restart_on.insert(id);
                }
            } else if is_required && !self.left_out.contains_key(&name) {
                let what = format!("depends on the service {name:?}, which the release does not have");
                unknown.push(Problem::new(told.node.path().key("composition"), what));
            }
        }
        if unknown.is_empty() { Ok(edges) } else { Err(unknown) }
    }
}

#[derive(Default)]
struct Edges {
    until: BTreeMap<ResourceId, Until>,
    restart_on: BTreeSet<ResourceId>,
}

/// Labels, with those by which a thing is known to be the Supervisor's, or ours.
fn with_marks(labels: &Texts, own: &[(&str, &str)]) -> Texts {
    let mut labels = labels.clone();
    labels.extend(own.iter().map(|(name, value)| (format!("io.balena.{name}"), (*value).to_owned())));
    labels
}
