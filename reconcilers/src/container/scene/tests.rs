use serde_json::{Value, json};

use super::*;
use crate::engine::{
    shape::{Birth, Shape},
    terms::{Checked, State},
};

mod orders;

fn spec(more: Value) -> ContainerSpec {
    let mut spec = json!({ "image": "web:1" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A container of ours, as it was made from `spec`.
fn member(id: &str, spec: &ContainerSpec, activity: Activity) -> Option<Member> {
    let shape = Shape::wanted(spec);
    let fields = ("holdfast.fields".to_owned(), Birth::of(&shape).to_string());
    let has_run = activity != Activity::Created;
    let state = State {
        activity,
        healthcheck: None,
        exit_code: 0,
        oom_killed: false,
        error: String::new(),
        started_at: has_run.then(|| at(100)),
        finished_at: (has_run && !activity.is_up()).then(|| at(101)),
        restarts: 0,
        is_halted: false,
    };
    let container = Container {
        id: id.into(),
        name: id.into(),
        image: "docker.io/library/web:1".into(),
        image_id: "sha256:1".into(),
        labels: [fields].into(),
        state,
        shape,
        addresses: Default::default(),
    };
    Some(Member { container, is_ours: true, said: Said::default() })
}

fn scene() -> Scene {
    Scene { image_id: Some("sha256:1".into()), ..Scene::default() }
}

fn next_at(scene: &Scene, spec: &ContainerSpec, memory: &Memory, now: i64) -> Move {
    next_after(scene, spec, memory, now.try_into().unwrap_or_default(), at(now))
}

/// What comes next so many seconds into a step.
fn next_after(scene: &Scene, spec: &ContainerSpec, memory: &Memory, elapsed: u64, now: Timestamp) -> Move {
    let (settle, elapsed) = (Duration::from_secs(2), Duration::from_secs(elapsed));
    scene.next_move(&Goal { name: "web", spec, restart: false, settle, elapsed, now }, memory)
}

fn next(scene: &Scene, spec: &ContainerSpec) -> Move {
    let mut memory = Memory::default();
    memory.sees(scene, Duration::ZERO);
    next_at(scene, spec, &memory, 1000)
}

#[test]
fn alone_it_is_pulled_made_started_and_left() {
    let web = spec(json!({}));
    assert_eq!(next(&Scene::default(), &web), Move::Pull);
    assert_eq!(next(&scene(), &web), Move::Create("web".into()));
    for (activity, then) in [
        (Activity::Created, Move::Start("main".into())),
        (Activity::Exited, Move::Start("main".into())),
        (Activity::Paused, Move::Unpause("main".into())),
        (Activity::Running, Move::Done),
        (Activity::Restarting, Move::Done),
    ] {
        assert_eq!(
            next(&Scene { main: member("main", &web, activity), ..scene() }, &web),
            then,
            "{activity}"
        );
    }
    let stopped = spec(json!({ "desired": "Stopped", "restartPolicy": "No" }));
    assert_eq!(
        next(&Scene { main: member("main", &stopped, Activity::Running), ..scene() }, &stopped),
        Move::Stop("main".into())
    );
    let always = spec(json!({ "pullPolicy": "Always" }));
    assert_eq!(
        next(&Scene { main: member("main", &always, Activity::Exited), ..scene() }, &always),
        Move::Pull
    );
    assert_eq!(
        next(&Scene { main: member("main", &always, Activity::Running), ..scene() }, &always),
        Move::Done
    );
    let never = spec(json!({ "pullPolicy": "Never" }));
    assert_eq!(next(&Scene::default(), &never), Move::Create("web".into()));
}

#[test]
fn under_another_name_it_gets_its_own_back() {
    let web = spec(json!({}));
    let former = || member("former", &web, Activity::Running);
    assert_eq!(
        next(&Scene { former: former(), ..scene() }, &web),
        Move::Rename("former".into(), "web".into())
    );
    let both = Scene { main: member("main", &web, Activity::Running), former: former(), ..scene() };
    assert_eq!(next(&both, &web), Move::Stop("former".into()));
}

#[test]
fn what_is_not_ours_is_never_moved() {
    let web = spec(json!({}));
    for place in 0..3 {
        let foreign =
            member("foreign", &web, Activity::Running).map(|member| Member { is_ours: false, ..member });
        let mut scene = scene();
        match place {
            0 => scene.main = foreign,
            1 => scene.next = foreign,
            _ => scene.prior = foreign,
        }
        assert_eq!(next(&scene, &web), Move::Conflict("foreign".into()));
    }
}

#[test]
fn what_is_on_its_way_out_is_waited_for() {
    let spec = spec(json!({}));
    let leaving = || member("a", &spec, Activity::Removing);
    assert_eq!(next(&Scene { main: leaving(), ..scene() }, &spec), Move::Wait);
    let running = || member("b", &spec, Activity::Running);
    assert_eq!(next(&Scene { main: running(), prior: leaving(), ..scene() }, &spec), Move::Wait);
    assert_eq!(next(&Scene { main: running(), former: leaving(), ..scene() }, &spec), Move::Wait);
    let tired = Memory { waits: 20, ..Memory::default() };
    assert_eq!(next_at(&Scene { main: leaving(), ..scene() }, &spec, &tired, 100), Move::Remove("a".into()));
}

#[test]
fn a_replacement_goes_one_step_at_a_time_from_wherever_it_is() {
    let (old, new) = (spec(json!({ "env": { "A": "1" } })), spec(json!({ "env": { "A": "2" } })));
    let first = spec(json!({ "env": { "A": "2" }, "update": { "strategy": "StartFirst" } }));
    let up = |id: &str, spec: &ContainerSpec| member(id, spec, Activity::Running);
    let down = |id: &str, spec: &ContainerSpec| member(id, spec, Activity::Exited);
    let made = |id: &str, spec: &ContainerSpec| member(id, spec, Activity::Created);
    let (next_name, prior_name) = (next_name("web"), prior_name("web"));
    for (scene, spec, then) in [
        (Scene { main: up("old", &old), ..scene() }, &new, Move::Create(next_name)),
        (Scene { main: up("old", &old), next: made("new", &new), ..scene() }, &new, Move::Stop("old".into())),
        (
            Scene { main: down("old", &old), next: made("new", &new), ..scene() },
            &new,
            Move::Rename("old".into(), prior_name.clone()),
        ),
        (
            Scene { prior: down("old", &old), next: made("new", &new), ..scene() },
            &new,
            Move::Rename("new".into(), "web".into()),
        ),
        (
            Scene { prior: down("old", &old), main: made("new", &new), ..scene() },
            &new,
            Move::Start("new".into()),
        ),
        (
            Scene { prior: down("old", &old), main: up("new", &new), ..scene() },
            &new,
            Move::Remove("old".into()),
        ),
        // A replacement for a spec that nobody wants any more.
        (
            Scene { main: up("old", &old), next: made("new", &new), ..scene() },
            &old,
            Move::Remove("new".into()),
        ),
        (
            Scene { prior: down("old", &old), next: made("new", &new), ..scene() },
            &old,
            Move::Rename("old".into(), "web".into()),
        ),
        // One that runs may be in the middle of something.
        (
            Scene { prior: down("old", &old), main: up("new", &new), ..scene() },
            &old,
            Move::Stop("new".into()),
        ),
        (
            Scene { prior: down("old", &old), main: down("new", &new), ..scene() },
            &old,
            Move::Remove("new".into()),
        ),
        // Started again, an engine starts the old one, too: never both at once.
        (
            Scene { prior: up("old", &old), main: made("new", &new), ..scene() },
            &new,
            Move::Stop("old".into()),
        ),
        // With the new one first, the old one goes on until it has proved well.
        (
            Scene { main: up("old", &old), next: made("new", &first), ..scene() },
            &first,
            Move::Start("new".into()),
        ),
        (
            Scene { main: up("old", &old), next: up("new", &first), ..scene() },
            &first,
            Move::Rename("old".into(), prior_name),
        ),
        (
            Scene { prior: up("old", &old), next: up("new", &first), ..scene() },
            &first,
            Move::Rename("new".into(), "web".into()),
        ),
        (
            Scene { prior: up("old", &old), main: up("new", &first), ..scene() },
            &first,
            Move::Stop("old".into()),
        ),
    ] {
        assert_eq!(next(&scene, spec), then, "{scene:?}");
    }
}

#[test]
fn a_candidate_proves_well_within_its_time_or_the_old_one_comes_back() {
    let (old, new) = (spec(json!({ "env": { "A": "1" } })), spec(json!({})));
    let with = |change: fn(&mut State)| {
        let mut main = member("new", &new, Activity::Running).unwrap();
        change(&mut main.container.state);
        Scene { main: Some(main), prior: member("old", &old, Activity::Exited), ..scene() }
    };
    let timed = |scene: &Scene| {
        let mut memory = Memory { deadline: Some(Duration::from_secs(110)), ..Memory::default() };
        memory.sees(scene, Duration::from_secs(100));
        memory
    };
    let awaits = || Move::Await("new".into());
    let says = |scene: &Scene, second: i64| next_at(scene, &new, &timed(scene), second);
    let fails = |scene: &Scene, now: i64, why: &str| {
        assert!(
            matches!(says(scene, now), Move::Fail(id, told) if id == "new" && told.contains(why)),
            "{:?}",
            says(scene, now)
        );
    };
    let bare = with(|_| {});
    assert_eq!((says(&bare, 101), says(&bare, 102)), (awaits(), Move::Remove("old".into())));
    // Whatever the clock on the wall is put to.
    for wall in [0, 90, 1_000_000_000] {
        let says = |elapsed| next_after(&bare, &new, &timed(&bare), elapsed, at(wall));
        assert_eq!((says(101), says(102)), (awaits(), Move::Remove("old".into())), "{wall}");
    }
    let checked = with(|state| state.healthcheck = Some(Checked::Starting));
    assert_eq!(says(&checked, 109), Move::Await("new".into()));
    fails(&checked, 110, "after 1m");
    assert_eq!(
        says(&with(|state| state.healthcheck = Some(Checked::Healthy)), 100),
        Move::Remove("old".into())
    );
    fails(&with(|state| state.healthcheck = Some(Checked::Unhealthy)), 101, "healthcheck");
    fails(&with(|state| (state.activity, state.exit_code) = (Activity::Exited, 3)), 101, "code 3");
    fails(&with(|state| (state.restarts, state.exit_code) = (1, 3)), 101, "code 3");
    // Somebody has stopped or paused it: that says nothing of it.
    assert_eq!(
        says(&with(|state| (state.activity, state.exit_code) = (Activity::Exited, 137)), 101),
        Move::Start("new".into())
    );
    assert_eq!(says(&with(|state| state.activity = Activity::Paused), 101), Move::Unpause("new".into()));
    fails(&with(|state| state.activity = Activity::Paused), 110, "after 1m");
}

#[test]
fn what_failed_goes_and_the_old_one_runs_again() {
    let (old, new) = (spec(json!({ "env": { "A": "1" } })), spec(json!({})));
    let failed = Memory { failed: Some(("new".into(), "why".into())), ..Memory::default() };
    let old_is = |activity| member("old", &old, activity);
    for (scene, then) in [
        (
            Scene {
                main: member("new", &new, Activity::Running),
                prior: old_is(Activity::Exited),
                ..scene()
            },
            Move::Stop("new".into()),
        ),
        (
            Scene { main: member("new", &new, Activity::Exited), prior: old_is(Activity::Exited), ..scene() },
            Move::Remove("new".into()),
        ),
        (Scene { prior: old_is(Activity::Exited), ..scene() }, Move::Rename("old".into(), "web".into())),
        (Scene { main: old_is(Activity::Exited), ..scene() }, Move::Start("old".into())),
        (Scene { main: old_is(Activity::Running), ..scene() }, Move::GiveUp("why".into())),
        (
            Scene {
                main: old_is(Activity::Running),
                next: member("new", &new, Activity::Running),
                ..scene()
            },
            Move::Stop("new".into()),
        ),
    ] {
        assert_eq!(next_at(&scene, &new, &failed, 1000), then, "{scene:?}");
    }
}

#[test]
fn what_had_done_its_work_is_not_started_again_by_a_rollback_but_what_was_stopped_for_it_is() {
    let (old, new) =
        (spec(json!({ "restartPolicy": "No" })), spec(json!({ "restartPolicy": "No", "env": { "A": "1" } })));
    let failed = Memory { failed: Some(("new".into(), "why".into())), ..Memory::default() };
    let back = |is_halted| {
        let mut scene = Scene { main: member("old", &old, Activity::Exited), ..scene() };
        scene.main.as_mut().unwrap().container.state.is_halted = is_halted;
        scene
    };
    assert_eq!(next_at(&back(false), &new, &failed, 1000), Move::GiveUp("why".into()));
    assert_eq!(next_at(&back(true), &new, &failed, 1000), Move::Start("old".into()));
    assert_eq!(
        next(&back(true), &old),
        Move::Start("old".into()),
        "nor is it done when the change is taken back"
    );
    assert_eq!(next(&back(false), &old), Move::Done);
    assert!(back(false).may_rest("old", &spec(json!({}))), "its own policy counts");
    let always = Scene { main: member("old", &spec(json!({})), Activity::Running), ..scene() };
    assert!(!always.may_rest("old", &spec(json!({}))) && always.may_rest("old", &old));
}

#[test]
fn what_the_engine_can_change_is_changed_in_place() {
    let main = |more: Value| Scene { main: member("main", &spec(more), Activity::Running), ..scene() };
    let limited = json!({ "resources": { "memory": "64Mi" } });
    let more = spec(json!({ "resources": { "memory": "128Mi" } }));
    assert_eq!(next(&main(limited.clone()), &more), Move::Adjust("main".into()));
    let cannot = Memory { cannot_adjust: true, ..Memory::default() };
    assert_eq!(next_at(&main(limited), &more, &cannot, 1000), Move::Create(next_name("web")));
    let shop = json!({ "networks": [{ "name": "shop" }] });
    let both = spec(json!({ "networks": [{ "name": "shop" }, { "name": "other" }] }));
    assert!(matches!(next(&main(shop.clone()), &both), Move::Connect(_, to) if to.name.as_str() == "other"));
    let both = json!({ "networks": [{ "name": "shop" }, { "name": "other" }] });
    assert_eq!(next(&main(both), &spec(shop.clone())), Move::Disconnect("main".into(), "other".into()));
    let aliased = spec(json!({ "networks": [{ "name": "shop", "aliases": ["www"] }] }));
    assert_eq!(next(&main(shop), &aliased), Move::Disconnect("main".into(), "shop".into()));
}

#[test]
fn what_was_made_and_is_not_as_wanted_is_made_anew_before_the_engine_is_blamed() {
    let (wanted, other) = (spec(json!({ "user": "1" })), spec(json!({ "user": "2" })));
    let memory = |misfits| Memory { made: vec!["made".into()], misfits, ..Memory::default() };
    let unfit = || member("made", &other, Activity::Running);
    let alone = Scene { main: unfit(), ..scene() };
    assert_eq!(next_at(&alone, &wanted, &memory(1), 100), Move::Create("web.holdfast-next".into()));
    assert!(alone.takes_back(&Move::Create("web.holdfast-next".into()), &memory(1)));
    let replaced = Scene { main: member("new", &wanted, Activity::Running), prior: unfit(), ..scene() };
    assert!(
        !replaced.takes_back(&Move::Remove("made".into()), &memory(1)),
        "its replacement has proved well"
    );
    let still = Scene { main: member("made", &other, Activity::Created), ..scene() };
    assert!(still.takes_back(&Move::Remove("made".into()), &memory(1)));
    assert_eq!(next_at(&still, &wanted, &memory(1), 100), Move::Remove("made".into()));
    assert_eq!(next_at(&alone, &wanted, &memory(2), 100), Move::NotKept(vec!["user".into()]));
    let beside = Scene { main: member("old", &wanted, Activity::Running), next: unfit(), ..scene() };
    assert_eq!(next_at(&beside, &wanted, &memory(1), 100), Move::Stop("made".into()));
    assert!(matches!(next_at(&beside, &wanted, &memory(2), 100), Move::Fail(id, _) if id == "made"));
}

#[test]
fn what_is_held_stopped_is_not_left_to_an_engine_that_starts_it() {
    let (wanted, stopped) = (spec(json!({})), spec(json!({ "desired": "Stopped" })));
    let with = |policy: &str, activity| {
        let mut main = member("web", &wanted, activity).unwrap();
        main.container.shape.set("restartPolicy", policy);
        Scene { main: Some(main), ..scene() }
    };
    for activity in [Activity::Running, Activity::Exited, Activity::Created] {
        assert_eq!(next(&with("Always", activity), &stopped), Move::Adjust("web".into()));
    }
    assert_eq!(next(&with("No", Activity::Running), &stopped), Move::Stop("web".into()));
    assert_eq!(next(&with("No", Activity::Exited), &stopped), Move::Done);
    let cannot = Memory { cannot_adjust: true, ..Memory::default() };
    assert_eq!(
        next_at(&with("Always", Activity::Exited), &stopped, &cannot, 1000),
        Move::Done,
        "it is not replaced for that"
    );
    assert_eq!(next(&with("No", Activity::Exited), &wanted), Move::Adjust("web".into()), "and back");
}

#[test]
fn a_step_that_is_told_to_stop_starts_what_it_has_stopped() {
    let wanted = spec(json!({}));
    let halted = |ids: &[&str]| Memory {
        halted: ids.iter().map(|id| (*id).to_owned()).collect(),
        made: vec!["new".into()],
        ..Memory::default()
    };
    let with = |main, next, prior| Scene { main, next, prior, ..scene() };
    let (old, new) = (member("old", &wanted, Activity::Exited), member("new", &wanted, Activity::Created));
    let old_id = || Some("old".to_owned());
    let before_the_rename = with(old, new, None);
    assert_eq!(before_the_rename.left_standing(&halted(&["old"]), &wanted), old_id());
    assert_eq!(before_the_rename.left_standing(&halted(&[]), &wanted), None, "somebody else has stopped it");
    let stopped = spec(json!({ "desired": "Stopped" }));
    assert_eq!(before_the_rename.left_standing(&halted(&["old"]), &stopped), None);
    let (old, new) = (member("old", &wanted, Activity::Exited), member("new", &wanted, Activity::Created));
    assert_eq!(with(new, None, old).left_standing(&halted(&["old", "new"]), &wanted), old_id());
    let (old, new) = (member("old", &wanted, Activity::Exited), member("new", &wanted, Activity::Running));
    assert_eq!(with(new, None, old).left_standing(&halted(&["old"]), &wanted), None, "the new one runs");
}

#[test]
fn a_change_in_place_that_is_not_kept_is_told_and_not_made_for_ever() {
    let small = spec(json!({ "resources": { "memory": "32Mi" }, "networks": [{ "name": "shop" }] }));
    let large = spec(
        json!({ "resources": { "memory": "64Mi" }, "networks": [{ "name": "shop", "aliases": ["web"] }] }),
    );
    let scene = Scene { main: member("main", &small, Activity::Running), ..scene() };
    let mut memory = Memory::default();
    let mut moves = Vec::new();
    loop {
        let next = next_at(&scene, &large, &memory, 1000);
        memory.mends(&next);
        let ends = matches!(next, Move::NotKept(_));
        moves.push(next);
        if ends {
            break;
        }
    }
    let out = Move::Disconnect("main".into(), "shop".into());
    let told = Move::NotKept(vec!["networks.shop.aliases".into()]);
    assert_eq!(
        moves,
        [
            Move::Disconnect("main".into(), "shop".into()),
            Move::Disconnect("main".into(), "shop".into()),
            out,
            told
        ]
    );
    let locked = scene.is_disrupted_by(&moves[0]);
    assert!(locked, "what is taken out of a network is cut off");
    let (memory, roomy) = (
        Memory::default(),
        spec(json!({ "resources": { "memory": "64Mi" }, "networks": [{ "name": "shop" }] })),
    );
    let adjusts = next_at(&scene, &roomy, &memory, 1000);
    assert_eq!(
        (adjusts, scene.is_disrupted_by(&Move::Adjust("main".into()))),
        (Move::Adjust("main".into()), false)
    );
}
