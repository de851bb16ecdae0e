//! What is to be asked of the kernel, one thing after the other, so that interfaces are as they are to be. Pure.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;

use super::{
    setup::{Setup, stale},
    terms::{Addr, KERNEL, Link, Links, Made, Route, of_mac},
};

/// How interfaces were; `None`: it was not there.
pub type Snapshot = BTreeMap<String, Option<Link>>;

/// One thing to ask of the kernel, of the interface of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The interface.
    pub link: String,
    /// What is done with it.
    pub change: Change,
}

/// What is done with an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is made.
    Make(Made),
    /// It goes.
    Remove,
    /// It is put up, or down.
    Up(bool),
    /// Its largest packet.
    Mtu(u32),
    /// It becomes a port of a bridge, or of none.
    Master(Option<String>),
    /// It gets an address.
    AddAddress(Addr),
    /// It loses an address.
    RemoveAddress(Addr),
    /// It gets a route.
    AddRoute(Route),
    /// It loses a route.
    RemoveRoute(Route),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(_) | Self::Remove => f.write_str("the presence"),
            Self::Up(_) => f.write_str("the state"),
            Self::Mtu(_) => f.write_str("the MTU"),
            Self::Master(_) => f.write_str("the bridge"),
            Self::AddAddress(addr) | Self::RemoveAddress(addr) => write!(f, "the address {}", addr.net),
            Self::AddRoute(route) | Self::RemoveRoute(route) => write!(f, "the route to {}", route.to),
        }
    }
}

impl Move {
    /// An error of this kind of the kernel's is none: what was to be is so already.
    pub fn is_done_by(&self, errno: i32) -> bool {
        use nix::errno::Errno;
        let gone = [Errno::ENODEV, Errno::EADDRNOTAVAIL, Errno::ESRCH, Errno::ENOENT];
        match self.change {
            Change::Make(_) | Change::AddAddress(_) | Change::AddRoute(_) => errno == Errno::EEXIST as i32,
            Change::Remove | Change::RemoveAddress(_) | Change::RemoveRoute(_) => {
                gone.iter().any(|gone| *gone as i32 == errno)
            }
            Change::Up(_) | Change::Mtu(_) | Change::Master(_) => false,
        }
    }
}

/// Notes what is to be done with one interface.
struct Moves<'m> {
    link: &'m str,
    all: &'m mut Vec<Move>,
}

impl Moves<'_> {
    fn push(&mut self, change: Change) {
        self.all.push(Move { link: self.link.to_owned(), change });
    }
}

/// What makes the device as `setup` says. `former`: what was wanted before, whose routes go.
pub fn to(links: &Links, setup: &Setup, former: Option<&Setup>) -> Vec<Move> {
    let mut all = Vec::new();
    let none = Link::default();
    let found = links.get(&setup.name);
    let is_other = found.is_some_and(|found| !setup.fits(found));
    let mut moves = Moves { link: &setup.name, all: &mut all };
    if is_other {
        moves.push(Change::Remove);
    }
    if let Some(made) = setup.made.as_ref().filter(|_| is_other || found.is_none()) {
        moves.push(Change::Make(made.clone()));
    }
    let link = found.filter(|_| !is_other).unwrap_or(&none);
    if !setup.is_up {
        if link.is_up {
            moves.push(Change::Up(false));
        }
    } else if link.master.is_some() {
        moves.push(Change::Master(None));
    }
    if let Some(mtu) = setup.mtu.filter(|mtu| *mtu != link.mtu) {
        moves.push(Change::Mtu(mtu));
    }
    ports(links, setup, &mut all);
    let mut moves = Moves { link: &setup.name, all: &mut all };
    for (is_v6, family) in [false, true].into_iter().zip(&setup.families) {
        family.needless(is_v6, link).for_each(|addr| moves.push(Change::RemoveAddress(addr)));
    }
    if setup.is_up && !link.is_up {
        moves.push(Change::Up(true));
    }
    // What goes with the last address of its family goes with it; so new ones come first.
    for family in &setup.families {
        let missing =
            family.addresses.iter().filter(|net| !link.addresses.iter().any(|addr| addr.net == **net));
        missing.for_each(|net| moves.push(Change::AddAddress(Addr::of(*net))));
    }
    let has_lost = all_routes_go(&all);
    let mut moves = Moves { link: &setup.name, all: &mut all };
    for family in &setup.families {
        let missing = family
            .routes
            .iter()
            .filter(|wanted| has_lost || !link.routes.iter().any(|route| route.is_as(wanted)));
        missing.for_each(|wanted| moves.push(Change::AddRoute(wanted.route())));
    }
    for (is_v6, family) in [false, true].into_iter().zip(&setup.families) {
        family.misleading(is_v6, link).for_each(|route| moves.push(Change::RemoveRoute(route)));
    }
    stale(link, setup, former).for_each(|route| moves.push(Change::RemoveRoute(*route)));
    all
}

/// Whether routes may be gone after these moves: the kernel takes those that an address carried away with it.
fn all_routes_go(moves: &[Move]) -> bool {
    moves.iter().any(|made| {
        matches!(made.change, Change::RemoveAddress(_) | Change::Up(_) | Change::Remove | Change::Master(_))
    })
}

