//! The API's paths: each request becomes one question, each answer one document.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use manifest_types::{manifest::MANIFEST_LIMIT, name::ResourceId, status::AgentStatus};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::{failure::Failed, metrics, span};
use crate::ask::{Ask, Explanation, Metrics};

/// A manifest that is a little too large is refused by admission, which says so better.
const BODY_LIMIT: usize = MANIFEST_LIMIT + 64 * 1024;
/// A driver that takes longer hangs.
const ANSWER: Duration = Duration::from_secs(10);
/// A preview looks at the device, which may be slow.
const PREVIEW: Duration = Duration::from_secs(90);
/// The format of Prometheus' text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Asks = State<mpsc::Sender<Ask>>;

pub(super) fn router(asks: mpsc::Sender<Ask>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/resources/{id}", get(explain))
        .route("/v1/plan", post(plan))
        .route("/v1/reconcile", post(reconcile))
        .route("/v1/retry", post(retry))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/forget-generation", post(forget_generation))
        .route("/healthz", get(healthz))
        .route("/metrics", get(prometheus))
        .fallback(async || Failed::no_route())
        .method_not_allowed_fallback(async || Failed::wrong_method())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(asks)
}

/// Asks the driver, and waits for its answer.
pub(super) async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    limit: Duration,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Failed> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        asks.send(question(reply)).await.map_err(|_| Failed::gone())?;
        answer.await.map_err(|_| Failed::gone())
    };
    tokio::time::timeout(limit, asked).await.map_err(|_| Failed::silent())?
}

async fn status(State(asks): Asks) -> Result<Json<AgentStatus>, Failed> {
    ask(&asks, ANSWER, Ask::Status).await.map(Json)
}

async fn explain(
    State(asks): Asks,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Explanation>, Failed> {
    let id = resource_id(&id?.0)?;
    let explanation = ask(&asks, ANSWER, |reply| Ask::Explain(id.clone(), reply)).await?;
    explanation.map(Json).ok_or_else(|| Failed::unknown_resource(&id))
}

async fn plan(State(asks): Asks, body: Result<Bytes, BytesRejection>) -> Result<Response, Failed> {
    let text = body?.to_vec();
    let preview = ask(&asks, PREVIEW, |reply| Ask::Preview(text, reply)).await?;
    Ok(match preview {
        Ok(preview) => Json(preview).into_response(),
        Err(refused) => (StatusCode::UNPROCESSABLE_ENTITY, Json(refused)).into_response(),
    })
}

async fn reconcile(State(asks): Asks) -> Result<StatusCode, Failed> {
    ask(&asks, ANSWER, Ask::Reconcile).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which resource is meant; all, where none is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    id: Option<String>,
}

async fn retry(State(asks): Asks, which: Result<Query<Which>, QueryRejection>) -> Result<StatusCode, Failed> {
    let id = which?.0.id.as_deref().map(resource_id).transpose()?;
    let known = ask(&asks, ANSWER, |reply| Ask::Retry(id.clone(), reply)).await?;
    done(known, id.as_ref())
}

/// Which resource is meant, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pausing {
    id: Option<String>,
    #[serde(rename = "for")]
    time: Option<String>,
}

async fn pause(
    State(asks): Asks,
    pausing: Result<Query<Pausing>, QueryRejection>,
) -> Result<StatusCode, Failed> {
    let Query(Pausing { id, time }) = pausing?;
    let time = time.ok_or_else(|| Failed::bad("NoTime", "say for how long, such as for=1h"))?;
    let time = span::parse(&time).map_err(|message| Failed::bad("BadTime", message))?;
    let id = id.as_deref().map(resource_id).transpose()?;
    let known = ask(&asks, ANSWER, |reply| Ask::Pause(id.clone(), Some(time), reply)).await?;
    done(known, id.as_ref())
}

async fn resume(
    State(asks): Asks,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<StatusCode, Failed> {
    let id = which?.0.id.as_deref().map(resource_id).transpose()?;
    let known = ask(&asks, ANSWER, |reply| Ask::Pause(id.clone(), None, reply)).await?;
    done(known, id.as_ref())
}

async fn forget_generation(State(asks): Asks) -> Result<StatusCode, Failed> {
    ask(&asks, ANSWER, Ask::ForgetGeneration).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Healthy is an agent whose driver answers.
async fn healthz(State(asks): Asks) -> Result<&'static str, Failed> {
    let _: Metrics = ask(&asks, ANSWER, Ask::Metrics).await?;
    Ok("ok\n")
}

async fn prometheus(State(asks): Asks) -> Result<Response, Failed> {
    let numbers = ask(&asks, ANSWER, Ask::Metrics).await?;
    Ok(([(header::CONTENT_TYPE, PROMETHEUS)], metrics::render(&numbers)).into_response())
}

fn resource_id(text: &str) -> Result<ResourceId, Failed> {
    text.parse().map_err(|error| Failed::bad("BadId", error))
}

fn done(known: bool, id: Option<&ResourceId>) -> Result<StatusCode, Failed> {
    match id {
        Some(id) if !known => Err(Failed::unknown_resource(id)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
