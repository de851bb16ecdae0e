//! A kernel in memory, for what a real one does too rarely. It does with addresses and routes what the real one does.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use manifest_types::kinds::network_config::Mac;
use nix::libc;
use tokio::sync::broadcast;

use super::{Kernel, KernelError};
use crate::network_config::{
    moves::{Change, Move},
    terms::{Addr, KERNEL, Link, Links, MAIN_TABLE, Made, Route},
};

/// A kernel in memory. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeKernel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    events: broadcast::Sender<()>,
}

#[derive(Debug, Default)]
struct World {
    links: Links,
    made: u32,
    /// Who answers, and at which interface.
    neighbours: BTreeSet<(String, IpAddr)>,
    /// So many changes are made before the next one is refused.
    refuses_after: Option<u32>,
    /// How many changes were asked for.
    changes: u32,
    /// It refuses to give anything an address.
    gives_none: bool,
}

impl Default for FakeKernel {
    fn default() -> Self {
        let (events, _) = broadcast::channel(64);
        Self(Arc::new(Shared { world: Mutex::default(), events }))
    }
}

impl World {
    fn refuse(one: &Move, errno: i32) -> KernelError {
        KernelError::Refused { doing: format!("change {} of {}", one.change, one.link), errno }
    }

    fn add(&mut self, name: &str, made: Option<Made>) {
        self.made += 1;
        let [.., high, low] = self.made.to_be_bytes();
        let mac = Some(Mac([0x52, 0x54, 0, 0, high, low]));
        let oper_state = "down".into();
        let link = Link { index: self.made, mac, made, oper_state, mtu: 1500, ..Link::default() };
        self.links.insert(name.to_owned(), link);
    }

    fn remove(&mut self, name: &str) {
        let Some(gone) = self.links.remove(name) else { return };
        if let Some(Made::Veth { peer }) = gone.made {
            self.links.remove(&peer);
        }
        let on_it = |link: &Link| matches!(&link.made, Some(Made::Vlan { parent, .. }) if parent == name);
        self.links.retain(|_, link| !on_it(link));
        for link in self.links.values_mut().filter(|link| link.master.as_deref() == Some(name)) {
            link.master = None;
        }
    }

    fn make(&mut self, one: &Move) -> Result<(), KernelError> {
        let refused = |errno| Err(Self::refuse(one, errno));
        match &one.change {
            Change::Make(_) if self.links.contains_key(&one.link) => refused(libc::EEXIST),
            Change::Make(Made::Other(_)) => refused(libc::EOPNOTSUPP),
            Change::Make(Made::Vlan { parent, .. }) if !self.links.contains_key(parent) => {
                refused(libc::ENODEV)
            }
            Change::Make(made) => {
                self.add(&one.link, Some(made.clone()));
                if let Made::Veth { peer } = made {
                    self.add(peer, Some(Made::Veth { peer: one.link.clone() }));
                }
                Ok(())
            }
            Change::Remove if !self.links.contains_key(&one.link) => refused(libc::ENODEV),
            Change::Remove => {
                self.remove(&one.link);
                Ok(())
            }
            Change::Master(Some(master)) if !self.links.contains_key(master) => refused(libc::ENODEV),
            _ => match self.links.get_mut(&one.link) {
                Some(link) => change(link, one),
                None => Err(KernelError::NoLink(one.link.clone())),
            },
        }
    }
}

fn connected(addr: Addr) -> Route {
    let metric = if matches!(addr.net, ipnet::IpNet::V6(_)) { 256 } else { 0 };
    Route { protocol: KERNEL, ..Route::of(addr.net.trunc(), None, metric, MAIN_TABLE) }
}

fn change(link: &mut Link, one: &Move) -> Result<(), KernelError> {
    let refused = |errno| Err(World::refuse(one, errno));
    match &one.change {
        Change::Up(is_up) => {
            link.is_up = *is_up;
            link.oper_state = if *is_up { "up" } else { "down" }.into();
            link.routes = match is_up {
                true => {
                    let own = link.addresses.iter().filter(|addr| !addr.is_bare);
                    own.map(|addr| connected(*addr)).collect()
                }
                false => BTreeSet::new(),
            };
        }
        Change::Mtu(mtu) => link.mtu = *mtu,
        Change::Master(master) => link.master.clone_from(master),
        Change::AddAddress(addr) => {
            if link.addresses.iter().any(|known| known.net == addr.net) {
                return refused(libc::EEXIST);
            }
            link.addresses.insert(*addr);
            if link.is_up && !addr.is_bare {
                link.routes.insert(connected(*addr));
            }
        }
        Change::RemoveAddress(addr) => {
            let before = link.addresses.len();
            link.addresses.retain(|known| known.net != addr.net);
            if link.addresses.len() == before {
                return refused(libc::EADDRNOTAVAIL);
            }
            let keeps = link.addresses.iter().any(|other| other.net.trunc() == addr.net.trunc());
            if !keeps {
                link.routes.remove(&connected(*addr));
                link.routes.retain(|route| {
                    route.source != Some(addr.net.addr())
                        && route.via.is_none_or(|via| route.onlink || !addr.net.contains(&via))
                });
            }
        }
        Change::AddRoute(route) => {
            if !link.is_up {
                return refused(libc::ENETDOWN);
            }
            let is_near = |via| link.addresses.iter().any(|addr| addr.net.contains(&via));
            if route.via.is_some_and(|via| !route.onlink && !is_near(via)) {
                return refused(libc::ENETUNREACH);
            }
            if link.routes.iter().any(|known| Route { protocol: route.protocol, ..*known } == *route) {
                return refused(libc::EEXIST);
            }
            link.routes.insert(*route);
        }
        Change::RemoveRoute(route) => {
            let before = link.routes.len();
            link.routes.retain(|known| known != route);
            if link.routes.len() == before {
                return refused(libc::ESRCH);
            }
        }
        Change::Make(_) | Change::Remove => {}
    }
    Ok(())
}