fn ports(links: &Links, setup: &Setup, all: &mut Vec<Move>) {
    if setup.made != Some(Made::Bridge) {
        return;
    }
    for port in setup.leaving(links) {
        Moves { link: port, all }.push(Change::Master(None));
    }
    for port in &setup.ports {
        let link = links.get(port);
        let mut moves = Moves { link: port, all };
        // The addresses of a port are of no use, and in the way of the bridge's.
        let addresses = link.into_iter().flat_map(|link| &link.addresses).filter(|addr| !addr.is_kernels());
        addresses.for_each(|addr| moves.push(Change::RemoveAddress(*addr)));
        if link.and_then(|link| link.master.as_deref()) != Some(&setup.name) {
            moves.push(Change::Master(Some(setup.name.clone())));
        }
        if let Some(mtu) = setup.mtu.filter(|mtu| link.is_some_and(|link| link.mtu != *mtu)) {
            moves.push(Change::Mtu(mtu));
        }
        if !link.is_some_and(|link| link.is_up) {
            moves.push(Change::Up(true));
        }
    }
}

/// What makes interfaces as they were. `leases`: whether what the network had given is put back, too: nobody else does it.
pub fn back(links: &Links, was: &Snapshot, leases: bool) -> Vec<Move> {
    let mut all = Vec::new();
    // What has come since may stand in the way.
    for name in was.iter().filter(|(_, was)| was.is_none()).map(|(name, _)| name) {
        if links.get(name).is_some_and(|now| now.made.is_some()) {
            Moves { link: name, all: &mut all }.push(Change::Remove);
        }
    }
    // A bridge that is not there, and does not come back, has no ports.
    let stays = |master: &String| match was.get(master) {
        Some(was) => was.is_some(),
        None => links.contains_key(master),
    };
    // The other end of a pair that goes goes with it.
    let goes =
        |link: &Link| matches!(&link.made, Some(Made::Veth { peer }) if matches!(was.get(peer), Some(None)));
    for (name, link) in was.iter().filter_map(|(name, link)| Some((name, link.as_ref()?))) {
        if has_moved(links, name, link) || goes(link) {
            continue;
        }
        let link = Link { master: link.master.clone().filter(stays), ..link.clone() };
        one_back(links.get(name), &link, leases, &mut Moves { link: name, all: &mut all });
    }
    all
}

/// Whether the hardware that had a name has another one now.
fn has_moved(links: &Links, name: &str, was: &Link) -> bool {
    let Some(now) = links.get(name) else { return false };
    // Several may have one address, and stay where they are.
    let is_other = was.made.is_none() && now.made.is_none() && now.mac != was.mac;
    was.mac.filter(|_| is_other).is_some_and(|mac| of_mac(mac, links).is_some())
}

fn one_back(now: Option<&Link>, was: &Link, leases: bool, moves: &mut Moves<'_>) {
    let none = Link::default();
    let now = match (now, &was.made) {
        // What has its name is something else by now.
        (Some(now), Some(made))
            if now.made.is_some() && !made.is_others_to_make() && now.made != was.made =>
        {
            moves.push(Change::Remove);
            moves.push(Change::Make(made.clone()));
            &none
        }
        (Some(now), _) => now,
        (None, Some(made @ (Made::Bridge | Made::Vlan { .. } | Made::Veth { .. }))) => {
            moves.push(Change::Make(made.clone()));
            &none
        }
        // Hardware that is not there any more, or what only its own maker can make.
        (None, _) => return,
    };
    let begun = moves.all.len();
    if now.master != was.master {
        moves.push(Change::Master(was.master.clone()));
    }
    if now.mtu != was.mtu && was.mtu > 0 {
        moves.push(Change::Mtu(was.mtu));
    }
    let is_back = |addr: &&Addr| !addr.is_kernels() && (leases || !addr.is_leased);
    let extra = now.addresses.iter().filter(|addr| !addr.is_kernels() && !addr.is_leased);
    let extra = extra.filter(|addr| !was.addresses.iter().any(|before| before.is_as(addr)));
    extra.for_each(|addr| moves.push(Change::RemoveAddress(*addr)));
    if now.is_up != was.is_up {
        moves.push(Change::Up(was.is_up));
    }
    let lost = was.addresses.iter().filter(is_back);
    // The kernel keeps addresses of IPv6 on what is up only.
    let lost = lost.filter(|addr| was.is_up || matches!(addr.net, IpNet::V4(_)));
    let lost = lost.filter(|addr| !now.addresses.iter().any(|known| known.is_as(addr)));
    lost.for_each(|addr| moves.push(Change::AddAddress(*addr)));
    // Nothing leads over what is down.
    if !was.is_up {
        return;
    }
    let has_lost = all_routes_go(&moves.all[begun..]);
    // What leads to the neighbours of a bare address was made by whoever has given that.
    let of_bare = |route: &Route| {
        let mut bare = was.addresses.iter().filter(is_back).filter(|addr| addr.is_bare);
        bare.any(|addr| addr.net.trunc() == route.to)
    };
    // What goes by an address that does not come back does not, either.
    let is_gone =
        |source: IpAddr| was.addresses.iter().any(|addr| addr.net.addr() == source && !is_back(&addr));
    let is_own = |route: &&Route| {
        let is_ours = if route.protocol == KERNEL { of_bare(route) } else { leases || !route.follows() };
        is_ours && !route.source.is_some_and(is_gone)
    };
    let lost = was
        .routes
        .iter()
        .filter(is_own)
        .filter(|route| has_lost || !now.routes.iter().any(|known| known.leads_as(route)));
    // A route by way of a router needs the one that leads there.
    let mut lost: Vec<_> = lost.collect();
    lost.sort_by_key(|route| (route.via.is_some(), route.to.prefix_len() == 0));
    lost.into_iter().for_each(|route| moves.push(Change::AddRoute(*route)));
    let extra = now
        .routes
        .iter()
        .filter(|route| !route.follows() && !was.routes.iter().any(|before| before.leads_as(route)));
    extra.for_each(|route| moves.push(Change::RemoveRoute(*route)));
}

#[cfg(test)]
mod tests;
