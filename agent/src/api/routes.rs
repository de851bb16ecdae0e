//! The API's paths: each request becomes one question, each answer one document.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{self, HeaderValue},
    http::request::Parts,
};
use manifest_types::{manifest::MANIFEST_LIMIT, name::ResourceId};
use reconcilers::reconciler::Printed;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    failure::Failed,
    metrics,
    query::{Query, decoded, resource_id},
};
use crate::ask::{Ask, Logs};

/// A manifest that is a little too large is refused by admission, which says so better.
const BODY_LIMIT: usize = MANIFEST_LIMIT + 64 * 1024;
/// A driver that takes longer hangs.
const ANSWER: Duration = Duration::from_secs(10);
/// What looks at the device may be slow.
const DEVICE: Duration = Duration::from_secs(90);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What is printed may be anything.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The format of Prometheus' text.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What broke off an answer that was under way.
type Broken = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, Broken>>;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Route {
    Status,
    Explain,
    Logs,
    Plan,
    Reconcile,
    Retry,
    Pause,
    Resume,
    ForgetGeneration,
    Source,
    Poll,
    Health,
    Metrics,
}

/// What stands at `path`, by which method it is asked, and the name at the path's end.
fn route(path: &str) -> Option<(Route, Method, &str)> {
    if let Some(of) = path.strip_prefix("/v1/resources/") {
        let (route, id) = match of.strip_suffix("/logs") {
            Some(id) => (Route::Logs, id),
            None => (Route::Explain, of),
        };
        return (!id.is_empty() && !id.contains('/')).then_some((route, Method::GET, id));
    }
    let (route, method) = match path {
        "/v1/status" => (Route::Status, Method::GET),
        "/v1/plan" => (Route::Plan, Method::POST),
        "/v1/reconcile" => (Route::Reconcile, Method::POST),
        "/v1/retry" => (Route::Retry, Method::POST),
        "/v1/pause" => (Route::Pause, Method::POST),
        "/v1/resume" => (Route::Resume, Method::POST),
        "/v1/forget-generation" => (Route::ForgetGeneration, Method::POST),
        "/v1/source" => (Route::Source, Method::GET),
        // The second one is how services of balena ask for an update.
        "/v1/source/poll" | "/v1/update" => (Route::Poll, Method::POST),
        "/healthz" => (Route::Health, Method::GET),
        "/metrics" => (Route::Metrics, Method::GET),
        _ => return None,
    };
    Some((route, method, ""))
}

/// Answers one request. An answer that has no end of its own ends with `shutdown`.
pub(super) async fn respond(
    asks: &mpsc::Sender<Ask>,
    request: Request<Incoming>,
    shutdown: &CancellationToken,
) -> Answer {
    let (parts, body) = request.into_parts();
    let answered = answer(asks, &parts, body, shutdown).await;
    answered.unwrap_or_else(|Failed { code, failure }| document(code, &failure))
}

