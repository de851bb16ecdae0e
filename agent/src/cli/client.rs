//! Speaks to the running agent over its socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use manifest_types::{name::ResourceId, status::AgentStatus};
use reconcilers::reconciler::Lines;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{
    api::ApiFailure,
    ask::{Explanation, Preview, Refused},
};

/// Longer than the agent itself takes to say that it cannot answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running agent.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// An agent that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no agent answers at {}", socket.display())]
    NoAgent {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket is another user's.
    #[error("the agent's socket {} may not be opened by this user", socket.display())]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the agent at {} broke off", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// There was no answer in time.
    #[error("the agent at {} does not answer", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
    },
    /// It said no.
    #[error("the agent refused")]
    Refused(#[source] ApiFailure),
    /// The answer is none of this API's.
    #[error("the answer of {} cannot be understood (HTTP {code}); is it an agent, and of this version?", socket.display())]
    Unreadable {
        /// The socket.
        socket: PathBuf,
        /// The answer's code.
        code: StatusCode,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Client {
    /// The agent at `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Where it is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its status.
    pub async fn status(&self) -> Result<AgentStatus, ClientError> {
        let (code, body) = self.send(Method::GET, "/v1/status", Vec::new()).await?;
        self.read(code, &body)
    }

    /// Why a resource is in its phase.
    pub async fn explain(&self, id: &ResourceId) -> Result<Explanation, ClientError> {
        let (code, body) = self.send(Method::GET, &format!("/v1/resources/{id}"), Vec::new()).await?;
        self.read(code, &body)
    }

    /// What a manifest would change.
    pub async fn plan(&self, manifest: Vec<u8>) -> Result<Result<Preview, Refused>, ClientError> {
        let (code, body) = self.send(Method::POST, "/v1/plan", manifest).await?;
        match code {
            StatusCode::UNPROCESSABLE_ENTITY => self.document(code, &body).map(Err),
            _ => self.read(code, &body).map(Ok),
        }
    }

    /// Tries a resource, or all, again now.
    pub async fn retry(&self, id: Option<&ResourceId>) -> Result<(), ClientError> {
        self.tell(&format!("/v1/retry{}", query(id, None))).await
    }

    /// Leaves a resource, or all, as it is for so long; without a time, goes on at once.
    pub async fn pause(&self, id: Option<&ResourceId>, time: Option<Duration>) -> Result<(), ClientError> {
        let verb = if time.is_some() { "pause" } else { "resume" };
        self.tell(&format!("/v1/{verb}{}", query(id, time))).await
    }

    /// Has any generation accepted next.
    pub async fn forget_generation(&self) -> Result<(), ClientError> {
        self.tell("/v1/forget-generation").await
    }

    /// How a source that asks fares.
    pub async fn source(&self) -> Result<serde_json::Value, ClientError> {
        let (code, body) = self.send(Method::GET, "/v1/source", Vec::new()).await?;
        self.read(code, &body)
    }

    /// Lets the source ask now, ignoring locks if so told.
    pub async fn poll(&self, force: bool) -> Result<(), ClientError> {
        let body = serde_json::json!({ "force": force }).to_string().into_bytes();
        let (code, body) = self.send(Method::POST, "/v1/source/poll", body).await?;
        if code.is_success() { Ok(()) } else { Err(self.failure(code, &body)) }
    }

    async fn tell(&self, path: &str) -> Result<(), ClientError> {
        let (code, body) = self.send(Method::POST, path, Vec::new()).await?;
        if code.is_success() { Ok(()) } else { Err(self.failure(code, &body)) }
    }

    /// Sends one request, and gives back the answer's code and body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let silent = |_| ClientError::Silent { socket: self.socket.clone() };
        tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await.map_err(silent)?
    }

    /// Hands over what a resource prints as it comes, until that ends.
    pub async fn logs<E: From<ClientError>>(
        &self,
        id: &ResourceId,
        lines: Lines,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let last = lines.last.map(|last| format!("&tail={last}")).unwrap_or_default();
        let path = format!("/v1/resources/{id}/logs?follow={}{last}", lines.follow);
        let silent = |_| ClientError::Silent { socket: self.socket.clone() };
        let opened = tokio::time::timeout(PATIENCE, self.open(Method::GET, &path, Vec::new()));
        let mut answer = opened.await.map_err(silent)??;
        let code = answer.status();
        if !code.is_success() {
            let body = answer.into_body().collect().await.map_err(|source| self.broken(source))?;
            return Err(self.failure(code, &body.to_bytes()).into());
        }
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|source| self.broken(source))?;
            take(frame.data_ref().map_or(&[], |data| data))?;
        }
        Ok(())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let answer = self.open(method, path, body).await?;
        let code = answer.status();
        let body = answer.into_body().collect().await.map_err(|source| self.broken(source))?;
        Ok((code, body.to_bytes()))
    }

    /// Sends one request, and gives back the answer's beginning.
    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.unreachable(source))?;
        let broken = |source| self.broken(source);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // How the connection fares is told by the request's own result. It ends with the answer, or when that is no longer read.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "holdfast")
            .body(Full::new(Bytes::from(body)))
            .expect("paths are made of resource ids and numbers only");
        sender.send_request(request).await.map_err(broken)
    }

    fn broken(&self, source: hyper::Error) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket, source },
            _ => ClientError::NoAgent { socket, source },
        }
    }

    fn read<T: DeserializeOwned>(&self, code: StatusCode, body: &[u8]) -> Result<T, ClientError> {
        if code.is_success() { self.document(code, body) } else { Err(self.failure(code, body)) }
    }

    fn failure(&self, code: StatusCode, body: &[u8]) -> ClientError {
        self.document(code, body).map_or_else(|error| error, ClientError::Refused)
    }

    fn document<T: DeserializeOwned>(&self, code: StatusCode, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|source| ClientError::Unreadable {
            socket: self.socket.clone(),
            code,
            source,
        })
    }
}

fn query(id: Option<&ResourceId>, time: Option<Duration>) -> String {
    let id = id.map(|id| format!("id={id}"));
    let time = time.map(|time| format!("for={}s", time.as_secs()));
    let parts: Vec<_> = id.into_iter().chain(time).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}
