//! The device's side of the API: each call is one request, and each answer says what follows from it. What is no answer is told as why.

use std::{fmt, time::Duration};

use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, StatusCode,
    header::{ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::{Value, json};

use super::{
    identity::{Identity, Provisioning},
    register::{Answered, Unique},
};
use crate::{chain::chain, secret::Secret};

/// A request has so long, whatever it is.
const LIMIT: Duration = Duration::from_secs(59);
/// To connect, of that.
const CONNECT: Duration = Duration::from_secs(20);
/// No target state of a device has so many bytes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// So much of what a server says about an error is told.
const TOLD: usize = 200;

/// A refusal that asking again does not change by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The key is not known, or may not do this.
    Unauthorized,
    /// Anything else.
    Other {
        /// The status.
        status: u16,
        /// What the server says.
        message: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("401, the key is not known there or may not do this"),
            Self::Other { status, message } if message.is_empty() => write!(f, "{status}"),
            Self::Other { status, message } => write!(f, "{status}, {message}"),
        }
    }
}

/// Why there is no answer, or none for now.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// Why.
    pub why: String,
    /// What the API asked to wait.
    pub wait: Option<Duration>,
}

/// What became of a question for the target state.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is this.
    New {
        /// The document.
        document: Value,
        /// Its tag.
        etag: Option<String>,
    },
    /// It is as it was, or there is none for this device.
    Unchanged,
    /// It is not told to this device.
    Refused(Refusal),
    /// It is not known.
    Unknown(Trouble),
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// It was taken.
    Taken,
    /// It was refused.
    Refused(Refusal),
    /// It is not known.
    Unknown(Trouble),
}

/// The API, as one device speaks with it.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    endpoint: String,
}

impl Api {
    /// The API at `endpoint`. `authorities` are certificates to trust beside the system's, PEM.
    pub fn new(endpoint: &str, authorities: &[Vec<u8>]) -> Result<Self, String> {
        // Somebody else may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .timeout(LIMIT)
            .connect_timeout(CONNECT)
            // A key is told to whom it is for, and a page that asks for a login is no answer.
            .redirect(Policy::none())
            // One connection is enough, and a device that sleeps most of the time needs none meanwhile.
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION"), " (Linux)"));
        for authority in authorities {
            let certificates = Certificate::from_pem_bundle(authority).map_err(|error| chain(&error))?;
            if certificates.is_empty() {
                return Err("what is to be trusted has no certificate in it (PEM)".to_owned());
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { client, endpoint: endpoint.to_owned() })
    }

    fn request(&self, method: Method, path: &str, key: &Secret) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.endpoint)).bearer_auth(key.expose())
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it answers anything at all; or why it does not.
    pub async fn answers(&self) -> Result<(), String> {
        let request = self.client.get(format!("{}/connectivity-check", self.endpoint));
        send(request).await.map(drop).map_err(|trouble| trouble.why)
    }

    /// Asks for the target state, unless it is still the one of this tag. It has so long to come.
    pub async fn state(&self, who: &Identity, etag: Option<&str>, within: Duration) -> State {
        let path = format!("/device/v3/{}/state", who.uuid);
        let mut request = self.request(Method::GET, &path, &who.key).timeout(within);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let reply = match send(request).await {
            Ok(reply) => reply,
            Err(trouble) => return State::Unknown(trouble),
        };
        match reply.status {
            StatusCode::NOT_MODIFIED => State::Unchanged,
            StatusCode::OK => match reply.json() {
                Ok(document) => State::New { document, etag: reply.etag },
                Err(trouble) => State::Unknown(trouble),
            },
            _ => match reply.refusal() {
                Ok(refusal) => State::Refused(refusal),
                Err(trouble) => State::Unknown(trouble),
            },
        }
    }

    /// Reports.
    pub async fn report(&self, who: &Identity, report: &Value) -> Reported {
        let body = json!({ who.uuid.as_str(): report });
        let request = self.request(Method::PATCH, "/device/v3/state", &who.key);
        match send(request.json(&body)).await {
            Ok(reply) if reply.status.is_success() => Reported::Taken,
            Ok(reply) => match reply.refusal() {
                Ok(refusal) => Reported::Refused(refusal),
                Err(trouble) => Reported::Unknown(trouble),
            },
            Err(trouble) => Reported::Unknown(trouble),
        }
    }

    /// Asks to be registered.
    pub async fn register(&self, who: &Identity, with: &Provisioning, about: &About) -> Answered {
        let mut body = json!({
            "application": with.fleet, "uuid": who.uuid, "device_type": with.device_type, "api_key": who.key.expose(),
            "supervisor_version": about.supervisor_version,
        });
        if let Some(os_version) = &about.os_version {
            body["os_version"] = os_version.as_str().into();
        }
        if let Some(os_variant) = about.os_variant {
            body["os_variant"] = os_variant.into();
        }
        let request = self.request(Method::POST, "/device/register", &with.key).json(&body);
        let reply = match send(request).await {
            Ok(reply) => reply,
            Err(trouble) => return trouble.into(),
        };
        match reply.status {
            StatusCode::CREATED | StatusCode::OK => match reply.json().map(|answer| answer["id"].as_u64()) {
                Ok(Some(id)) => Answered::Registered(id),
                // It may have been registered; the next try finds out.
                Ok(None) => Trouble::plain("the API answers without the device's number").into(),
                Err(trouble) => trouble.into(),
            },
            StatusCode::CONFLICT => Answered::Taken(unique(&reply.text())),
            // What this API answers to whatever it did not expect.
            StatusCode::FORBIDDEN => Trouble::plain(format!("the API answers 403, {}", reply.told())).into(),
            _ => reply.refusal().map_or_else(Answered::from, Answered::Refused),
        }
    }

    /// Asks which device has the uuid, as far as the key may see it.
    pub async fn find(&self, who: &Identity, key: &Secret) -> Answered {
        let filter = format!("/v7/device?$select=id&$filter=uuid%20eq%20'{}'", who.uuid);
        let reply = match send(self.request(Method::GET, &filter, key)).await {
            Ok(reply) => reply,
            Err(trouble) => return trouble.into(),
        };
        if reply.status != StatusCode::OK {
            return reply.refusal().map_or_else(Answered::from, Answered::Refused);
        }
        match reply.json().map(|answer| answer.get("d").and_then(Value::as_array).cloned()) {
            Ok(Some(found)) => Answered::Found(found.first().and_then(|device| device["id"].as_u64())),
            Ok(None) => Trouble::plain("the API answers something else than devices").into(),
            Err(trouble) => trouble.into(),
        }
    }

    /// Asks to take this device's key for that of the device of this number.
    pub async fn exchange(&self, who: &Identity, with: &Provisioning, id: u64) -> Answered {
        let path = format!("/api-key/device/{id}/device-key");
        let body = json!({ "apiKey": who.key.expose() });
        match send(self.request(Method::POST, &path, &with.key).json(&body)).await {
            Ok(reply) if reply.status == StatusCode::OK => Answered::Exchanged,
            Ok(reply) => reply.refusal().map_or_else(Answered::from, Answered::Refused),
            Err(trouble) => trouble.into(),
        }
    }
}

