//! HTTP on an engine's socket: a connection for each request, so that none is stale after the engine was restarted.

use std::{fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use http_body_util::{BodyExt, BodyStream, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::engine::{
    Answer,
    error::{Cause, EngineError},
};

/// An answer that is not a stream is no longer than this.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// One line of a stream is no longer than this.
const LONGEST_LINE: usize = 1024 * 1024;
/// The header in which a registry's login travels.
const LOGIN_HEADER: &str = "X-Registry-Auth";
/// What stands for itself in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and a port, unencrypted.
    Tcp(String),
}

impl Endpoint {
    /// Reads `unix:///path` or `tcp://host:port`.
    pub(super) fn parse(uri: &str) -> Option<Self> {
        if let Some(path) = uri.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let address = uri.strip_prefix("tcp://").or_else(|| uri.strip_prefix("http://"))?;
        let address = address.trim_end_matches('/');
        let (host, port) = address.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| Self::Tcp(address.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// A request, with what it is for in words.
#[derive(Debug)]
pub(super) struct Call {
    doing: String,
    method: Method,
    target: String,
    body: Option<Value>,
    login: Option<String>,
    limit: Duration,
}

impl Call {
    /// A request for `path`, whose parts are encoded already.
    pub(super) fn new(method: Method, path: impl Into<String>, doing: impl Into<String>) -> Self {
        let limit = Duration::from_secs(25);
        Self { doing: doing.into(), method, target: path.into(), body: None, login: None, limit }
    }

    /// One more part of the query.
    pub(super) fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        let value = encode(&value.to_string());
        self.target = format!("{}{mark}{name}={value}", self.target);
        self
    }

    /// Its body.
    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// A registry's login, encoded.
    pub(super) fn login(mut self, login: Option<String>) -> Self {
        self.login = login;
        self
    }

    /// How long the engine may take to answer.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// Text as a part of a path or a query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Sends a request, and reads an answer that is JSON.
pub(super) async fn ask(endpoint: &Endpoint, call: Call) -> Answer<Value> {
    let doing = call.doing.clone();
    parse(&bytes(endpoint, call).await?, &doing)
}

/// Reads an answer that is JSON.
pub(super) fn parse<T: DeserializeOwned>(answer: &[u8], doing: &str) -> Answer<T> {
    serde_json::from_slice(answer)
        .map_err(|error| EngineError::Garbled { doing: doing.to_owned(), why: error.to_string() })
}

/// Sends a request, and reads what is answered.
pub(super) async fn bytes(endpoint: &Endpoint, call: Call) -> Answer<Bytes> {
    let (doing, limit) = (call.doing.clone(), call.limit);
    let answer = async {
        let response = send(endpoint, call).await?;
        collect(endpoint, response).await
    };
    timeout(limit, answer).await.unwrap_or(Err(EngineError::TooSlow { doing, limit }))
}

/// Sends a request whose answer comes in lines, as things happen. Only the beginning of the answer has to come in time.
pub(super) async fn lines(endpoint: &Endpoint, call: Call) -> Answer<BoxStream<'static, Answer<Vec<u8>>>> {
    let (doing, limit) = (call.doing.clone(), call.limit);
    let response = timeout(limit, send(endpoint, call)).await;
    let response = response.unwrap_or(Err(EngineError::TooSlow { doing: doing.clone(), limit }))?;
    let endpoint = endpoint.clone();
    let state = (BodyStream::new(response.into_body()), Vec::<u8>::new(), false);
    let lines = futures_util::stream::unfold(state, move |(mut body, mut rest, mut ended)| {
        let (endpoint, doing) = (endpoint.clone(), doing.clone());
        async move {
            loop {
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let after = rest.split_off(end + 1);
                    let line = std::mem::replace(&mut rest, after);
                    if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                        return Some((Ok(line), (body, rest, ended)));
                    }
                    continue;
                }
                if ended {
                    let line = std::mem::take(&mut rest);
                    let is_blank = line.iter().all(u8::is_ascii_whitespace);
                    return (!is_blank).then_some((Ok(line), (body, rest, ended)));
                }
                if rest.len() > LONGEST_LINE {
                    let why = "a line without an end".to_owned();
                    return Some((Err(EngineError::Garbled { doing, why }), (body, Vec::new(), true)));
                }
                match body.next().await {
                    Some(Ok(frame)) => rest.extend(frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => {
                        return Some((Err(away(&endpoint, error)), (body, Vec::new(), true)));
                    }
                    None => ended = true,
                }
            }
        }
    });
    Ok(lines.boxed())
}

/// Sends a request whose answer is a stream of bytes.
pub(super) async fn stream(endpoint: &Endpoint, call: Call) -> Answer<BoxStream<'static, Answer<Bytes>>> {
    let (doing, limit) = (call.doing.clone(), call.limit);
    let response = timeout(limit, send(endpoint, call)).await;
    let response = response.unwrap_or(Err(EngineError::TooSlow { doing, limit }))?;
    let endpoint = endpoint.clone();
    let frames = BodyStream::new(response.into_body());
    let bytes = frames.map(move |frame| match frame {
        Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
        Err(error) => Err(away(&endpoint, error)),
    });
    Ok(bytes.boxed())
}

async fn send(endpoint: &Endpoint, call: Call) -> Answer<Response<Incoming>> {
    let response = match endpoint {
        Endpoint::Unix(path) => {
            let socket = UnixStream::connect(path).await.map_err(|error| away(endpoint, error))?;
            exchange(endpoint, TokioIo::new(socket), &call).await?
        }
        Endpoint::Tcp(address) => {
            let socket = TcpStream::connect(address).await.map_err(|error| away(endpoint, error))?;
            exchange(endpoint, TokioIo::new(socket), &call).await?
        }
    };
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED || status == StatusCode::SWITCHING_PROTOCOLS
    {
        return Ok(response);
    }
    let body = collect(endpoint, response).await?;
    // An engine's error, as Docker and Podman tell it.
    let told = serde_json::from_slice::<Value>(&body).ok();
    let told = told.as_ref().and_then(|told| told.get("message")?.as_str());
    let message = told.map_or_else(|| String::from_utf8_lossy(&body).trim().to_owned(), str::to_owned);
    Err(EngineError::Refused { doing: call.doing, cause: Cause::of(status.as_u16(), &message), message })
}

async fn exchange<T>(endpoint: &Endpoint, socket: T, call: &Call) -> Answer<Response<Incoming>>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(socket).await.map_err(|error| away(endpoint, error))?;
    // It ends with the answer, or when that is no longer read.
    tokio::spawn(connection);
    let mut request = Request::builder().method(call.method.clone()).uri(&call.target).header(HOST, "engine");
    if call.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(login) = &call.login {
        request = request.header(LOGIN_HEADER, login);
    }
    let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| EngineError::Garbled { doing: call.doing.clone(), why: error.to_string() })?;
    sender.send_request(request).await.map_err(|error| away(endpoint, error))
}

async fn collect(endpoint: &Endpoint, response: Response<Incoming>) -> Answer<Bytes> {
    let body = http_body_util::Limited::new(response.into_body(), LONGEST_ANSWER);
    let collected = body.collect().await;
    Ok(collected.map_err(|error| away(endpoint, error))?.to_bytes())
}

fn away(endpoint: &Endpoint, error: impl fmt::Display) -> EngineError {
    EngineError::Away { endpoint: endpoint.to_string(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_engines_are_read() {
        for (uri, read) in [
            ("unix:///run/docker.sock", Some("unix:///run/docker.sock")),
            ("tcp://127.0.0.1:2375", Some("tcp://127.0.0.1:2375")),
            ("http://[::1]:2375/", Some("tcp://[::1]:2375")),
            ("unix://run/docker.sock", None),
            ("tcp://127.0.0.1", None),
            ("ssh://host", None),
            ("", None),
        ] {
            assert_eq!(Endpoint::parse(uri).map(|place| place.to_string()).as_deref(), read, "{uri}");
        }
        assert_eq!(encode("registry:5000/a b@c"), "registry%3A5000%2Fa%20b%40c");
    }
}
