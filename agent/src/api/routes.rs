//! The API's paths: each request becomes one question, each answer one document.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    http::request::Parts,
};
use manifest_types::{manifest::MANIFEST_LIMIT, name::ResourceId};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::{
    failure::Failed,
    metrics,
    query::{Query, decoded, resource_id},
};
use crate::ask::Ask;

/// A manifest that is a little too large is refused by admission, which says so better.
const BODY_LIMIT: usize = MANIFEST_LIMIT + 64 * 1024;
/// A driver that takes longer hangs.
const ANSWER: Duration = Duration::from_secs(10);
/// A preview looks at the device, which may be slow.
const PREVIEW: Duration = Duration::from_secs(90);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The format of Prometheus' text.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

type Answer = Response<Full<Bytes>>;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Route {
    Status,
    Explain,
    Plan,
    Reconcile,
    Retry,
    Pause,
    Resume,
    ForgetGeneration,
    Health,
    Metrics,
}

/// What stands at `path`, by which method it is asked, and the name at the path's end.
fn route(path: &str) -> Option<(Route, Method, &str)> {
    if let Some(id) = path.strip_prefix("/v1/resources/").filter(|id| !id.is_empty() && !id.contains('/')) {
        return Some((Route::Explain, Method::GET, id));
    }
    let (route, method) = match path {
        "/v1/status" => (Route::Status, Method::GET),
        "/v1/plan" => (Route::Plan, Method::POST),
        "/v1/reconcile" => (Route::Reconcile, Method::POST),
        "/v1/retry" => (Route::Retry, Method::POST),
        "/v1/pause" => (Route::Pause, Method::POST),
        "/v1/resume" => (Route::Resume, Method::POST),
        "/v1/forget-generation" => (Route::ForgetGeneration, Method::POST),
        "/healthz" => (Route::Health, Method::GET),
        "/metrics" => (Route::Metrics, Method::GET),
        _ => return None,
    };
    Some((route, method, ""))
}

/// Answers one request.
pub(super) async fn respond(asks: &mpsc::Sender<Ask>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let answered = answer(asks, &parts, body).await;
    answered.unwrap_or_else(|Failed { code, failure }| document(code, &failure))
}

async fn answer(asks: &mpsc::Sender<Ask>, parts: &Parts, body: Incoming) -> Result<Answer, Failed> {
    let (route, method, name) = route(parts.uri.path()).ok_or_else(Failed::no_route)?;
    if parts.method != method {
        return Err(Failed::wrong_method());
    }
    let query = || Query::read(parts.uri.query());
    match route {
        Route::Status => Ok(document(StatusCode::OK, &ask(asks, ANSWER, Ask::Status).await?)),
        Route::Explain => {
            let id = resource_id(&decoded(name)?)?;
            let explanation = ask(asks, ANSWER, |reply| Ask::Explain(id.clone(), reply)).await?;
            Ok(document(StatusCode::OK, &explanation.ok_or_else(|| Failed::unknown_resource(&id))?))
        }
        Route::Plan => {
            let text = read(body).await?;
            Ok(match ask(asks, PREVIEW, |reply| Ask::Preview(text, reply)).await? {
                Ok(preview) => document(StatusCode::OK, &preview),
                Err(refused) => document(StatusCode::UNPROCESSABLE_ENTITY, &refused),
            })
        }
        Route::Reconcile => ask(asks, ANSWER, Ask::Reconcile).await.map(|()| nothing()),
        Route::Retry => {
            let id = query()?.without_time()?;
            let known = ask(asks, ANSWER, |reply| Ask::Retry(id.clone(), reply)).await?;
            done(known, id)
        }
        Route::Pause => {
            let Query { id, time } = query()?;
            let time = time.ok_or_else(|| Failed::bad("NoTime", "say for how long, such as for=1h"))?;
            let known = ask(asks, ANSWER, |reply| Ask::Pause(id.clone(), Some(time), reply)).await?;
            done(known, id)
        }
        Route::Resume => {
            let id = query()?.without_time()?;
            let known = ask(asks, ANSWER, |reply| Ask::Pause(id.clone(), None, reply)).await?;
            done(known, id)
        }
        Route::ForgetGeneration => ask(asks, ANSWER, Ask::ForgetGeneration).await.map(|()| nothing()),
        // Healthy is an agent whose driver answers.
        Route::Health => ask(asks, ANSWER, Ask::Metrics).await.map(|_| text(TEXT, "ok\n".into())),
        Route::Metrics => {
            let numbers = ask(asks, ANSWER, Ask::Metrics).await?;
            Ok(text(PROMETHEUS, metrics::render(&numbers)))
        }
    }
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

async fn read(body: Incoming) -> Result<Vec<u8>, Failed> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failed::too_large(BODY_LIMIT)),
        Err(error) => Err(Failed::bad("BadBody", error)),
    }
}

fn document(code: StatusCode, document: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(document).expect("what is told is plain JSON");
    answer_of(code, Some(JSON), bytes.into())
}

fn text(content_type: HeaderValue, text: String) -> Answer {
    answer_of(StatusCode::OK, Some(content_type), text.into())
}

fn nothing() -> Answer {
    answer_of(StatusCode::NO_CONTENT, None, Bytes::new())
}

fn answer_of(code: StatusCode, content_type: Option<HeaderValue>, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = code;
    if let Some(content_type) = content_type {
        answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    answer
}

fn done(known: bool, id: Option<ResourceId>) -> Result<Answer, Failed> {
    match id {
        Some(id) if !known => Err(Failed::unknown_resource(&id)),
        _ => Ok(nothing()),
    }
}
