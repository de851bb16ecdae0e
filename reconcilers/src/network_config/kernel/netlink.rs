//! The kernel itself, over netlink. One connection, made when it is needed and again after it broke; what the kernel tells by itself is heard on it, too.

use std::{
    fs::File,
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_proto::{
    ConnectionHandle,
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};
use nix::libc;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep},
};

use super::{Kernel, KernelError};
use crate::network_config::{moves::Move, terms::Links};

mod packet;
mod read;
mod write;

use packet::Packet;

/// Changes of interfaces, addresses and routes, of both families.
const GROUPS: i32 = libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV6_ROUTE;
/// So much is kept for whoever is slow to hear it: that anything has changed is all that is told.
const KEPT: usize = 64;
/// The kernel asks a neighbour three times, a second apart.
const NEIGHBOUR: Duration = Duration::from_millis(3500);
const NEIGHBOUR_AGAIN: Duration = Duration::from_millis(50);
/// What is known of a neighbour that answers.
const ANSWERED: u16 = libc::NUD_REACHABLE | libc::NUD_PERMANENT | libc::NUD_NOARP;

/// The kernel. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Netlink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The network namespace, where it is not this process' own.
    namespace: Option<PathBuf>,
    handle: Mutex<Option<ConnectionHandle<Packet>>>,
    /// The kernel lists one thing at a time on one connection.
    listing: tokio::sync::Mutex<()>,
    events: broadcast::Sender<()>,
}

impl Default for Netlink {
    fn default() -> Self {
        Self::at(None)
    }
}

impl Netlink {
    fn at(namespace: Option<PathBuf>) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        Self(Arc::new(Shared { namespace, handle: Mutex::default(), listing: Default::default(), events }))
    }

    /// That of another network namespace: `/proc/PID/ns/net`.
    pub fn in_namespace(namespace: PathBuf) -> Self {
        Self::at(Some(namespace))
    }

    fn handle(&self) -> Result<ConnectionHandle<Packet>, KernelError> {
        let mut known = self.0.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*known {
            return Ok(handle.clone());
        }
        let away = |error: io::Error| KernelError::Away(error.to_string());
        let (mut connection, handle, mut told) = match &self.0.namespace {
            None => open().map_err(away)?,
            Some(namespace) => open_in(namespace.clone()).map_err(away)?,
        };
        let groups = SocketAddr::new(0, GROUPS.cast_unsigned());
        connection.socket_mut().socket_mut().bind(&groups).map_err(away)?;
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let hear = async {
                while told.next().await.is_some() {
                    let Some(shared) = shared.upgrade() else { return };
                    // Nobody may be listening.
                    let _ = shared.events.send(());
                }
            };
            tokio::join!(connection, hear);
            // A connection ends with the kernel's patience: what was told meanwhile is lost, and anything may have changed.
            let Some(shared) = shared.upgrade() else { return };
            *shared.handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = shared.events.send(());
        });
        *known = Some(handle.clone());
        Ok(handle)
    }

    fn broke(&self) -> KernelError {
        *self.0.handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
        KernelError::Away("the connection broke".into())
    }

    /// Sends one message, and gathers what comes back until it is through.
    async fn ask(&self, packet: Packet, flags: u16, doing: &str) -> Result<Vec<Packet>, KernelError> {
        let handle = self.handle()?;
        let mut header = NetlinkHeader::default();
        header.flags = libc::NLM_F_REQUEST as u16 | flags;
        let message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(packet));
        let mut answers = handle.request(message, SocketAddr::new(0, 0)).map_err(|_| self.broke())?;
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(packet) => all.push(packet),
                NetlinkPayload::Error(error) => {
                    if let Some(code) = error.code {
                        return Err(KernelError::Refused { doing: doing.to_owned(), errno: -code.get() });
                    }
                }
                _ => {}
            }
        }
        Ok(all)
    }

    async fn list(&self, kind: u16, header: usize) -> Result<Vec<Packet>, KernelError> {
        let _turn = self.0.listing.lock().await;
        self.ask(write::all(kind, header), libc::NLM_F_DUMP as u16, "tell what there is").await
    }

    async fn index(&self, link: &str) -> Result<u32, KernelError> {
        let links = read::links(&self.list(libc::RTM_GETLINK, read::LINK).await?);
        links.get(link).map(|link| link.index).ok_or_else(|| KernelError::NoLink(link.to_owned()))
    }
}

