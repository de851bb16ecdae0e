//! Tokens for registries of images: who may pull what, and the signature by which a registry believes it (Docker Registry v2, token authentication).

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use manifest_types::kinds::engine::ImageRef;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cloud::{Answer, Cloud};

/// Who signs, as a registry is told (`auth.token.issuer`).
pub const ISSUER: &str = "balena";
/// A token is good for so many seconds.
const LIFETIME: i64 = 4 * 3600;

/// What a device asks a token for.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    /// The registry.
    service: String,
    /// What it wants to do there: `repository:<path>:<actions>`.
    scopes: Vec<String>,
}

impl Asked {
    /// Reads it from a request's query.
    pub fn of_query(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "service" => asked.service = value.into_owned(),
                "scope" => asked.scopes.extend(value.split(' ').map(str::to_owned)),
                _ => {}
            }
        }
        asked
    }
}

impl Cloud {
    /// What whoever has these credentials may do of what was asked: nothing of another fleet's. The error is the answer to credentials that are wrong.
    pub fn access(&self, authorization: &str, asked: &Asked) -> Result<Value, Answer> {
        let wrong = || Answer::bare(401);
        let basic = authorization.strip_prefix("Basic ").and_then(|basic| STANDARD.decode(basic.trim()).ok());
        let basic = basic.and_then(|basic| String::from_utf8(basic).ok()).ok_or_else(wrong)?;
        let (user, key) = basic.split_once(':').ok_or_else(wrong)?;
        let device = user.strip_prefix("d_").and_then(|uuid| self.devices.get(uuid));
        let device = device.filter(|device| device.key == key && !device.is_frozen).ok_or_else(wrong)?;
        let of_fleet = self.releases.values().filter(|release| release.fleet == device.fleet);
        let images: Vec<_> = of_fleet
            .flat_map(|release| release.services.values())
            .filter_map(|service| repository(&service.image))
            .collect();
        let may = |scope: &String| {
            let mut parts = scope.splitn(3, ':');
            let (kind, name) = (parts.next()?, parts.next()?);
            let is_own = images.iter().any(|image| image == name);
            let actions: &[&str] = if is_own { &["pull"] } else { &[] };
            Some(json!({ "type": kind, "name": name, "actions": actions }))
        };
        Ok(asked.scopes.iter().filter_map(may).collect())
    }
}

/// The path of an image in its registry.
fn repository(image: &str) -> Option<String> {
    let image: ImageRef = image.parse().ok()?;
    let canonical = image.canonical();
    let path = canonical.strip_prefix(&image.registry())?.trim_start_matches('/');
    let path = path.split('@').next().unwrap_or(path);
    Some(path.split(':').next().unwrap_or(path).to_owned())
}

/// A key that signs tokens, made when it is made.
pub struct Signer {
    key: EcdsaKeyPair,
    id: String,
    certificate: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Default for Signer {
    fn default() -> Self {
        let pair = KeyPair::generate().expect("the kernel has random numbers");
        let certificate = CertificateParams::new(vec![ISSUER.to_owned()])
            .and_then(|params| params.self_signed(&pair))
            .expect("the name is a plain one");
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &pair.serialize_der(),
            &SystemRandom::new(),
        );
        Self {
            key: key.expect("the key was made just now"),
            id: key_id(&pair.subject_public_key_info()),
            certificate: certificate.pem(),
        }
    }
}

/// A public key's name, as the registry computes it: the first 240 bits of its SHA-256 in base 32, four letters at a time.
fn key_id(public: &[u8]) -> String {
    let letters = BASE32_NOPAD.encode(&Sha256::digest(public)[..30]);
    let groups: Vec<_> =
        letters.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(":")
}

impl Signer {
    /// The certificate by which a registry knows the key, PEM (`auth.token.rootcertbundle`).
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A token that allows `access`.
    pub fn token(&self, asked: &Asked, access: &Value, now: Timestamp) -> Value {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "typ": "JWT", "alg": "ES256", "kid": self.id }));
        let now = now.as_second();
        let claims = part(json!({
            "iss": ISSUER, "aud": asked.service, "sub": "", "access": access,
            "iat": now, "nbf": now - 10, "exp": now + LIFETIME,
        }));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a text can be signed");
        json!({ "token": format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balena::admin::NewFleet;

    #[test]
    fn a_device_may_pull_what_its_own_fleet_has() {
        let mut cloud = Cloud::default();
        for (id, image) in [(1, "127.0.0.1:5000/v2/own:1"), (2, "127.0.0.1:5000/v2/strange:1")] {
            cloud.add_fleet(NewFleet {
                name: format!("fleet{id}"),
                device_type: "generic-amd64".into(),
                id: Some(id),
                provisioning_key: Some("pk".into()),
            });
            cloud.add_release(id, &json!({ "services": { "web": { "image": image } } }));
        }
        let uuid = "a".repeat(32);
        let body =
            json!({ "application": 1, "uuid": uuid, "device_type": "generic-amd64", "api_key": "secret" });
        assert_eq!(cloud.register("pk", &body).status, 201);
        let asked =
            Asked::of_query("service=r&scope=repository%3Av2%2Fown%3Apull&scope=repository:v2/strange:pull");
        let may = |user: &str| cloud.access(&format!("Basic {}", STANDARD.encode(user)), &asked);
        assert_eq!(
            may(&format!("d_{uuid}:secret")),
            Ok(json!([
                { "type": "repository", "name": "v2/own", "actions": ["pull"] },
                { "type": "repository", "name": "v2/strange", "actions": [] }
            ]))
        );
        assert_eq!(may(&format!("d_{uuid}:wrong")), Err(Answer::bare(401)));
        assert_eq!(cloud.access("", &asked), Err(Answer::bare(401)));
    }

    #[test]
    fn a_token_is_a_signed_text_of_three_parts() {
        let (signer, asked) = (Signer::default(), Asked::of_query("service=registry"));
        let token = signer.token(&asked, &json!([]), Timestamp::from_second(1000).unwrap());
        let parts: Vec<_> = token["token"].as_str().unwrap().split('.').collect();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!((&claims["aud"], &claims["exp"]), (&json!("registry"), &json!(1000 + LIFETIME)));
        assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 64);
        assert_eq!((signer.id.len(), signer.id.matches(':').count()), (59, 11));
    }
}
