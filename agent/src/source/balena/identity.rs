//! Who this device is to its API: found in what was configured and kept, or made. Pure; what is made is kept before anybody is told of it.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::secret::Secret;

/// Who this device is to one API.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The API, without a slash at its end.
    pub endpoint: String,
    /// The device's uuid.
    pub uuid: String,
    /// Its key.
    pub key: Secret,
    /// Its number there, once that is known.
    pub device_id: Option<u64>,
    /// Its type, if that was said.
    pub device_type: Option<String>,
    /// Whether it is registered there.
    pub is_registered: bool,
    /// Whether uuid and key were made here: nobody else knows them.
    pub is_made_here: bool,
}

/// With what a device registers itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Provisioning {
    /// The key of its fleet.
    pub key: Secret,
    /// Its fleet.
    pub fleet: u64,
    /// Its type.
    pub device_type: String,
}

/// An identity as it is kept, in a file that only the agent may read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    api_endpoint: String,
    uuid: String,
    device_key: String,
    #[serde(default)]
    device_id: Option<u64>,
    #[serde(default)]
    device_type: Option<String>,
    registered: bool,
    made_here: bool,
}

/// The members of a balena device's `config.json` that say who it is. It has many more.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigJson {
    uuid: Option<String>,
    api_endpoint: Option<String>,
    api_key: Option<Secret>,
    device_api_key: Option<Secret>,
    /// An authority to trust beside the system's: PEM, in base64.
    #[serde(rename = "balenaRootCA")]
    root_ca: Option<String>,
    /// Keys by the hosts of their APIs.
    device_api_keys: BTreeMap<String, Secret>,
    application_id: Option<Number>,
    device_type: Option<String>,
    device_id: Option<Number>,
    #[serde(rename = "registered_at")]
    registered_at: Option<Number>,
}

/// A number that some write as a text, and as a fraction.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Number(u64);

impl TryFrom<serde_json::Value> for Number {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        let whole = |number: f64| (0.0..9e15).contains(&number).then_some(number as u64);
        let number = match &value {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64().or_else(|| whole(value.as_f64()?)),
        };
        number.map(Self).ok_or("must be a number")
    }
}

/// Nothing says who this device is to be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No API is named.
    #[error("no API is named: say --balena-api-endpoint, such as https://api.balena-cloud.com")]
    NoEndpoint,
    /// The name of the API is none.
    #[error("{0:?} is no API: it must begin with https:// or http://")]
    BadEndpoint(String),
    /// The uuid is none.
    #[error("{0:?} is no uuid of a device: it must have 32 or 62 hexadecimal digits in lower case")]
    BadUuid(String),
    /// There is neither an identity nor anything to get one with.
    #[error(
        "this device has no identity at {endpoint}, and nothing to register itself with: say --balena-uuid and --balena-api-key, or --balena-provisioning-key, --balena-fleet and --balena-device-type"
    )]
    Nobody {
        /// The API.
        endpoint: String,
    },
}

/// A fresh uuid and a fresh key.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// 32 hexadecimal digits.
    pub uuid: String,
    /// 32 letters and digits.
    pub key: Secret,
}

impl ConfigJson {
    /// What it says of an API: nothing, if it speaks of another one.
    #[must_use]
    pub fn of(&self, endpoint: &str) -> Self {
        match self.api_endpoint.as_deref().is_none_or(|own| own.trim_end_matches('/') == endpoint) {
            true => self.clone(),
            false => Self::default(),
        }
    }

    /// The authority to trust beside the system's, PEM.
    pub fn authority(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.root_ca.as_ref()?.trim()).ok()
    }
}

impl Identity {
    /// As it is kept.
    pub fn keep(&self) -> Kept {
        Kept {
            api_endpoint: self.endpoint.clone(),
            uuid: self.uuid.clone(),
            device_key: self.key.expose().to_owned(),
            device_id: self.device_id,
            device_type: self.device_type.clone(),
            registered: self.is_registered,
            made_here: self.is_made_here,
        }
    }

    /// The same device under another uuid and key, of which no API knows.
    #[must_use]
    pub fn renewed(&self, fresh: Fresh) -> Self {
        Self {
            uuid: fresh.uuid,
            key: fresh.key,
            device_id: None,
            is_registered: false,
            is_made_here: true,
            ..self.clone()
        }
    }
}