async fn answer(
    asks: &mpsc::Sender<Ask>,
    parts: &Parts,
    body: Incoming,
    shutdown: &CancellationToken,
) -> Result<Answer, Failed> {
    let (route, method, name) = route(parts.uri.path()).ok_or_else(Failed::no_route)?;
    if parts.method != method {
        return Err(Failed::wrong_method());
    }
    let query = |known: &[&str]| Query::read(parts.uri.query(), known);
    match route {
        Route::Status => Ok(document(StatusCode::OK, &ask(asks, ANSWER, Ask::Status).await?)),
        Route::Explain => {
            let id = resource_id(&decoded(name)?)?;
            let explanation = ask(asks, ANSWER, |reply| Ask::Explain(id.clone(), reply)).await?;
            Ok(document(StatusCode::OK, &explanation.ok_or_else(|| Failed::unknown_resource(&id))?))
        }
        Route::Logs => {
            let (id, lines) = (resource_id(&decoded(name)?)?, query(&["tail", "follow"])?.lines);
            match ask(asks, DEVICE, |reply| Ask::Logs(id.clone(), lines, reply)).await? {
                Logs::Unknown => Err(Failed::unknown_resource(&id)),
                Logs::Silent { kind } => Err(Failed::prints_nothing(&id, &kind)),
                Logs::Failed(failure) => Err(Failed::on_the_device(&failure)),
                Logs::Printed(printed) => Ok(streamed(printed, shutdown)),
            }
        }
        Route::Plan => {
            let text = read(body).await?;
            Ok(match ask(asks, DEVICE, |reply| Ask::Preview(text, reply)).await? {
                Ok(preview) => document(StatusCode::OK, &preview),
                Err(refused) => document(StatusCode::UNPROCESSABLE_ENTITY, &refused),
            })
        }
        Route::Reconcile => ask(asks, ANSWER, Ask::Reconcile).await.map(|()| nothing()),
        Route::Retry => {
            let id = query(&["id"])?.id;
            let known = ask(asks, ANSWER, |reply| Ask::Retry(id.clone(), reply)).await?;
            done(known, id)
        }
        Route::Pause => {
            let Query { id, time, .. } = query(&["id", "for"])?;
            let time = time.ok_or_else(|| Failed::bad("NoTime", "say for how long, such as for=1h"))?;
            let known = ask(asks, ANSWER, |reply| Ask::Pause(id.clone(), Some(time), reply)).await?;
            done(known, id)
        }
        Route::Resume => {
            let id = query(&["id"])?.id;
            let known = ask(asks, ANSWER, |reply| Ask::Pause(id.clone(), None, reply)).await?;
            done(known, id)
        }
        Route::ForgetGeneration => ask(asks, ANSWER, Ask::ForgetGeneration).await.map(|()| nothing()),
        Route::Source => {
            let told = ask(asks, ANSWER, Ask::Source).await?;
            Ok(document(StatusCode::OK, &told.ok_or_else(Failed::not_asking)?))
        }
        Route::Poll => match ask(asks, ANSWER, forced(&read(body).await?)?).await? {
            true => Ok(nothing()),
            false => Err(Failed::not_asking()),
        },
        // Healthy is an agent whose driver answers.
        Route::Health => ask(asks, ANSWER, Ask::Metrics).await.map(|_| text(TEXT, "ok\n".into())),
        Route::Metrics => {
            let numbers = ask(asks, ANSWER, Ask::Metrics).await?;
            Ok(text(PROMETHEUS, metrics::render(&numbers)))
        }
    }
}

/// What services of balena send with it: `{"force": true}`, or nothing.
fn forced(body: &[u8]) -> Result<impl FnOnce(oneshot::Sender<bool>) -> Ask, Failed> {
    let body: serde_json::Value = match body.trim_ascii() {
        [] => serde_json::Value::Null,
        body => serde_json::from_slice(body).map_err(|error| Failed::bad("BadBody", error))?,
    };
    let force = match &body["force"] {
        serde_json::Value::String(text) => ["1", "true", "on"].contains(&text.as_str()),
        serde_json::Value::Number(number) => number.as_u64() == Some(1),
        other => other.as_bool() == Some(true),
    };
    Ok(move |reply| Ask::Poll(force, reply))
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
    let collected = tokio::time::timeout(super::PATIENCE, Limited::new(body, BODY_LIMIT).collect()).await;
    match collected.map_err(|_| Failed::bad("BadBody", "it does not come"))? {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failed::too_large(BODY_LIMIT)),
        Err(error) => Err(Failed::bad("BadBody", error)),
    }
}

/// What is printed, as it comes.
fn streamed(printed: Printed, shutdown: &CancellationToken) -> Answer {
    let end = shutdown.clone().cancelled_owned().boxed();
    let frames = printed.take_until(end).map_ok(Frame::data);
    let broken = frames.map_err(|error| Broken::from(error.to_failure().message));
    let mut answer = Response::new(BodyExt::boxed_unsync(StreamBody::new(broken)));
    answer.headers_mut().insert(header::CONTENT_TYPE, BYTES);
    answer
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
    let body = Full::new(body).map_err(|never| match never {});
    let mut answer = Response::new(BodyExt::boxed_unsync(body));
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