impl FakeKernel {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        // Nobody may be listening.
        let _ = self.0.events.send(());
    }

    /// Plugs in hardware, up, with these addresses.
    pub fn plug(&self, name: &str, addresses: &[&str]) {
        {
            let mut world = self.lock();
            world.add(name, None);
            let link = world.links.get_mut(name).expect("it was just added");
            link.is_up = true;
            link.oper_state = "up".into();
            for address in addresses {
                let addr = Addr::of(address.parse().expect("a test writes good addresses"));
                link.addresses.insert(addr);
                link.routes.insert(connected(addr));
            }
        }
        self.tell();
    }

    /// Somebody answers at an interface, as long as that is up and has an address in the same network.
    pub fn neighbour(&self, link: &str, neighbour: &str) {
        let neighbour = neighbour.parse().expect("a test writes good addresses");
        self.lock().neighbours.insert((link.to_owned(), neighbour));
    }

    /// After so many changes, the next one is refused.
    pub fn refuse_after(&self, changes: u32) {
        let mut world = self.lock();
        world.refuses_after = Some(world.changes + changes);
    }

    /// From now on it refuses to give an interface an address, or does so again.
    pub fn give_no_addresses(&self, gives_none: bool) {
        self.lock().gives_none = gives_none;
    }

    /// An interface has something that has no place in our terms.
    pub fn goes_beyond(&self, link: &str, what: &str) {
        if let Some(link) = self.lock().links.get_mut(link) {
            link.beyond.insert(what.to_owned());
        }
    }

    /// An interface has this address of hardware, as what is made upon another one has that one's.
    pub fn has_address(&self, link: &str, mac: Mac) {
        if let Some(link) = self.lock().links.get_mut(link) {
            link.mac = Some(mac);
        }
    }

    /// Somebody else does something.
    pub fn abuse(&self, link: &str, change: Change) -> Result<(), KernelError> {
        let done = self.lock().make(&Move { link: link.to_owned(), change });
        self.tell();
        done
    }

    /// How many changes were asked for.
    pub fn changes(&self) -> u32 {
        self.lock().changes
    }
}

impl Kernel for FakeKernel {
    async fn links(&self) -> Result<Links, KernelError> {
        tokio::task::yield_now().await;
        Ok(self.lock().links.clone())
    }

    async fn make(&self, one: &Move) -> Result<(), KernelError> {
        tokio::task::yield_now().await;
        let done = {
            let mut world = self.lock();
            world.changes += 1;
            if world.refuses_after.is_some_and(|after| world.changes > after) {
                world.refuses_after = None;
                return Err(World::refuse(one, libc::EBUSY));
            }
            if world.gives_none && matches!(one.change, Change::AddAddress(_)) {
                return Err(World::refuse(one, libc::EBUSY));
            }
            world.make(one)
        };
        self.tell();
        match done {
            Err(KernelError::Refused { errno, .. }) if one.is_done_by(errno) => Ok(()),
            Err(KernelError::NoLink(_)) if one.is_done_by(libc::ENODEV) => Ok(()),
            done => done,
        }
    }

    async fn answers(&self, link: &str, neighbour: IpAddr) -> Result<bool, KernelError> {
        let world = self.lock();
        let Some(found) = world.links.get(link) else { return Err(KernelError::NoLink(link.to_owned())) };
        let is_near = found.addresses.iter().any(|addr| addr.net.contains(&neighbour));
        Ok(found.is_up && is_near && world.neighbours.contains(&(link.to_owned(), neighbour)))
    }

    fn events(&self) -> BoxStream<'static, ()> {
        let heard = stream::unfold(self.0.events.subscribe(), |mut events| async move {
            match events.recv().await {
                Err(broadcast::error::RecvError::Closed) => None,
                _ => Some(((), events)),
            }
        });
        heard.boxed()
    }
}
