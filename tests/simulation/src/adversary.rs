//! Plays one seed: everything that can happen does, then the adversary rests, and all must come right.

use std::time::Duration;

use holdfast::engine::{event::Event, outbox::Fact, sabotage::Sabotage};
use manifest_types::name::ResourceId;
use reconcilers::reconciler::Hint;

use crate::{check, play::Play};

/// How a seed ended.
pub(crate) struct Outcome {
    pub(crate) steps: u64,
    pub(crate) result: Result<(), String>,
}

/// Plays `seed`, with `turns` moves of the adversary.
pub(crate) fn play(seed: u64, sabotage: Sabotage, turns: usize, verbose: bool) -> Outcome {
    let mut play = Play::new(seed, sabotage, verbose);
    let result = run(&mut play, turns);
    if result.is_err() && verbose {
        describe(&play);
    }
    Outcome { steps: play.steps, result }
}

/// All that stands at the end, for who looks into a failure.
fn describe(play: &Play) {
    for (id, resource) in play.engine.resources() {
        println!("{id}: {:?}", resource.standing);
        println!("    wanted {:?}", resource.wanted);
        println!("    row {:?}", resource.row);
        println!("    trouble {:?} sight {:?}", resource.trouble, resource.sight);
    }
    println!("things {:#?}\nkept {:#?}", play.world.things, play.world.kept);
}

fn run(play: &mut Play, turns: usize) -> Result<(), String> {
    play.plan()?;
    for _ in 0..turns {
        turn(play)?;
    }
    play.log(|| "the adversary rests".into());
    play.calm = true;
    if play.chance.percent(50) {
        alive(play)?;
    }
    play.crash()?;
    offline(play)?;
    one_hangs(play)?;
    rest(play)
}

/// One move of the adversary.
fn turn(play: &mut Play) -> Result<(), String> {
    match play.chance.below(100) {
        0..=54 => {
            let index = play.chance.below(play.pending.len());
            if play.pending.is_empty() { sleep(play) } else { play.advance(index) }
        }
        55..=69 => sleep(play),
        70..=76 => {
            let link = play.link;
            match play.chance.below(8) {
                0 => play.fleet.publish_garbage(),
                _ => {
                    let mut chance = play.chance.clone();
                    play.fleet.publish(&mut chance);
                    play.chance = chance;
                }
            }
            if link { play.source() } else { Ok(()) }
        }
        77..=85 => disturb(play),
        86..=88 => play.set_link(!play.link),
        89 => {
            play.wipe_stream();
            Ok(())
        }
        90 | 91 => play.crash(),
        92 => other_agent(play),
        93 => gate(play),
        94 => lock(play),
        95 => play.tell(Event::Retry { id: None }),
        96 => {
            let until = play.chance.percent(50).then(|| play.now + Duration::from_secs(20));
            play.tell(Event::Pause { id: None, until })
        }
        97 => play.tell(Event::Resync),
        98 => play.tell(Event::Flush),
        _ => play.source(),
    }
}

fn sleep(play: &mut Play) -> Result<(), String> {
    let at = match play.wake_at {
        Some(at) if play.chance.percent(50) => at,
        _ => play.now + Duration::from_millis(play.chance.below(3000) as u64),
    };
    play.wait_until(at)
}

const PATHS: [&str; 6] = ["/run/a", "/run/b", "/etc/c", "/batch/f", "/etc/h", "/etc/d"];

fn disturb(play: &mut Play) -> Result<(), String> {
    let path = PATHS[play.chance.below(PATHS.len())];
    let content = play.chance.percent(60).then(|| format!("foreign-{}", play.chance.next() % 1000));
    let now = play.now;
    play.log(|| format!("disturb {path}: {content:?}"));
    play.world.disturb(path, content, now);
    if play.chance.percent(70) { hint(play, path) } else { Ok(()) }
}

fn hint(play: &mut Play, path: &str) -> Result<(), String> {
    let of_path = |resource: &holdfast::engine::resource::Resource| {
        resource.aim().is_some_and(|aim| crate::world::file(&aim.spec).path.as_str() == path)
    };
    let id = play.engine.resources().iter().find(|(_, resource)| of_path(resource)).map(|(id, _)| id.clone());
    match id {
        Some(id) => play.tell(Event::Hint { kind: "File", hint: Hint::Resource(id) }),
        None => Ok(()),
    }
}

fn other_agent(play: &mut Play) -> Result<(), String> {
    play.sink.revision += 1;
    play.sink.held = Some((play.sink.revision, "another".into(), None));
    play.tell(Event::Outbox(Fact::OtherAlive))
}

fn gate(play: &mut Play) -> Result<(), String> {
    let holder = play.chance.percent(40).then(|| "someone".to_owned());
    let group = if play.chance.percent(50) { "gate" } else { "a" };
    play.gate(group, holder)
}

/// Somebody forbids to disrupt something, or allows it again.
fn lock(play: &mut Play) -> Result<(), String> {
    let (path, is_locked) = (PATHS[play.chance.below(PATHS.len())], play.chance.percent(60));
    play.log(|| format!("lock {path}: {is_locked}"));
    play.world.lock(path, is_locked);
    if play.chance.percent(70) { hint(play, path) } else { Ok(()) }
}

