//! The HTTP around the simulation.

use std::{
    convert::Infallible,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{self, HeaderMap, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use manifest_types::digest::Digest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    admin::{ChangedDevice, ChangedFleet, NewFleet},
    cloud::{Answer, Body, Cloud},
    faults::{About, Fault, Faults, What},
    tokens::{Asked, Signer},
    told::Told,
};

/// No body of a device is larger.
const BODY_LIMIT: usize = 512 * 1024;
/// A smaller answer is not worth packing.
const PACKED_FROM: usize = 1024;

type Broken = Box<dyn std::error::Error + Send + Sync>;
type Sent = Response<UnsyncBoxBody<Bytes, Broken>>;

/// The simulation, and what goes wrong with it.
#[derive(Debug)]
pub struct Server {
    world: Mutex<World>,
    signer: Signer,
    started: Timestamp,
}

#[derive(Debug, Default)]
struct World {
    cloud: Cloud,
    faults: Faults,
    told: Told,
}

impl Default for Server {
    fn default() -> Self {
        Self { world: Mutex::default(), signer: Signer::default(), started: Timestamp::now() }
    }
}

/// Answers whoever connects, until the process ends.
pub async fn serve(listener: TcpListener, server: Arc<Server>) -> io::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let respond = service_fn(move |request| respond(Arc::clone(&server), request));
            // Whoever hangs up does not want to know.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), respond)
                    .await,
            );
        });
    }
}

async fn respond(server: Arc<Server>, request: Request<Incoming>) -> Result<Sent, Broken> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let head = head_size(&parts.headers) + path.len();
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new())),
    };
    let received = head + body.len();
    if path.starts_with("/admin/") || path == "/ping" {
        let answer = server.administer(&parts.method, &path, &body);
        return Ok(rendered(&answer, &HeaderMap::new(), Timestamp::now()).0);
    }
    let about = about(&path);
    let fault = about.and_then(|about| server.world().faults.strike(about));
    let fault = fault.unwrap_or(Fault { on: About::Any, times: None, delay: 0, what: What::Nothing });
    tokio::time::sleep(Duration::from_millis(fault.delay)).await;
    let named = about.map_or_else(|| "other".to_owned(), |about| format!("{about:?}").to_lowercase());
    let count = |status: u16, sent: usize| server.world().told.count(&named, status, received, sent);
    let now = match fault.what {
        What::Clock(off) => {
            Timestamp::now().saturating_add(SignedDuration::from_secs(off)).unwrap_or(Timestamp::MAX)
        }
        _ => Timestamp::now(),
    };
    match fault.what {
        What::CutBefore => {
            count(0, 0);
            return Err("cut".into());
        }
        What::Status(status) | What::Wait(status, _) => {
            let mut sent = plain(StatusCode::from_u16(status)?, Bytes::new());
            if let What::Wait(_, seconds) = fault.what {
                sent.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            count(status, 0);
            return Ok(sent);
        }
        _ => {}
    }
    let answer =
        server.answer(&parts.method, &path, parts.uri.query().unwrap_or_default(), &parts.headers, &body);
    let (sent, bytes) = rendered(&answer, &parts.headers, now);
    match fault.what {
        What::CutAfter => {
            count(0, 0);
            Err("cut".into())
        }
        What::Garbage => {
            count(answer.status, 0);
            Ok(plain(StatusCode::OK, Bytes::from_static(b"{\"garbage\": ")))
        }
        What::Truncate => {
            count(answer.status, bytes.len() / 2);
            Ok(truncated(sent, &bytes))
        }
        _ => {
            count(sent.status().as_u16(), bytes.len() + head_size(sent.headers()));
            Ok(sent)
        }
    }
}

fn about(path: &str) -> Option<About> {
    match path {
        "/device/v3/state" => Some(About::Report),
        _ if path.starts_with("/device/v3/") => Some(About::State),
        _ if path == "/device/register" || path.starts_with("/v7/") || path.starts_with("/api-key/") => {
            Some(About::Register)
        }
        _ => None,
    }
}

/// About what a head has on the wire.
fn head_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() + 20
}

