//! What a change is to be made of, and what cannot be made at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use manifest_types::{
    kinds::{
        ResourceSpec,
        network_config::{LinkType, NetworkConfigSpec},
    },
    name::ResourceId,
};

use super::{
    NetworkConfigReconciler,
    backend::{Backend, Wanted},
    checks::probe,
    error::NetworkError,
    gateways,
    kernel::Kernel,
    meant,
    memory::{Checkpoint, Record},
    resolve,
    setup::{self, Setup},
    terms::{Addr, Link, Links, Made},
    transaction::{Planned, Work},
};
use crate::{
    observation::Before,
    reconciler::{Change, Owned, Put, Take},
};

/// Bridges that container engines make.
const ENGINES: [&str; 3] = ["docker", "podman", "cni"];
/// Docker names the bridge of a network by this, and the beginning of the network's id.
const DOCKERS: &str = "br-";
const DOCKERS_ID: usize = 12;

impl<K: Kernel, B: Backend> NetworkConfigReconciler<K, B> {
    /// What is to be done for one change; `None`: nothing.
    pub(super) async fn plan<'a>(
        &self,
        change: &Change<'a, NetworkConfigSpec>,
        links: &Links,
        record: &Record,
        staying: &Staying,
    ) -> Result<Option<Planned<'a>>, NetworkError> {
        match change {
            Change::Put(put) => self.plan_put(put, links, record, staying).await,
            Change::Take(take) => plan_take(take, links, record),
        }
    }

    async fn plan_put<'a>(
        &self,
        put: &Put<'a, NetworkConfigSpec>,
        links: &Links,
        record: &Record,
        staying: &Staying,
    ) -> Result<Option<Planned<'a>>, NetworkError> {
        let undone = record.undone.get(put.id).filter(|undone| undone.digest == put.digest);
        if let Some(undone) = undone.filter(|_| self.tells(put.id)) {
            return Err(NetworkError::Undone(undone.why.clone()));
        }
        if let Some(missing) = self.backend.unsupported(put.spec).await {
            let backend = self.backend_name();
            return Err(NetworkError::Unsupported { field: missing.field, backend, why: missing.why });
        }
        let name = resolve(put.spec, links).ok_or_else(|| unresolved(put.spec, links))?;
        let setup = Setup::of(&name, put.spec);
        setup.touches().try_for_each(|name| protect(name, links))?;
        for name in std::iter::once(&name).chain(&setup.ports) {
            let lets_go = |by: &&ResourceId| staying.get(*by).is_some_and(|names| !names.contains(name));
            if let Some(by) = record.other_holder(name, links, put.id).filter(|by| !lets_go(by)) {
                return Err(NetworkError::Taken { name: name.clone(), by: by.to_string() });
            }
        }
        let former = former(put.owned, &name);
        fits(&setup, links, record.held.get(put.id))?;
        let wanted = Wanted { spec: put.spec, setup, former };
        let held = record.held_by(put.id, links).unwrap_or_default();
        let released = held.without(&wanted.setup, wanted.former.as_ref());
        let mut differences = wanted.setup.differences(links);
        differences.extend(setup::stale_differences(links, &wanted.setup, wanted.former.as_ref()));
        differences.extend(self.backend.differences(&wanted).await?);
        if differences.is_empty() && released.is_empty() {
            return Ok(None);
        }
        let given = released.kernel.keys().map(String::as_str).chain(released.saved.interfaces());
        let touched = wanted.setup.touches().chain(given);
        let ports = wanted.setup.leaving(links);
        let interfaces: BTreeSet<String> = touched.chain(ports).map(str::to_owned).collect();
        let on_trial = record.confirmed.get(put.id) != Some(&put.digest);
        if on_trial {
            can_be_put_back(&interfaces, links)?;
        }
        let fields: Vec<_> = differences.iter().map(|difference| difference.path.as_str()).collect();
        let tried = format!("a change of {name} ({})", fields.join(", "));
        let confirm = &put.spec.confirm;
        let after: BTreeSet<IpAddr> =
            wanted.setup.families.iter().flat_map(setup::Family::gateways).collect();
        let before = links.get(&name).map(gateways).unwrap_or_default();
        let is_given = wanted.setup.families.iter().any(|family| family.dhcp);
        Ok(Some(Planned {
            id: put.id,
            interfaces,
            on_trial,
            probes: confirm.checks.iter().map(|check| probe(check, &name, after.clone(), is_given)).collect(),
            probes_before: confirm
                .checks
                .iter()
                .map(|check| probe(check, &name, before.clone(), false))
                .collect(),
            within: confirm.within.0,
            tried,
            work: Work::Put { wanted, digest: put.digest, released },
        }))
    }
}

