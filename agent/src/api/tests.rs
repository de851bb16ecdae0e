use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::{Method, StatusCode};
use manifest_types::{manifest::API_VERSION, name::ResourceId, status::STATUS_KIND};
use reconcilers::{error::Failure, reconciler::Lines};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    ask::{Explanation, Forecast, Logs, Metrics, Preview, Refused},
    cli::client::{Client, ClientError},
};

/// An API whose driver answers by rote, and what it was asked.
struct Rig {
    client: Client,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    driver: JoinHandle<()>,
    _dir: TempDir,
}

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn status() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": STATUS_KIND, "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": 7, "observedGeneration": 7, "observedRevision": 3, "updatedAt": "2026-11-21T05:00:00Z",
        "conditions": [], "resources": {},
    })
}

fn explanation() -> Value {
    json!({
        "id": "web", "status": { "kind": "File", "phase": "Ready", "since": "2026-11-21T05:00:00Z" },
        "dependsOn": {}, "holds": {}, "differences": [], "attempts": 0, "revision": 1,
    })
}

fn answer(ask: Ask) -> String {
    let knows = |id: &Option<ResourceId>| id.as_ref().is_none_or(|id| id.as_str() == "web");
    match ask {
        Ask::Status(reply) => {
            reply.send(serde_json::from_value(status()).unwrap()).unwrap();
            "status".into()
        }
        Ask::Explain(id, reply) => {
            let known =
                (id.as_str() == "web").then(|| serde_json::from_value::<Explanation>(explanation()).unwrap());
            reply.send(known).unwrap();
            format!("explain {id}")
        }
        Ask::Preview(text, reply) => {
            let refused = Refused { reason: "Unparsable".into(), message: "no".into(), problems: vec![] };
            let resources = BTreeMap::from([(id("web"), Forecast::Create)]);
            let preview = Preview { resources, problems: vec![] };
            reply.send(if text == b"good" { Ok(preview) } else { Err(refused) }).unwrap();
            format!("preview of {} bytes", text.len())
        }
        Ask::Retry(id, reply) => {
            reply.send(knows(&id)).unwrap();
            format!("retry {id:?}")
        }
        Ask::Pause(id, time, reply) => {
            reply.send(knows(&id)).unwrap();
            format!("pause {id:?} {time:?}")
        }
        Ask::Reconcile(reply) => {
            reply.send(()).unwrap();
            "reconcile".into()
        }
        Ask::ForgetGeneration(reply) => {
            reply.send(()).unwrap();
            "forget".into()
        }
        Ask::Logs(id, lines, reply) => {
            let printed = stream::iter([Ok(Bytes::from_static(b"one\n")), Ok(Bytes::from_static(b"two\n"))]);
            let logs = match id.as_str() {
                "web" if lines.follow => Logs::Printed(printed.chain(stream::pending()).boxed()),
                "web" => Logs::Printed(printed.boxed()),
                "file" => Logs::Silent { kind: "File".into() },
                "gone" => Logs::Failed(Failure::new("EngineAway", "no engine answers", true)),
                _ => Logs::Unknown,
            };
            reply.send(logs).unwrap();
            format!("logs of {id}: {lines:?}")
        }
        Ask::Source(reply) => {
            reply.send(Some(json!({ "source": "some" }))).unwrap();
            "source".into()
        }
        Ask::Poll(force, reply) => {
            reply.send(true).unwrap();
            format!("poll {force}")
        }
        Ask::Metrics(reply) => {
            reply.send(Metrics { manifest_generation: 7, ..Metrics::default() }).unwrap();
            "metrics".into()
        }
    }
}