/// What a device says of itself when it registers.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The Supervisor whose behaviour it has.
    pub supervisor_version: String,
    /// Its operating system.
    pub os_version: Option<String>,
    /// Whether that is for development or for production.
    pub os_variant: Option<&'static str>,
}

/// Which column is taken: the API names it in a few words.
fn unique(told: &str) -> Unique {
    let told = told.to_ascii_lowercase();
    if told.contains("key") && !told.contains("uuid") { Unique::Key } else { Unique::Uuid }
}

impl Trouble {
    fn plain(why: impl Into<String>) -> Self {
        Self { why: why.into(), wait: None }
    }
}

impl From<Trouble> for Answered {
    fn from(Trouble { why, wait }: Trouble) -> Self {
        Self::Unknown { why, wait }
    }
}

/// An answer, whole.
struct Reply {
    status: StatusCode,
    etag: Option<String>,
    wait: Option<Duration>,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Result<Value, Trouble> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::plain(format!("the API answers {}, and what is no JSON: {error}", self.status))
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The beginning of what is said, on one line.
    fn told(&self) -> String {
        let words: Vec<_> = self.text().split_whitespace().map(str::to_owned).collect();
        manifest_types::problem::shortened(words.join(" "), TOLD)
    }

    /// What is refused; what is only not answered for now is the error.
    fn refusal(&self) -> Result<Refusal, Trouble> {
        match self.status.as_u16() {
            401 => Ok(Refusal::Unauthorized),
            408 | 425 | 429 | 500.. => {
                Err(Trouble { why: format!("the API answers {}", self.status), wait: self.wait })
            }
            status => Ok(Refusal::Other { status, message: self.told() }),
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Reply, Trouble> {
    // An address may hold a key, and so may an error that quotes it.
    let plainly = |error: reqwest::Error| Trouble::plain(chain(&error.without_url()));
    let response = request.send().await.map_err(plainly)?;
    let (status, etag) = (response.status(), text_of(response.headers(), ETAG.as_str()));
    let wait = text_of(response.headers(), RETRY_AFTER.as_str());
    let wait = wait.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = read(response).await.map_err(plainly)?;
    match body {
        Some(body) => Ok(Reply { status, etag, wait, body }),
        None => Err(Trouble::plain(format!("the API answers more than {BODY_LIMIT} bytes"))),
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The body, if it is not too large.
async fn read(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_named() {
        assert_eq!(unique("\"uuid\" must be unique."), Unique::Uuid);
        assert_eq!(unique("{\"error\":\"\\\"key\\\" must be unique.\"}"), Unique::Key);
        assert_eq!(unique("conflict"), Unique::Uuid);
    }

    #[test]
    fn what_may_pass_is_no_refusal() {
        let reply = |status: u16| Reply {
            status: StatusCode::from_u16(status).unwrap(),
            etag: None,
            wait: Some(Duration::from_secs(7)),
            body: b"<html>\n no</html>".to_vec(),
        };
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(reply(status).refusal().unwrap_err().wait, Some(Duration::from_secs(7)));
        }
        assert_eq!(reply(401).refusal(), Ok(Refusal::Unauthorized));
        assert_eq!(reply(404).refusal().unwrap().to_string(), "404, <html> no</html>");
    }
}