type Opened = (
    netlink_proto::Connection<Packet, TokioSocket>,
    ConnectionHandle<Packet>,
    futures_channel::mpsc::UnboundedReceiver<(NetlinkMessage<Packet>, SocketAddr)>,
);

fn open() -> io::Result<Opened> {
    netlink_proto::new_connection::<Packet>(NETLINK_ROUTE)
}

/// A socket stays in the namespace that it was made in; a thread of its own goes there for that.
fn open_in(namespace: PathBuf) -> io::Result<Opened> {
    let runtime = tokio::runtime::Handle::current();
    let opening = std::thread::spawn(move || {
        let _guard = runtime.enter();
        nix::sched::setns(File::open(namespace)?, nix::sched::CloneFlags::CLONE_NEWNET)?;
        open()
    });
    opening.join().map_err(|_| io::Error::other("the thread that opens it has panicked"))?
}

impl Kernel for Netlink {
    async fn links(&self) -> Result<Links, KernelError> {
        let mut told = self.list(libc::RTM_GETLINK, read::LINK).await?;
        told.extend(self.list(libc::RTM_GETADDR, read::ADDRESS).await?);
        told.extend(self.list(libc::RTM_GETROUTE, read::ROUTE).await?);
        Ok(read::links(&told))
    }

    async fn make(&self, one: &Move) -> Result<(), KernelError> {
        let links = read::links(&self.list(libc::RTM_GETLINK, read::LINK).await?);
        let index = |name: &str| links.get(name).map(|link| link.index);
        let doing = write::told(&one.link, &one.change);
        let Some((packet, flags)) = write::change(&one.link, &one.change, &index) else {
            let is_gone = one.is_done_by(libc::ENODEV);
            return if is_gone { Ok(()) } else { Err(KernelError::NoLink(one.link.clone())) };
        };
        match self.ask(packet, flags | libc::NLM_F_ACK as u16, &doing).await {
            Err(KernelError::Refused { errno, .. }) if one.is_done_by(errno) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn answers(&self, link: &str, neighbour: IpAddr) -> Result<bool, KernelError> {
        let index = self.index(link).await?;
        let doing = format!("ask for {neighbour} at {link}");
        let ack = libc::NLM_F_ACK as u16;
        // What was known of it proves nothing.
        let (packet, flags) = write::forget(index, neighbour);
        let _ = self.ask(packet, flags | ack, &doing).await;
        let (packet, flags) = write::seek(index, neighbour);
        self.ask(packet, flags | ack, &doing).await?;
        let end = Instant::now() + NEIGHBOUR;
        loop {
            let known = self.list(libc::RTM_GETNEIGH, read::NEIGHBOUR).await?;
            let state = known
                .iter()
                .filter(|packet| packet.word(4) == index)
                .find(|packet| packet.attributes(read::NEIGHBOUR).ip(libc::NDA_DST) == Some(neighbour))
                .map_or(0, |packet| u16::from_ne_bytes([packet.byte(8), packet.byte(9)]));
            if state & ANSWERED != 0 {
                return Ok(true);
            }
            if state & libc::NUD_FAILED != 0 || Instant::now() >= end {
                return Ok(false);
            }
            sleep(NEIGHBOUR_AGAIN).await;
        }
    }

    fn events(&self) -> BoxStream<'static, ()> {
        let heard = stream::unfold(self.0.events.subscribe(), |mut events| async move {
            match events.recv().await {
                // What was missed was the same.
                Ok(()) | Err(RecvError::Lagged(_)) => Some(((), events)),
                Err(RecvError::Closed) => None,
            }
        });
        heard.boxed()
    }
}
