//! In which order an old one goes, a new one comes, and an image is pulled.

use super::*;

#[test]
fn the_old_one_goes_when_the_new_one_says_so_or_in_time_and_stays_if_that_ends() {
    let update = json!({ "strategy": "StartFirst", "handOver": { "files": ["/run/done"], "within": "30s" } });
    let (old, new) = (spec(json!({ "env": { "A": "1" } })), spec(json!({ "update": update })));
    let with = |change: fn(&mut State)| {
        let mut next = member("new", &new, Activity::Running).unwrap();
        change(&mut next.container.state);
        Scene { main: member("old", &old, Activity::Running), next: Some(next), ..scene() }
    };
    let after = |scene: &Scene, memory: &Memory, elapsed| next_after(scene, &new, memory, elapsed, at(1000));
    let mut memory = Memory::default();
    let runs = with(|_| {});
    memory.sees(&runs, Duration::from_secs(100));
    let swaps = || Move::Rename("old".into(), prior_name("web"));
    assert_eq!(after(&runs, &memory, 129), Move::AwaitHandOver("new".into()));
    assert_eq!(after(&runs, &memory, 130), swaps());
    // Its time counts from its first run: to be started again by the engine does not begin it anew.
    let again = with(|state| state.started_at = Some(at(999)));
    memory.sees(&again, Duration::from_secs(129));
    assert_eq!(after(&again, &memory, 130), swaps());
    let crashed =
        with(|state| (state.activity, state.restarts, state.exit_code) = (Activity::Restarting, 1, 3));
    assert!(matches!(after(&crashed, &memory, 110), Move::Fail(id, _) if id == "new"));
    memory.is_handed_over = true;
    assert_eq!(after(&runs, &memory, 101), swaps());
}

#[test]
fn an_image_is_pulled_when_its_order_says() {
    let old = spec(json!({ "env": { "A": "1" } }));
    let (nothing, memory) = (Scene::default(), Memory::default());
    let with = |activity| Scene { main: member("old", &old, activity), ..Scene::default() };
    let moves = |order: &str| {
        let new = spec(json!({ "update": { "pull": order } }));
        [with(Activity::Running), with(Activity::Exited), Scene::default()].map(|scene| next(&scene, &new))
    };
    let (stop, remove) = (|| Move::Stop("old".into()), Move::Remove("old".into()));
    assert_eq!(moves("BeforeStop"), [Move::Pull, Move::Pull, Move::Pull]);
    assert_eq!(moves("AfterStop"), [stop(), Move::Pull, Move::Pull]);
    assert_eq!(moves("AfterRemoval"), [stop(), remove, Move::Pull]);
    // Where there is no room for two, the old image goes before the new one comes.
    let memory = Memory { old_image: Some("sha256:0".into()), ..memory };
    let new = spec(json!({ "update": { "pull": "AfterRemoval" } }));
    assert_eq!(next_at(&nothing, &new, &memory, 0), Move::RemoveImage("sha256:0".into()));
}
