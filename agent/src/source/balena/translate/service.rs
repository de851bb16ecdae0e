//! A service of a release as a container of the manifest.

use std::collections::BTreeMap;

use manifest_types::kinds::{
    container::{Attachment, ContainerSpec, Desired, Mount, MountType, NetworkMode},
    engine::{EngineName, ImageRef, TakeOver, Texts},
    image::ImageSpec,
};
use serde_json::{Value, json};

use super::{
    environment::{About, always, at_birth},
    features::{self, absolute, put},
    labels,
    names::Names,
    update::{self, update},
};
use crate::source::balena::{
    compose::{
        depends::Dependency,
        networks::Mode,
        service::{Service, service},
        texts::{scalar, texts},
    },
    document::{Fields, Node, Read},
    facts::Facts,
    target::number,
};

/// The network that services are in which name none.
pub(super) const DEFAULT: &str = "default";

/// A service as the release tells it.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) node: Node<'a>,
    pub(super) id: u64,
    /// Its image, as the API calls it.
    pub(super) image: String,
    pub(super) contract: Option<Node<'a>>,
    /// Its labels, all of them.
    pub(super) labels: Texts,
    environment: Texts,
    is_to_run: bool,
    composed: Service,
}

impl<'a> Told<'a> {
    /// Reads one.
    pub(super) fn read(node: &Node<'a>) -> Read<Self> {
        let mut fields = Fields::of(node)?;
        let id = fields.need("id", number);
        fields.take("image_id", number);
        let image = fields.need("image", scalar);
        let reference = image.as_deref().map(by_digest).and_then(|read| match read {
            Ok(reference) => Some(reference),
            Err(why) => {
                fields.wrong("image", why);
                None
            }
        });
        let is_to_run = fields.take("running", Node::flag).unwrap_or(true);
        let environment = fields.take("environment", texts).unwrap_or_default();
        let given = fields.take("labels", texts).unwrap_or_default();
        let contract = fields.take("contract", |node| Ok(node.clone()));
        let spec = reference.map(ContainerSpec::from_image);
        let composed = spec.and_then(|spec| match fields.has("composition") {
            true => fields.take("composition", |node| service(node, spec)),
            false => fields.keep(service(&node.standing_in("composition", &EMPTY), spec)),
        });
        let told = id.zip(image).zip(composed).map(|((id, image), composed)| Self {
            node: node.clone(),
            id,
            image,
            contract,
            labels: labels::merged([&composed.labels, &given]),
            environment: with(composed.environment.clone(), environment),
            is_to_run,
            composed,
        });
        fields.end(told)
    }

    /// Whether it is a container of users: other classes of images are parts of the operating system.
    pub(super) fn is_service(&self) -> bool {
        labels::own(&self.labels, "image.class").is_none_or(|class| class == "service")
    }

    /// Whether the device may do without it.
    pub(super) fn is_optional(&self) -> bool {
        labels::has_feature(&self.labels, "optional")
    }

    /// Whether its image is there before it is stopped for it.
    pub(super) fn is_pulled_first(&self) -> bool {
        update::is_pulled_first(&self.labels)
    }

    /// What brings its image.
    pub(super) fn image(&self, facts: &Facts) -> ImageSpec {
        let registry_credentials = facts.registry_credentials.clone();
        ImageSpec { image: self.composed.spec.image.clone(), registry_credentials }
    }

    /// The networks that it is in, by the release's names.
    pub(super) fn networks(&self) -> Vec<String> {
        match &self.composed.network {
            Some(Mode::Named(name)) => vec![name.clone()],
            Some(_) => Vec::new(),
            None if self.composed.spec.networks.is_empty() => vec![DEFAULT.to_owned()],
            None => self.composed.spec.networks.iter().map(|own| own.name.to_string()).collect(),
        }
    }

    /// The volumes that it uses, by the release's names.
    pub(super) fn volumes(&self) -> impl Iterator<Item = &str> {
        let of_volumes =
            self.composed.spec.mounts.iter().filter(|mount| mount.mount_type == MountType::Volume);
        of_volumes.filter_map(|mount| mount.source.as_deref())
    }

    /// The services that must be how far before it starts: those it says, and those whose namespaces it shares.
    pub(super) fn depends_on(&self) -> BTreeMap<String, Dependency> {
        let mut all = self.composed.depends_on.clone();
        for name in self.shares_with() {
            all.entry(name.clone()).or_insert(Dependency::STARTED).restarts = true;
        }
        all
    }

    /// The services whose namespaces it shares: without them it cannot be.
    pub(super) fn shares_with(&self) -> impl Iterator<Item = &String> {
        let of_network = match &self.composed.network {
            Some(Mode::OfService(name)) => Some(name),
            _ => None,
        };
        [of_network, self.composed.pid_of.as_ref(), self.composed.ipc_of.as_ref()].into_iter().flatten()
    }