/// The interfaces that each of some changes goes on with.
pub(super) type Staying = BTreeMap<ResourceId, BTreeSet<String>>;

/// What stays with whom. What somebody lets go of, another one may have in the same change.
pub(super) fn staying(changes: &[Change<'_, NetworkConfigSpec>], links: &Links) -> Staying {
    let names = |spec: &NetworkConfigSpec| {
        let setup = resolve(spec, links).map(|name| Setup::of(&name, spec));
        setup.iter().flat_map(Setup::touches).map(str::to_owned).collect()
    };
    let stays = |change: &Change<'_, NetworkConfigSpec>| match change {
        Change::Put(put) => (put.id.clone(), names(put.spec)),
        Change::Take(take) => (take.id.clone(), BTreeSet::new()),
    };
    changes.iter().map(stays).collect()
}

/// Who wants an interface that another one was to let go of, and does not: that one's change is not made.
pub(super) fn still_taken(
    plan: &[Planned<'_>],
    record: &Record,
    links: &Links,
) -> Option<(ResourceId, NetworkError)> {
    let is_planned = |by: &ResourceId| plan.iter().any(|planned| planned.id == by);
    plan.iter().find_map(|planned| {
        let Work::Put { wanted, .. } = &planned.work else { return None };
        std::iter::once(&wanted.setup.name).chain(&wanted.setup.ports).find_map(|name| {
            let by = record.other_holder(name, links, planned.id).filter(|by| !is_planned(by))?;
            Some((planned.id.clone(), NetworkError::Taken { name: name.clone(), by: by.to_string() }))
        })
    })
}

/// Whoever wants an address that another one wants, too, or has: with which. What was confirmed keeps it against what is on trial.
pub(super) fn shared(plan: &[Planned<'_>], links: &Links) -> BTreeMap<ResourceId, NetworkError> {
    let wanted = |planned: &Planned<'_>| -> BTreeSet<IpAddr> {
        let Work::Put { wanted, .. } = &planned.work else { return BTreeSet::new() };
        let nets = wanted.setup.families.iter().flat_map(|family| &family.addresses);
        // Each link has its own of these.
        nets.filter(|net| !Addr::of(**net).is_kernels()).map(ipnet::IpNet::addr).collect()
    };
    let changing: BTreeSet<&String> = plan.iter().flat_map(|planned| &planned.interfaces).collect();
    let others = links.iter().filter(|(name, _)| !changing.contains(name));
    let others: BTreeMap<IpAddr, &String> = others
        .flat_map(|(name, link)| link.addresses.iter().map(move |addr| (addr.net.addr(), name)))
        .collect();
    let mut shared = BTreeMap::new();
    for planned in plan.iter().filter(|planned| planned.on_trial) {
        let own = wanted(planned);
        let rivals = plan.iter().filter(|other| other.id != planned.id);
        let rivals =
            rivals.flat_map(|other| wanted(other).into_iter().map(|address| (address, other.id.to_string())));
        let there = others.iter().map(|(address, name)| (*address, (*name).clone()));
        if let Some((address, with)) = rivals.chain(there).find(|(address, _)| own.contains(address)) {
            shared.insert(planned.id.clone(), NetworkError::SharedAddress { address, with });
        }
    }
    shared
}

/// What is changed must be what can be put back.
fn can_be_put_back(interfaces: &BTreeSet<String>, links: &Links) -> Result<(), NetworkError> {
    for (name, link) in interfaces.iter().filter_map(|name| Some((name, links.get(name)?))) {
        let master = link
            .master
            .as_ref()
            .filter(|master| links.get(*master).is_some_and(|master| master.made != Some(Made::Bridge)));
        let place = master.map(|master| format!("a place in {master}, which is no bridge"));
        if let Some(what) = link.beyond.first().cloned().or(place) {
            return Err(NetworkError::Beyond { name: name.clone(), what });
        }
    }
    Ok(())
}

fn is_engines(name: &str) -> bool {
    let is_dockers = |id: &str| id.len() == DOCKERS_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    ENGINES.iter().any(|begin| name.starts_with(begin)) || name.strip_prefix(DOCKERS).is_some_and(is_dockers)
}

/// Why no interface is the one that is meant: what an engine's containers hang on is meant by its name only.
fn unresolved(spec: &NetworkConfigSpec, links: &Links) -> NetworkError {
    let has_address = |link: &Link| spec.matched.mac.is_some() && link.mac == spec.matched.mac;
    match links.iter().find(|(name, link)| is_engines(name) && has_address(link)) {
        Some((name, _)) => {
            NetworkError::Protected { name: name.clone(), what: "the bridge of a container engine" }
        }
        None => NetworkError::Missing(meant(spec)),
    }
}

/// What an engine has given to a container is the engine's.
fn protect(name: &str, links: &Links) -> Result<(), NetworkError> {
    match links.get(name).and_then(|link| link.master.as_deref()) {
        Some(master) if is_engines(master) => {
            Err(NetworkError::Protected { name: name.to_owned(), what: "the end of a container's network" })
        }
        _ => Ok(()),
    }
}

/// Whether an interface that is to be made may be: what somebody else has made of another sort is theirs.
fn fits(setup: &Setup, links: &Links, held: Option<&Checkpoint>) -> Result<(), NetworkError> {
    let missing = |name: &&String| !links.contains_key(*name);
    if let Some(port) = setup.ports.iter().find(missing) {
        return Err(NetworkError::Missing(port.clone()));
    }
    if let Some(Made::Vlan { parent, .. }) = setup
        .made
        .as_ref()
        .filter(|made| matches!(made, Made::Vlan { parent, .. } if !links.contains_key(parent)))
    {
        return Err(NetworkError::Missing(parent.clone()));
    }
    let Some(found) = links.get(&setup.name) else {
        return if setup.made.is_some() { Ok(()) } else { Err(NetworkError::Missing(setup.name.clone())) };
    };
    let is_ours = held.and_then(|held| held.kernel.get(&setup.name)).is_some_and(Option::is_none);
    match &setup.made {
        Some(made) if !setup.fits(found) && !is_ours => Err(NetworkError::Conflict {
            name: setup.name.clone(),
            found: setup::made_told(found.made.as_ref()),
            wanted: setup::made_told(Some(made)),
        }),
        _ => Ok(()),
    }
}

/// What was wanted of an interface before.
fn former(owned: Owned<'_, NetworkConfigSpec>, name: &str) -> Option<Setup> {
    let spec = owned.attempted.or(owned.applied.then_some(owned.spec))?;
    Some(Setup::of(name, spec))
}

fn plan_take<'a>(
    take: &Take<'a, NetworkConfigSpec>,
    links: &Links,
    record: &Record,
) -> Result<Option<Planned<'a>>, NetworkError> {
    let Some(mut held) = record.held_by(take.id, links) else { return Ok(None) };
    let spec = take.owned.spec;
    // What somebody else has made is made again by nobody but them.
    let made: BTreeSet<&str> = match spec.link_type {
        LinkType::Ethernet => BTreeSet::new(),
        _ => {
            let peer = spec.veth.iter().map(|veth| veth.peer.as_str());
            spec.name().map(|name| name.as_str()).into_iter().chain(peer).collect()
        }
    };
    held.kernel.retain(|name, was| made.contains(name.as_str()) || was.is_none() || links.contains_key(name));
    let was_so = |claim| take.owned.held.get(&claim) == Some(&Before::Same);
    // What was there just so before us is left.
    if spec.claims(take.id).into_iter().all(was_so) {
        return Ok(None);
    }
    let interfaces: BTreeSet<String> = held.kernel.keys().cloned().collect();
    can_be_put_back(&interfaces, links)?;
    let name = held.kernel.keys().next().cloned().unwrap_or_default();
    let back: BTreeSet<IpAddr> = held.kernel.values().flatten().flat_map(gateways).collect();
    let probes: Vec<_> =
        spec.confirm.checks.iter().map(|check| probe(check, &name, back.clone(), false)).collect();
    Ok(Some(Planned {
        id: take.id,
        tried: format!("giving back {}", held.kernel.keys().cloned().collect::<Vec<_>>().join(", ")),
        interfaces,
        on_trial: true,
        probes_before: probes.clone(),
        probes,
        within: spec.confirm.within.0,
        work: Work::Take { held },
    }))
}
