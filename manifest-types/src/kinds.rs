//! The table of kinds. A new kind is one file in `kinds/` and one row here.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

use crate::{claim::Claim, decode::decode, name::ResourceId, problem::Problem};

pub mod container;
pub mod container_network;
pub mod engine;
pub mod file;
pub mod image;
pub mod network_config;
pub mod systemd_unit;
pub mod volume;

/// What a manifest wants of one resource of one kind.
pub trait ResourceSpec:
    Serialize + DeserializeOwned + JsonSchema + Clone + PartialEq + Send + Sync + 'static
{
    /// The kind's name in a manifest.
    const KIND: &'static str;

    /// What the types alone do not rule out; the paths start at the spec.
    fn problems(&self) -> Vec<Problem>;

    /// Everything on the device that a resource `id` with this spec holds.
    fn claims(&self, id: &ResourceId) -> Vec<Claim>;

    /// Whether nothing on a device can be as both specs want. `false` where that is not plain from the specs alone.
    fn contradicts(&self, other: &Self) -> bool {
        let _ = other;
        false
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $spec:path, $details:path;)+) => {
        /// A spec of any kind that this build knows.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind", content = "spec")]
        pub enum Spec {
            $($(#[$doc])* $kind(Box<$spec>),)+
        }

        /// What a status shows of a resource, by its kind.
        #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "kind")]
        pub enum ResourceDetails {
            $($(#[$doc])* $kind($details),)+
            /// A kind that this reader does not know.
            #[serde(other)]
            Unknown,
        }

        // Both are read by way of a value, so that one reader of each kind, the manifest's own, is all that a program has to hold.

        impl<'de> Deserialize<'de> for Spec {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Written { kind, spec } = Written::deserialize(deserializer)?;
                let spec = match kind.as_str() {
                    $(<$spec as ResourceSpec>::KIND => decode(&spec).map(|spec| Self::$kind(Box::new(spec))),)+
                    _ => return Err(D::Error::unknown_variant(&kind, KINDS)),
                };
                spec.map_err(|problems| in_short(&kind, &problems))
            }
        }

        impl<'de> Deserialize<'de> for ResourceDetails {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let details = Value::deserialize(deserializer)?;
                let kind = details.get("kind").and_then(Value::as_str).unwrap_or_default();
                let read = match kind {
                    $(<$spec as ResourceSpec>::KIND => decode(&details).map(Self::$kind),)+
                    _ => return Ok(Self::Unknown),
                };
                read.map_err(|problems| in_short(kind, &problems))
            }
        }

        /// The kinds' names, in the table's order.
        pub const KINDS: &[&str] = &[$(<$spec as ResourceSpec>::KIND),+];

        impl Spec {
            /// Reads a spec of the kind called `kind`; `None` if there is no such kind. The paths of problems start at the spec.
            pub fn read(kind: &str, value: &Value) -> Option<Result<Self, Vec<Problem>>> {
                match kind {
                    $(<$spec as ResourceSpec>::KIND => Some(read::<$spec>(value).map(|spec| Self::$kind(Box::new(spec)))),)+
                    _ => None,
                }
            }

            /// The name of its kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => <$spec as ResourceSpec>::KIND,)+
                }
            }

            /// Everything on the device that a resource `id` with this spec holds.
            pub fn claims(&self, id: &ResourceId) -> Vec<Claim> {
                match self {
                    $(Self::$kind(spec) => spec.claims(id),)+
                }
            }

            /// Whether nothing on a device can be as both specs want. `false` where that is not plain from the specs alone.
            pub fn contradicts(&self, other: &Self) -> bool {
                match self {
                    $(Self::$kind(spec) => <$spec as AsSpec>::of(other).is_some_and(|other| spec.contradicts(other)),)+
                }
            }
        }

        $(
            impl AsSpec for $spec {
                fn of(spec: &Spec) -> Option<&Self> {
                    if let Spec::$kind(spec) = spec { Some(spec.as_ref()) } else { None }
                }
            }
        )+

        /// The JSON Schema of each kind's spec.
        pub(crate) fn schemas(generator: &mut SchemaGenerator) -> BTreeMap<&'static str, Schema> {
            BTreeMap::from([$((<$spec as ResourceSpec>::KIND, generator.subschema_for::<$spec>())),+])
        }
    };
}

kinds! {
    /// A file, a directory or a symbolic link.
    File => file::FileSpec, file::FileDetails;
    /// A container of the device's engine.
    Container => container::ContainerSpec, container::ContainerDetails;
    /// An image of the container engine.
    Image => image::ImageSpec, image::ImageDetails;
    /// A volume of the container engine.
    Volume => volume::VolumeSpec, volume::VolumeDetails;
    /// A network of the container engine.
    ContainerNetwork => container_network::ContainerNetworkSpec, container_network::ContainerNetworkDetails;
    /// A unit of systemd.
    SystemdUnit => systemd_unit::SystemdUnitSpec, systemd_unit::SystemdUnitDetails;
    /// A network interface of the host.
    NetworkConfig => network_config::NetworkConfigSpec, network_config::NetworkConfigDetails;
}

/// Takes one kind's spec out of a [`Spec`].
pub trait AsSpec: ResourceSpec {
    /// The spec, if it is of this kind.
    fn of(spec: &Spec) -> Option<&Self>;
}

/// A spec as it is written, with the name of its kind.
#[derive(Deserialize)]
struct Written {
    kind: String,
    spec: Value,
}

fn in_short<E: serde::de::Error>(kind: &str, problems: &[Problem]) -> E {
    let first = problems.first().map(Problem::to_string).unwrap_or_default();
    E::custom(format!("{kind}: {first}"))
}

/// What need not be written, because it is so anyway.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn read<S: ResourceSpec>(value: &Value) -> Result<S, Vec<Problem>> {
    let spec: S = decode(value)?;
    let problems = spec.problems();
    if problems.is_empty() { Ok(spec) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