    /// The container's spec, in the engine's names.
    pub(super) fn spec(&self, names: &Names<'_>, about: &About<'_>) -> Read<ContainerSpec> {
        let mut spec = self.composed.spec.clone();
        spec.name = Some(as_engine_name(&self.node, names.container(about.service))?);
        self.join_networks(&mut spec, names, about.service)?;
        let of = |service: &Option<String>| {
            service.as_ref().map(|own| format!("container:{}", names.container(own)))
        };
        spec.pid = of(&self.composed.pid_of).or(spec.pid);
        spec.ipc = of(&self.composed.ipc_of).or(spec.ipc);
        for mount in spec.mounts.iter_mut().filter(|mount| mount.mount_type == MountType::Volume) {
            mount.source = mount.source.take().map(|volume| names.volume(&volume));
        }
        for inside in ["/tmp/balena", "/tmp/resin"] {
            let mut locks = Mount::new(MountType::Bind, absolute(inside));
            locks.source = Some(names.locks(about.service));
            locks.create_source = true;
            put(&mut spec, locks);
        }
        let mut variables = always(about);
        features::grant(&self.labels, about.facts, &mut spec, &mut variables, &self.node);
        spec.env = with(variables, self.environment.clone());
        spec.initial_env = at_birth(about);
        spec.initial_env.retain(|name, _| !spec.env.contains_key(name));
        spec.labels = with(self.labels.clone(), marks(names, about.service, self.id));
        let by_labels = [("app-uuid", names.app_uuid()), ("service-name", about.service)];
        let labels = by_labels.map(|(name, value)| (format!("io.balena.{name}"), value.to_owned())).into();
        spec.take_over = Some(TakeOver { labels });
        spec.update =
            update(&self.labels, &spec, about.locks, &names.hand_over_files(about.service), &self.node);
        spec.desired = if self.is_to_run { Desired::Running } else { Desired::Stopped };
        spec.registry_credentials = about.facts.registry_credentials.clone();
        Ok(spec)
    }

    fn join_networks(&self, spec: &mut ContainerSpec, names: &Names<'_>, service: &str) -> Read<()> {
        match &self.composed.network {
            Some(Mode::Own(mode)) => {
                spec.network_mode = Some(*mode);
                // What has the host's network has its ports, and publishes none.
                if *mode == NetworkMode::Host && !spec.ports.is_empty() {
                    self.node.note("publishes ports, and has the host's network; they are ignored");
                    spec.ports.clear();
                }
            }
            Some(Mode::OfService(name)) => {
                spec.network_of = Some(as_engine_name(&self.node, names.container(name))?)
            }
            Some(Mode::OfContainer(name)) => {
                spec.network_of = Some(as_engine_name(&self.node, name.clone())?)
            }
            Some(Mode::Named(_)) | None => {}
        }
        let mut attachments = spec.networks.clone();
        if attachments.is_empty() {
            let named = self.networks().into_iter().map(|name| name.parse().map(Attachment::to));
            attachments = named.collect::<Result<_, String>>().or_else(|why| self.node.wrong(why))?;
            for attachment in &mut attachments {
                attachment.mac = self.composed.mac;
            }
        }
        for attachment in &mut attachments {
            attachment.name = as_engine_name(&self.node, names.network(attachment.name.as_str()))?;
            if !attachment.aliases.iter().any(|alias| alias == service) {
                attachment.aliases.push(service.to_owned());
            }
        }
        spec.networks = attachments;
        Ok(())
    }
}

static EMPTY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!({}));

fn with(mut low: Texts, high: Texts) -> Texts {
    low.extend(high);
    low
}

/// The image by its digest, where it has one: a tag beside it says nothing more.
fn by_digest(image: &str) -> Result<ImageRef, String> {
    let reference: ImageRef = image.parse()?;
    match reference.digest() {
        None => Ok(reference),
        Some(digest) => {
            let name = image.split('@').next().unwrap_or(image);
            let untagged = match name.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => path,
                _ => name,
            };
            format!("{untagged}@{digest}").parse()
        }
    }
}

fn as_engine_name(node: &Node<'_>, name: String) -> Read<EngineName> {
    name.parse().or_else(|why: String| node.wrong(format!("its name in the engine {why}")))
}

/// The labels by which a container is known to be the Supervisor's, or ours.
fn marks(names: &Names<'_>, service: &str, id: u64) -> Texts {
    let own = [
        ("supervised", "true".to_owned()),
        ("app-id", names.app_id().to_string()),
        ("app-uuid", names.app_uuid().to_owned()),
        ("service-id", id.to_string()),
        ("service-name", service.to_owned()),
    ];
    own.map(|(name, value)| (format!("io.balena.{name}"), value)).into()
}