impl Rig {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/api.sock");
        let listener = bind(&socket).unwrap();
        let (asks, mut asked_of) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, asks, shutdown.clone()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let driver = tokio::spawn(async move {
            while let Some(ask) = asked_of.recv().await {
                let told = answer(ask);
                log.lock().unwrap().push(told);
            }
        });
        Self { client: Client::new(socket.clone()), socket, asked, shutdown, serving, driver, _dir: dir }
    }

    async fn send(&self, method: Method, path: &str, body: &[u8]) -> (StatusCode, String) {
        let (code, body) = self.client.send(method, path, body.to_vec()).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.send(Method::GET, path, b"").await
    }

    async fn post(&self, path: &str) -> (StatusCode, String) {
        self.send(Method::POST, path, b"").await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn reason(body: &str) -> String {
    let failure: ApiFailure = serde_json::from_str(body).unwrap();
    assert!(!failure.message.is_empty());
    failure.reason
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let rig = Rig::start();
    let (code, body) = rig.get("/v1/status").await;
    assert_eq!((code, serde_json::from_str(&body).unwrap()), (StatusCode::OK, status()));
    let (code, body) = rig.get("/v1/resources/web").await;
    assert_eq!((code, serde_json::from_str(&body).unwrap()), (StatusCode::OK, explanation()));
    assert_eq!(rig.get("/healthz").await, (StatusCode::OK, "ok\n".into()));
    let (code, body) = rig.get("/metrics").await;
    assert!(code.is_success() && body.contains("\nholdfast_manifest_generation 7\n"), "{body}");
    assert_eq!(rig.asked(), ["status", "explain web", "metrics", "metrics"]);
}

#[tokio::test]
async fn what_is_told_is_passed_on() {
    let rig = Rig::start();
    let paths = [
        "retry",
        "retry?id=web",
        "pause?for=1h",
        "pause?id=web&for=90s",
        "resume",
        "resume?id=web",
        "reconcile",
        "forget-generation",
        "source/poll",
        "update",
    ];
    for path in paths {
        assert_eq!(rig.post(&format!("/v1/{path}")).await, (StatusCode::NO_CONTENT, String::new()), "{path}");
    }
    let asked = [
        "retry None",
        "retry Some(web)",
        "pause None Some(3600s)",
        "pause Some(web) Some(90s)",
        "pause None None",
        "pause Some(web) None",
        "reconcile",
        "forget",
        "poll false",
        "poll false",
    ];
    assert_eq!(rig.asked(), asked);
    let forced = rig.send(Method::POST, "/v1/update", b"{\"force\": true, \"cancel\": false}").await;
    assert_eq!(forced.0, StatusCode::NO_CONTENT);
    assert_eq!(rig.asked(), ["poll true"]);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_a_fitting_code() {
    let rig = Rig::start();
    let cases = [
        (Method::GET, "/v1/resources/db", StatusCode::NOT_FOUND, "UnknownResource"),
        (Method::GET, "/v1/resources/No%20name", StatusCode::BAD_REQUEST, "BadId"),
        (Method::GET, "/v1/resources/%ff", StatusCode::BAD_REQUEST, "BadEncoding"),
        (Method::POST, "/v1/retry?id=db", StatusCode::NOT_FOUND, "UnknownResource"),
        (Method::POST, "/v1/retry?id=", StatusCode::BAD_REQUEST, "BadId"),
        (Method::POST, "/v1/retry?resource=web", StatusCode::BAD_REQUEST, "BadQuery"),
        (Method::POST, "/v1/pause?id=web", StatusCode::BAD_REQUEST, "NoTime"),
        (Method::POST, "/v1/pause?for=soon", StatusCode::BAD_REQUEST, "BadTime"),
        (Method::POST, "/v1/resume?id=db", StatusCode::NOT_FOUND, "UnknownResource"),
        (Method::GET, "/v1/plan", StatusCode::METHOD_NOT_ALLOWED, "WrongMethod"),
        (Method::GET, "/v1/update", StatusCode::METHOD_NOT_ALLOWED, "WrongMethod"),
        (Method::POST, "/v1/resume?for=1h", StatusCode::BAD_REQUEST, "BadQuery"),
        (Method::GET, "/v1/resources/", StatusCode::NOT_FOUND, "UnknownPath"),
        (Method::GET, "/v1/resources/web/x", StatusCode::NOT_FOUND, "UnknownPath"),
        (Method::GET, "/v1/resources/db/logs", StatusCode::NOT_FOUND, "UnknownResource"),
        (Method::GET, "/v1/resources/file/logs", StatusCode::CONFLICT, "PrintsNothing"),
        (Method::GET, "/v1/resources/gone/logs", StatusCode::BAD_GATEWAY, "EngineAway"),
        (Method::GET, "/v1/resources/web/logs?tail=many", StatusCode::BAD_REQUEST, "BadNumber"),
        (Method::GET, "/v1/resources//logs", StatusCode::NOT_FOUND, "UnknownPath"),
        (Method::GET, "/v2/status", StatusCode::NOT_FOUND, "UnknownPath"),
    ];
    for (method, path, code, why) in cases {
        let (got, body) = rig.send(method, path, b"").await;
        assert_eq!((got, reason(&body).as_str()), (code, why), "{path}");
    }
}

#[tokio::test]
async fn what_is_printed_is_handed_over_as_it_comes() {
    let rig = Rig::start();
    let mut printed = Vec::new();
    let take = |more: &[u8]| {
        printed.extend_from_slice(more);
        Ok::<_, ClientError>(())
    };
    rig.client.logs(&id("web"), Lines { last: Some(2), follow: false }, take).await.unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), "one\ntwo\n");
    assert_eq!(rig.asked(), ["logs of web: Lines { last: Some(2), follow: false }"]);
}