/// Lets everything under way end, and time go on, until nothing has happened for a while or `until` comes.
fn settle(play: &mut Play, seconds: u64) -> Result<(), String> {
    let end = play.now + Duration::from_secs(seconds);
    for _ in 0..200_000 {
        let stuck = |play: &Play, index: usize| is_stuck(play, index);
        match (0..play.pending.len()).find(|index| !stuck(play, *index)) {
            Some(index) => play.advance(index)?,
            None => match play.wake_at {
                Some(at) if at <= end => {
                    if at <= play.now {
                        return Err("it wakes itself again and again".into());
                    }
                    play.wait_until(at)?;
                }
                _ => {
                    play.now = end;
                    return Ok(());
                }
            },
        }
    }
    Err("it does not come to rest".into())
}

fn is_stuck(play: &Play, index: usize) -> bool {
    use crate::play::Pending;
    match &play.pending[index] {
        Pending::Step { changes, until, .. } => {
            *until > play.now
                && changes.iter().any(|change| Some(change.id.as_str()) == play.stuck.as_deref())
        }
        _ => false,
    }
}

/// What the adversary left behind comes right without a restart, once somebody asks for what failed for good to be tried again.
fn alive(play: &mut Play) -> Result<(), String> {
    play.set_link(true)?;
    open_gates(play)?;
    play.tell(Event::Pause { id: None, until: None })?;
    play.source()?;
    settle(play, 7200)?;
    play.tell(Event::Retry { id: None })?;
    settle(play, 7200)?;
    check::converged(play, &[]).map_err(|error| format!("it is stuck while it lives: {error}"))
}

fn open_gates(play: &mut Play) -> Result<(), String> {
    for path in PATHS {
        play.world.lock(path, false);
    }
    play.gate("gate", None)?;
    play.gate("a", None)
}

/// Started without any link, the device converges on what the ledger remembers.
fn offline(play: &mut Play) -> Result<(), String> {
    play.set_link(false)?;
    open_gates(play)?;
    play.crash()?;
    settle(play, 3600)?;
    check::converged(play, &[]).map_err(|error| format!("invariant 10: {error}"))
}

/// One resource whose steps hang holds up none but those that hang together with it.
fn one_hangs(play: &mut Play) -> Result<(), String> {
    play.set_link(true)?;
    settle(play, 3600)?;
    let ids: Vec<ResourceId> = play.engine.resources().keys().cloned().collect();
    let Some(id) = ids.get(play.chance.below(ids.len())) else { return Ok(()) };
    play.stuck = Some(id.as_str().to_owned());
    let mut chance = play.chance.clone();
    play.fleet.publish_good(&mut chance);
    play.chance = chance;
    play.source()?;
    settle(play, 600)?;
    let concerned = concerned(play, id);
    check::converged(play, &concerned)
        .map_err(|error| format!("invariant 6: {error}; {id} hangs, concerned: {concerned:?}"))?;
    play.stuck = None;
    Ok(())
}

/// `id` and all that hang together with it, by edges, claims, a batch or a group.
fn concerned(play: &Play, id: &ResourceId) -> Vec<ResourceId> {
    let mut concerned = vec![id.clone()];
    let mut index = 0;
    while let Some(id) = concerned.get(index).cloned() {
        index += 1;
        let mates = batch_mates(play, &id).into_iter().chain(group_mates(play, &id));
        let connected = play.engine.neighbours(&id).into_iter().chain(mates);
        let new: Vec<_> = connected.filter(|id| !concerned.contains(id)).collect();
        concerned.extend(new);
    }
    concerned
}

/// All of its group.
fn group_mates(play: &Play, id: &ResourceId) -> Vec<ResourceId> {
    let group = check::group_of(play, id);
    let is_mate = |mate: &&ResourceId| group.is_some() && check::group_of(play, mate) == group;
    play.engine.resources().keys().filter(is_mate).cloned().collect()
}

/// All that change together with `id`, if it is in the batch, as it is wanted or as it is held.
fn batch_mates(play: &Play, id: &ResourceId) -> Vec<ResourceId> {
    let in_batch = |id: &ResourceId| {
        let resource = play.engine.resources().get(id);
        let wanted = resource.and_then(|resource| resource.aim()).map(|aim| aim.spec.clone());
        let held = resource.and_then(|resource| resource.row.as_ref()).and_then(|row| row.spec().cloned());
        [wanted, held]
            .into_iter()
            .flatten()
            .any(|spec| crate::world::file(&spec).path.is_at_or_below("/batch"))
    };
    let mates = play.engine.resources().keys().filter(|mate| in_batch(id) && in_batch(mate));
    mates.cloned().collect()
}

/// The final state: all as wanted, nothing lost, nothing left over, the status delivered, and then silence.
fn rest(play: &mut Play) -> Result<(), String> {
    settle(play, 7200)?;
    play.losses = play.chance.below(8);
    let mut chance = play.chance.clone();
    play.fleet.publish_good(&mut chance);
    play.chance = chance;
    play.source()?;
    settle(play, 7200)?;
    check::converged(play, &[])?;
    check::loaded(play)?;
    check::nothing_leaked(play)?;
    check::status_arrived(play)?;
    let before = play.evidence.commands;
    settle(play, 600)?;
    let looks = play.evidence.commands - before;
    // One look at all of the kind every 54 to 66 s, and a reading of the status now and then.
    if looks > 14 {
        return Err(format!("invariant 4: {looks} commands in ten quiet minutes"));
    }
    Ok(())
}
