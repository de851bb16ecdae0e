//! What must work after a change: the checks of a spec, asked before and after it.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use manifest_types::kinds::network_config::{Check, host_and_port, http_parts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{gateways, kernel::Kernel};
use crate::host::Reachability;

/// One attempt at a check takes no longer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// One thing to check, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Probe {
    ControlPlane,
    /// Of this interface, these; and where there are none, those that it has been given.
    Gateways(String, BTreeSet<IpAddr>, bool),
    Http(String),
    Tcp(String),
}

/// What to check of an interface with these gateways.
/// `is_given`: the network is to give it one.
pub(super) fn probe(check: &Check, link: &str, gateways: BTreeSet<IpAddr>, is_given: bool) -> Probe {
    match check {
        Check::ControlPlane => Probe::ControlPlane,
        Check::Gateway => Probe::Gateways(link.to_owned(), gateways, is_given),
        Check::Http { url } => Probe::Http(url.clone()),
        Check::Tcp { addr } => Probe::Tcp(addr.clone()),
    }
}

/// Which of these fail now, and why.
pub(super) async fn failing<K: Kernel>(
    kernel: &K,
    reach: &Arc<dyn Reachability>,
    probes: &[Probe],
) -> Vec<(Probe, String)> {
    let asked = probes.iter().map(async |probe| {
        let answer = match timeout(ATTEMPT, ask(kernel, reach, probe)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("there is no answer within {} s", ATTEMPT.as_secs())),
        };
        answer.err().map(|why| (probe.clone(), why))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

impl Probe {
    fn name(&self) -> String {
        match self {
            Self::ControlPlane => "ControlPlane".to_owned(),
            Self::Gateways(link, ..) => format!("Gateway of {link}"),
            // What follows it may be a secret.
            Self::Http(url) => format!("Http {}", url.split('?').next().unwrap_or_default()),
            Self::Tcp(addr) => format!("Tcp {addr}"),
        }
    }
}

/// What failed, for people.
pub(super) fn told(failing: &[(Probe, String)]) -> String {
    let told = failing.iter().map(|(probe, why)| format!("check {} failed ({why})", probe.name()));
    told.collect::<Vec<_>>().join(", ")
}

/// What is being asked, for people.
pub(super) fn unanswered(probes: &[Probe]) -> String {
    let told = probes.iter().map(|probe| format!("check {} failed (there is no answer)", probe.name()));
    told.collect::<Vec<_>>().join(", ")
}

async fn ask<K: Kernel>(kernel: &K, reach: &Arc<dyn Reachability>, probe: &Probe) -> Result<(), String> {
    match probe {
        Probe::ControlPlane => reach.control_plane().await,
        Probe::Gateways(link, gateways, is_given) => {
            let given = match gateways.is_empty() && *is_given {
                true => given(kernel, link).await?,
                false => BTreeSet::new(),
            };
            for gateway in gateways.iter().chain(&given) {
                match kernel.answers(link, *gateway).await {
                    Ok(true) => {}
                    Ok(false) => return Err(format!("{gateway} does not answer")),
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(())
        }
        Probe::Tcp(addr) => {
            let parts = host_and_port(addr).ok_or("it names no host and port")?;
            TcpStream::connect(parts).await.map(drop).map_err(|error| error.to_string())
        }
        Probe::Http(url) => {
            let (host, port, path) = http_parts(url).ok_or("it is no address")?;
            let answered = get(host, port, path).await.map_err(|error| error.to_string())?;
            if (200..400).contains(&answered) { Ok(()) } else { Err(format!("it answers with {answered}")) }
        }
    }
}

/// The gateways that the network has given an interface; one at least.
async fn given<K: Kernel>(kernel: &K, link: &str) -> Result<BTreeSet<IpAddr>, String> {
    let links = kernel.links().await.map_err(|error| error.to_string())?;
    let given = links.get(link).map(gateways).unwrap_or_default();
    if given.is_empty() { Err("the network has given none".into()) } else { Ok(given) }
}

/// The status with which a GET is answered. Nothing else of the answer is of interest.
async fn get(host: &str, port: u16, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let told = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {told}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status =
        status.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| std::io::Error::other("it does not speak HTTP"))
}