#[tokio::test]
async fn whoever_follows_does_not_keep_the_agent_from_ending() {
    let rig = Rig::start();
    let (heard, mut hears) = mpsc::unbounded_channel();
    let client = rig.client.clone();
    let follower = tokio::spawn(async move {
        let take = |more: &[u8]| {
            heard.send(more.to_vec()).unwrap();
            Ok::<_, ClientError>(())
        };
        client.logs(&id("web"), Lines { last: None, follow: true }, take).await
    });
    let mut text = Vec::new();
    while text.len() < 8 {
        text.extend(hears.recv().await.unwrap());
    }
    assert_eq!(text, b"one\ntwo\n", "it is told while more may come");
    rig.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), rig.serving).await.unwrap().unwrap();
    follower.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_plan_is_a_preview_or_a_refusal() {
    let rig = Rig::start();
    let (code, body) = rig.send(Method::POST, "/v1/plan", b"good").await;
    assert_eq!(
        (code, body.as_str()),
        (StatusCode::OK, r#"{"resources":{"web":{"action":"create"}},"problems":[]}"#)
    );
    let (code, body) = rig.send(Method::POST, "/v1/plan", b"bad").await;
    assert_eq!((code, reason(&body).as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "Unparsable"));
    let large = vec![b'x'; manifest_types::manifest::MANIFEST_LIMIT + 1];
    let (code, _) = rig.send(Method::POST, "/v1/plan", &large).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "admission says it better");
    let (code, body) =
        rig.send(Method::POST, "/v1/plan", &[large.as_slice(), large.as_slice()].concat()).await;
    assert_eq!((code, reason(&body).as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge"));
}

#[tokio::test]
async fn an_agent_that_ends_says_so() {
    let rig = Rig::start();
    rig.driver.abort();
    assert!(rig.driver.await.unwrap_err().is_cancelled());
    for path in ["/v1/status", "/healthz"] {
        let (code, body) = rig.client.send(Method::GET, path, vec![]).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!((code, reason(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "Stopping"), "{path}");
    }
    rig.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), rig.serving).await.unwrap().unwrap();
    assert!(!rig.socket.exists());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_is_not_waited_for() {
    let (asks, _kept) = mpsc::channel::<Ask>(1);
    let failed = routes::ask(&asks, Duration::from_secs(10), Ask::Status).await.unwrap_err();
    assert_eq!(failed.code, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_connection_that_says_nothing_keeps_no_agent_from_ending() {
    let rig = Rig::start();
    let _idle = tokio::net::UnixStream::connect(&rig.socket).await.unwrap();
    assert!(rig.get("/healthz").await.0.is_success(), "the idle one was accepted before");
    rig.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), rig.serving).await.unwrap().unwrap();
}