impl Kept {
    /// Who it says.
    pub fn identity(self) -> Identity {
        Identity {
            endpoint: self.api_endpoint,
            uuid: self.uuid,
            key: Secret::new(self.device_key),
            device_id: self.device_id,
            device_type: self.device_type,
            is_registered: self.registered,
            is_made_here: self.made_here,
        }
    }
}

/// The API that is meant, without a slash at its end.
pub fn endpoint(options: &Options, config: &ConfigJson) -> Result<String, IdentityError> {
    let named = options.api_endpoint.as_ref().or(config.api_endpoint.as_ref());
    let named = named.filter(|named| !named.is_empty()).ok_or(IdentityError::NoEndpoint)?;
    let named = named.trim_end_matches('/');
    let is_one =
        ["https://", "http://"].iter().any(|scheme| named.len() > scheme.len() && named.starts_with(scheme));
    if is_one { Ok(named.to_owned()) } else { Err(IdentityError::BadEndpoint(named.to_owned())) }
}

/// Whether a text is a device's uuid: 32 digits, or 62 of older devices.
fn is_uuid(text: &str) -> bool {
    [32, 62].contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Who this device is at `endpoint`: what was configured goes before what was kept, and that before what `config.json` says, unless that names another device.
pub fn identity(
    endpoint: &str,
    options: &Options,
    config: &ConfigJson,
    kept: Option<Kept>,
    fresh: Fresh,
) -> Result<Identity, IdentityError> {
    let config = config.of(endpoint);
    let device_type = options.device_type.clone().or(config.device_type.clone());
    let given = options.uuid.clone().or(config.uuid.clone()).filter(|uuid| !uuid.is_empty());
    if let Some(wrong) = given.as_ref().filter(|uuid| !is_uuid(uuid)) {
        return Err(IdentityError::BadUuid(wrong.clone()));
    }
    let make = |uuid: &str, key: &Secret, device_id, is_registered| Identity {
        endpoint: endpoint.to_owned(),
        uuid: uuid.to_owned(),
        key: key.clone(),
        device_id,
        device_type: device_type.clone(),
        is_registered,
        is_made_here: false,
    };
    if let (Some(uuid), Some(key)) = (&options.uuid, &options.api_key) {
        return Ok(make(uuid, key, None, true));
    }
    let host = endpoint.split("://").nth(1).unwrap_or_default();
    let key = config.device_api_keys.get(host).or(config.device_api_key.as_ref());
    let joined = match (&given, key, config.registered_at) {
        // Its key is that of its uuid.
        (Some(uuid), Some(key), Some(_)) if config.uuid.is_none() || given == config.uuid => {
            Some(make(uuid, key, config.device_id.map(|id| id.0), true))
        }
        _ => None,
    };
    // A system that has joined anew says so in its own file; its key may have been renewed here since.
    let named = options.uuid.as_ref().or(joined.as_ref().map(|joined| &joined.uuid));
    let kept = kept.map(Kept::identity).filter(|kept| named.is_none_or(|uuid| *uuid == kept.uuid));
    if let Some(kept) = kept {
        return Ok(Identity { device_type: device_type.or(kept.device_type.clone()), ..kept });
    }
    if let Some(joined) = joined {
        return Ok(joined);
    }
    if provisioning(options, &config).is_none() {
        return Err(IdentityError::Nobody { endpoint: endpoint.to_owned() });
    }
    let key = options.api_key.as_ref().or(key).unwrap_or(&fresh.key);
    let made = make(given.as_ref().unwrap_or(&fresh.uuid), key, None, false);
    Ok(Identity { is_made_here: given.is_none(), ..made })
}

/// With what it registers itself, if that is known.
pub fn provisioning(options: &Options, config: &ConfigJson) -> Option<Provisioning> {
    Some(Provisioning {
        key: options.provisioning_key.clone().or(config.api_key.clone())?,
        fleet: options.fleet.or(config.application_id.map(|id| id.0))?,
        device_type: options.device_type.clone().or(config.device_type.clone())?,
    })
}

#[cfg(test)]
mod tests;