impl Server {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        Duration::try_from(Timestamp::now().duration_since(self.started)).unwrap_or_default()
    }

    fn answer(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = authorization.unwrap_or_default();
        let key = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let now = self.now();
        let cloud = &mut self.world().cloud;
        let json = || serde_json::from_slice::<Value>(body);
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["device", "register"]) => match json() {
                Ok(body) => cloud.register(key, &body),
                Err(_) => bad_request(),
            },
            (&Method::GET, ["v7" | "v6", "device"]) => {
                let uuid = query.split("%27").nth(1).or_else(|| query.split('\'').nth(1));
                cloud.find(key, uuid.unwrap_or_default())
            }
            (&Method::POST, ["api-key", "device", id, "device-key"]) => match (id.parse(), json()) {
                (Ok(id), Ok(body)) => cloud.exchange(key, id, &body),
                _ => bad_request(),
            },
            (&Method::GET, ["device", "v3", uuid, "state"]) => cloud.state(key, uuid, now),
            (&Method::PATCH, ["device", "v3", "state"]) => match json() {
                Ok(body) => cloud.report(key, &body, now),
                Err(_) => bad_request(),
            },
            (&Method::GET, ["auth", "v1", "token"]) => {
                let asked = Asked::of_query(query);
                match cloud.access(authorization, &asked) {
                    Ok(access) => Answer::json(200, self.signer.token(&asked, &access, Timestamp::now())),
                    Err(refused) => refused,
                }
            }
            (&Method::GET, ["connectivity-check"]) => Answer::bare(204),
            _ => Answer::bare(404),
        }
    }

    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        let world = &mut *self.world();
        let cloud = &mut world.cloud;
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (_, ["ping"]) => Answer::json(200, json!("OK")),
            (&Method::POST, ["admin", "fleets"]) => read::<NewFleet>(body, |new| cloud.add_fleet(new)),
            (&Method::PATCH, ["admin", "fleets", id]) => {
                read::<ChangedFleet>(body, |to| cloud.change_fleet(id.parse().unwrap_or(0), to))
            }
            (&Method::POST, ["admin", "fleets", id, "releases"]) => {
                read::<Value>(body, |compose| cloud.add_release(id.parse().unwrap_or(0), &compose))
            }
            (&Method::GET, ["admin", "devices"]) => Answer::json(200, cloud.describe()),
            (&Method::PATCH, ["admin", "devices", uuid]) => {
                read::<ChangedDevice>(body, |to| cloud.change_device(uuid, to))
            }
            (&Method::DELETE, ["admin", "devices", uuid]) => cloud.delete_device(uuid),
            (&Method::PUT, ["admin", "faults"]) => read::<Vec<Fault>>(body, |faults| {
                world.faults.set(faults);
                Answer::bare(200)
            }),
            (&Method::GET, ["admin", "certificate"]) => Answer::json(200, json!(self.signer.certificate())),
            (&Method::GET, ["admin", "requests"]) => Answer::json(200, json!(world.told)),
            (&Method::DELETE, ["admin", "requests"]) => {
                world.told = Told::default();
                Answer::bare(200)
            }
            _ => Answer::bare(404),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8], then: impl FnOnce(T) -> Answer) -> Answer {
    match serde_json::from_slice(body) {
        Ok(read) => then(read),
        Err(error) => Answer::json(400, json!(error.to_string())),
    }
}

fn bad_request() -> Answer {
    Answer { status: 400, body: Body::Html("<!DOCTYPE html>\n<pre>Bad Request</pre>\n".to_owned()) }
}

/// The answer as it goes over the wire, and its body.
fn rendered(answer: &Answer, asked: &HeaderMap, now: Timestamp) -> (Sent, Bytes) {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, body) = match &answer.body {
        Body::Empty => (None, Vec::new()),
        Body::Json(value) => (Some("application/json; charset=utf-8"), value.to_string().into_bytes()),
        Body::Html(text) => (Some("text/html; charset=utf-8"), text.clone().into_bytes()),
    };
    let mut headers = HeaderMap::new();
    if let Ok(date) = HeaderValue::from_str(&now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        headers.insert(header::DATE, date);
    }
    let etag = kind.map(|_| format!("W/\"{:x}-{}\"", body.len(), &Digest::of(&body).to_string()[7..34]));
    let is_known = etag.as_deref().is_some_and(|etag| {
        asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes())
    });
    if let (Some(kind), Some(etag)) = (kind, &etag) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.extend(HeaderValue::from_str(etag).ok().map(|etag| (header::ETAG, etag)));
    }
    if is_known && status == StatusCode::OK {
        let mut sent = plain(StatusCode::NOT_MODIFIED, Bytes::new());
        headers.remove(header::CONTENT_TYPE);
        sent.headers_mut().extend(headers);
        return (sent, Bytes::new());
    }
    let (body, encoding) = packed(body, asked);
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let body = Bytes::from(body);
    let mut sent = plain(status, body.clone());
    sent.headers_mut().extend(headers);
    (sent, body)
}

/// Packed as whoever asks likes it best.
fn packed(body: Vec<u8>, asked: &HeaderMap) -> (Vec<u8>, Option<&'static str>) {
    let accepts =
        asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts =
        |encoding: &str| accepts.split(',').any(|own| own.trim().split(';').next() == Some(encoding));
    if body.len() < PACKED_FROM {
        return (body, None);
    }
    if accepts("br") {
        let mut packed = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
        return match brotli::BrotliCompress(&mut body.as_slice(), &mut packed, &parameters) {
            Ok(_) => (packed, Some("br")),
            Err(_) => (body, None),
        };
    }
    if accepts("gzip") {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        return match packer.write_all(&body).and_then(|()| packer.finish()) {
            Ok(packed) => (packed, Some("gzip")),
            Err(_) => (body, None),
        };
    }
    (body, None)
}

fn plain(status: StatusCode, body: Bytes) -> Sent {
    let body = Full::new(body).map_err(|never| match never {});
    let mut sent = Response::new(BodyExt::boxed_unsync(body));
    *sent.status_mut() = status;
    sent
}

/// The same answer, of which the second half does not come.
fn truncated(sent: Sent, body: &Bytes) -> Sent {
    let (mut parts, _) = sent.into_parts();
    let half = body.slice(..body.len() / 2);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let frames = [Ok(Frame::data(half)), Err(Broken::from("cut"))];
    Response::from_parts(parts, BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames))))
}
