//! Probes: questions that the agent asks a container again and again. What is known of the answers is decided purely (`Count`); who asks is a task for each
//! container, which ends with it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Empty;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use manifest_types::kinds::container::{ContainerSpec, HttpProbe, NetworkMode, Probe};
use tokio::{net::TcpStream, task::AbortHandle, time};

use crate::engine::{
    ContainerEngine,
    link::Link,
    terms::{Activity, Container, Subject},
};

/// What the probes of a container have said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Said {
    /// Whether it is ready; `None` without a readiness probe, or where it never was.
    pub ready: Option<bool>,
    /// Whether it is to be restarted.
    pub is_dead: bool,
}

/// The containers that are asked, by their ids.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<BTreeMap<String, Asked>>);

/// A container that is asked.
#[derive(Debug)]
struct Asked {
    /// Since which start.
    started_at: Option<Timestamp>,
    /// Where it is reached: a network that it left and came back to gives it another address.
    address: Option<IpAddr>,
    probes: manifest_types::kinds::container::Probes,
    said: Arc<Mutex<Said>>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Answers in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    successes: u16,
    failures: u16,
}

impl Count {
    /// Takes in an answer; what is said now, if there are enough in a row for that.
    fn take(&mut self, is_well: bool, probe: &Probe) -> Option<bool> {
        *self = match is_well {
            true => Self { successes: self.successes.saturating_add(1), failures: 0 },
            false => Self { successes: 0, failures: self.failures.saturating_add(1) },
        };
        if self.successes >= probe.success_threshold.unwrap_or(1) {
            return Some(true);
        }
        (self.failures >= probe.failure_threshold.unwrap_or(3)).then_some(false)
    }
}

impl Probes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody asks those any more that are not among `there`.
    pub(super) fn keep_only(&self, there: impl Fn(&str) -> bool) {
        self.all().retain(|id, _| there(id));
    }

    /// What is known of a container; from now on it is asked, if it runs and there is anything to ask.
    pub(super) fn said<E: ContainerEngine>(
        &self,
        link: &Arc<Link<E>>,
        container: &Container,
        spec: &ContainerSpec,
    ) -> Said {
        let mut all = self.all();
        let probes = &spec.probes;
        let nothing = probes.readiness.is_none() && probes.liveness.is_none();
        if nothing || container.state.activity != Activity::Running {
            all.remove(&container.id);
            return Said::default();
        }
        let started_at = container.state.started_at;
        let address = address(container, spec);
        let is_asked = |asked: &&Asked| {
            asked.started_at == started_at && asked.address == address && asked.probes == *probes
        };
        if let Some(asked) = all.get(&container.id).filter(is_asked) {
            return *asked.said.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let said = Arc::new(Mutex::new(Said::default()));
        let ask = |probe: &Option<Probe>, note: fn(&mut Said, bool)| {
            let probe = probe.clone()?;
            let asker = Asker {
                link: Arc::clone(link),
                subject: Subject::Container { id: container.id.clone(), name: container.name.clone() },
                id: container.id.clone(),
                address,
                said: Arc::clone(&said),
                note,
            };
            Some(tokio::spawn(asker.ask(probe)).abort_handle())
        };
        // What was never ready is not ready yet.
        let ready = ask(&probes.readiness, |said, is_well| {
            said.ready = if is_well { Some(true) } else { said.ready.map(|_| false) };
        });
        let alive = ask(&probes.liveness, |said, is_well| said.is_dead = !is_well);
        let tasks = ready.into_iter().chain(alive).collect();
        all.insert(container.id.clone(), Asked { started_at, address, probes: probes.clone(), said, tasks });
        Said::default()
    }
}

/// Where a container is reached.
fn address(container: &Container, spec: &ContainerSpec) -> Option<IpAddr> {
    if spec.networks.is_empty() && spec.network_mode == Some(NetworkMode::Host) {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    container.addresses.values().flatten().find_map(|address| address.parse().ok())
}

/// Who asks one question.
struct Asker<E> {
    link: Arc<Link<E>>,
    subject: Subject,
    id: String,
    address: Option<IpAddr>,
    said: Arc<Mutex<Said>>,
    note: fn(&mut Said, bool),
}

impl<E: ContainerEngine> Asker<E> {
    async fn ask(self, probe: Probe) {
        time::sleep(probe.initial_delay.map_or(Duration::ZERO, |span| span.0)).await;
        let mut count = Count::default();
        // A program that has not ended in time goes on in the container: no other is begun beside it, for as long as the engine may take for one.
        let mut late = None;
        loop {
            let (mut question, is_late) = match late.take() {
                Some(question) => (question, true),
                None => (self.question(&probe).boxed(), false),
            };
            let answer = match time::timeout(probe.wanted_timeout(), &mut question).await {
                Ok(answer) if !is_late => answer,
                Ok(answer) => answer.map(|_| false),
                Err(_) => {
                    late = probe.exec.is_some().then_some(question);
                    Some(false)
                }
            };
            if let Some(is_well) = answer
                && let Some(is_well) = count.take(is_well, &probe)
            {
                self.tell(is_well);
            }
            time::sleep(probe.wanted_interval()).await;
        }
    }

    fn tell(&self, is_well: bool) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *said;
        (self.note)(&mut said, is_well);
        if *said != before {
            self.link.remind(self.subject.clone(), Duration::ZERO);
        }
    }

    /// Whether it is well; `None` where that cannot be asked: an engine that is away says nothing of its containers.
    async fn question(&self, probe: &Probe) -> Option<bool> {
        if let Some(exec) = &probe.exec {
            return match self.link.engine.run_in(&self.id, &exec.command).await {
                Ok(code) => Some(code == 0),
                Err(error) => error.cause().map(|_| false),
            };
        }
        let Some(address) = self.address else { return Some(false) };
        Some(match (&probe.http, &probe.tcp) {
            (Some(http), _) => get(address, http).await.unwrap_or(false),
            (None, Some(tcp)) => TcpStream::connect((address, tcp.port)).await.is_ok(),
            (None, None) => false,
        })
    }
}

/// Whether a GET is answered with a status from 200 to 399.
async fn get(address: IpAddr, http: &HttpProbe) -> Option<bool> {
    let stream = TcpStream::connect((address, http.port)).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    // It ends with the answer, or when that is no longer waited for.
    tokio::spawn(connection);
    let path = http.path.as_deref().unwrap_or("/");
    let mut request = Request::get(path);
    if !http.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        request = request.header("Host", std::net::SocketAddr::new(address, http.port).to_string());
    }
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).ok()?).await.ok()?;
    Some((200..400).contains(&response.status().as_u16()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    #[test]
    fn it_takes_as_many_answers_in_a_row_as_the_probe_says() {
        let probe = json!({ "tcp": { "port": 80 }, "successThreshold": 2, "failureThreshold": 2 });
        let probe: Probe = serde_json::from_value(probe).unwrap();
        let mut count = Count::default();
        let said: Vec<_> =
            [true, true, false, true, false, false, true].map(|answer| count.take(answer, &probe)).to_vec();
        assert_eq!(said, [None, Some(true), None, None, None, Some(false), None]);
    }

    #[tokio::test]
    async fn a_get_is_well_when_its_status_is() {
        for (status, is_well) in
            [("200 OK", true), ("302 Found", true), ("404 Not Found", false), ("500 Oh", false)]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            let http =
                serde_json::from_value(json!({ "port": port, "path": "/ready", "headers": { "X-A": "b" } }))
                    .unwrap();
            assert_eq!(get([127, 0, 0, 1].into(), &http).await, Some(is_well), "{status}");
        }
    }
}
