//! The promises, one function each. They panic where one is broken.

use super::{Fixture, Row, bring, bring_about, context, drop_after, id, intend, see, take_away};
use crate::{
    observation::Before,
    reconciler::{Reconciler, StepContext, Target},
    registry::observation,
};
use manifest_types::kinds::ResourceSpec;
use tokio_util::sync::CancellationToken;

/// Makes a test of every promise for a fixture; or, with `in_a_row`, keeps one after the other where the tests stand on something that is made once.
#[macro_export]
macro_rules! promises {
    ($fixture:ty) => {
        $crate::promises!(@all each $fixture);
    };
    (in_a_row $fixture:ty) => {
        $crate::promises!(@all in_a_row $fixture)
    };
    (@all $how:ident $fixture:ty) => {
        $crate::promises! { @$how $fixture:
            looking_changes_nothing,
            a_spec_is_brought_about,
            what_a_step_has_seen_is_what_is_there,
            done_twice_the_second_time_changes_nothing,
            a_new_spec_takes_the_place_of_the_old,
            what_a_spec_moved_away_from_is_given_back,
            what_was_absent_is_absent_again,
            what_was_the_same_is_left,
            what_was_there_before_returns,
            what_was_never_touched_is_left,
            under_another_id_it_is_held_and_given_back,
            taken_away_twice_is_taken_away,
            drift_is_seen_and_mended,
            a_bad_target_costs_only_itself,
            cancelled_before_it_starts_nothing_changes,
            dropped_anywhere_it_is_finished_by_the_next,
        }
    };
    (@in_a_row $fixture:ty: $($promise:ident),+ $(,)?) => {{
        $($crate::contract::promises::$promise::<$fixture>().await;)+
    }};
    (@each $fixture:ty: $($promise:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::contract::promises::$promise::<$fixture>().await;
            }
        )+
    };
}

/// Observing changes nothing, whatever there is.
pub async fn looking_changes_nothing<F: Fixture>() {
    let fixture = F::new().await;
    let unmanaged = fixture.in_all().await;
    let seen = see(&fixture, &fixture.first(), None).await.expect("an absent target is a value");
    assert!(!seen.present, "nothing is there yet");
    assert_eq!(fixture.in_all().await, unmanaged);

    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let managed = fixture.in_all().await;
    see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    assert_eq!(fixture.in_all().await, managed);
}

/// After a step what is there is what is wanted.
pub async fn a_spec_is_brought_about<F: Fixture>() {
    let fixture = F::new().await;
    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    assert!(seen.on_target(), "{:?}", seen.differences);
    assert!(seen.details.is_some(), "what is there has details");
    let again = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    assert_eq!(seen.fingerprint, again.fingerprint, "equal sights have equal fingerprints");
}

/// What a step tells of the world after it is what a look tells.
pub async fn what_a_step_has_seen_is_what_is_there<F: Fixture>() {
    let fixture = F::new().await;
    let row = intend(&fixture, fixture.first()).await;
    let elsewhere = fixture.elsewhere();
    let mut row = row;
    row.held.extend(elsewhere.claims(&row.id).into_iter().map(|claim| (claim, Before::Absent)));
    for spec in [fixture.first(), fixture.second(), fixture.second(), elsewhere] {
        let told = bring(&fixture, &context(), &row, &spec).await.expect("the spec is brought about");
        let seen = see(&fixture, &spec, Some(&row)).await.expect("it can be seen");
        assert!(seen.on_target(), "{:?}", seen.differences);
        if let Some(told) = told {
            assert_eq!(observation(&told, Some(&spec)), seen);
        }
    }
}

/// The second time nothing is touched.
pub async fn done_twice_the_second_time_changes_nothing<F: Fixture>() {
    let fixture = F::new().await;
    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let once = fixture.in_all().await;
    bring_about(&fixture, &row).await;
    assert_eq!(fixture.in_all().await, once);
}

/// A changed spec is brought about over the old one, and the end is as if it had been the first.
pub async fn a_new_spec_takes_the_place_of_the_old<F: Fixture>() {
    let fixture = F::new().await;
    let empty = fixture.seen_by_others().await;
    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let second = fixture.second();
    let seen = see(&fixture, &second, Some(&row)).await.expect("it can be seen");
    assert_eq!(seen.on_target(), !F::CHANGES, "the fixture's two specs differ: {seen:?}");
    bring(&fixture, &context(), &row, &second).await.expect("the second spec is brought about");
    let seen = see(&fixture, &second, Some(&row)).await.expect("it can be seen");
    assert!(seen.on_target(), "{:?}", seen.differences);
    take_away(&fixture, &Row { spec: second, applied: true, ..row }).await;
    assert_eq!(fixture.seen_by_others().await, empty);
}

/// A claim that the new spec drops is given back; the new one is in place.
pub async fn what_a_spec_moved_away_from_is_given_back<F: Fixture>() {
    let fixture = F::new().await;
    let mut row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let elsewhere = fixture.elsewhere();
    row.held.extend(elsewhere.claims(&row.id).into_iter().map(|claim| (claim, Before::Absent)));
    bring(&fixture, &context(), &row, &elsewhere).await.expect("the moved spec is brought about");
    let left = see(&fixture, &fixture.first(), None).await.expect("it can be seen");
    assert!(!left.present, "the old place is empty again");
    let seen = see(&fixture, &elsewhere, Some(&row)).await.expect("it can be seen");
    assert!(seen.on_target(), "{:?}", seen.differences);
}

/// Where nothing was, nothing is left.
pub async fn what_was_absent_is_absent_again<F: Fixture>() {
    let fixture = F::new().await;
    let empty = fixture.seen_by_others().await;
    let row = intend(&fixture, fixture.first()).await;
    assert!(row.held.values().all(|before| *before == Before::Absent));
    bring_about(&fixture, &row).await;
    assert_ne!(fixture.seen_by_others().await, empty, "the picture shows what is managed");
    take_away(&fixture, &row).await;
    assert_eq!(fixture.seen_by_others().await, empty);
}

/// What was there and just as wanted is adopted, or refused, without a touch, and left.
pub async fn what_was_the_same_is_left<F: Fixture>() {
    let fixture = F::new().await;
    fixture.put_same().await;
    let found = fixture.in_all().await;
    let row = intend(&fixture, fixture.first()).await;
    assert_eq!(row.held.values().all(|before| *before == Before::Same), F::ADOPTS);
    let outcome = bring(&fixture, &context(), &row, &row.spec).await;
    assert_eq!(outcome.is_ok(), F::ADOPTS, "{outcome:?}");
    take_away(&fixture, &row).await;
    assert_eq!(fixture.in_all().await, found);
}

/// What was there and is not as wanted is put back, or was refused and not touched.
pub async fn what_was_there_before_returns<F: Fixture>() {
    let fixture = F::new().await;
    fixture.put_other().await;
    let found = fixture.seen_by_others().await;
    let row = intend(&fixture, fixture.first()).await;
    assert!(row.held.values().all(|before| *before == Before::Original));
    let outcome = bring(&fixture, &context(), &row, &row.spec).await;
    assert_eq!(outcome.is_ok(), F::TAKES_OVER || F::SHARES, "{outcome:?}");
    if F::TAKES_OVER {
        assert_ne!(fixture.seen_by_others().await, found);
        let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
        assert!(seen.on_target() && seen.keeps_original, "{seen:?}");
        bring(&fixture, &context(), &row, &fixture.second()).await.expect("the second spec is brought about");
    }
    take_away(&fixture, &row).await;
    assert_eq!(fixture.seen_by_others().await, found);
}

/// A resource that got another id holds what it held, without a touch, and gives it back.
pub async fn under_another_id_it_is_held_and_given_back<F: Fixture>() {
    for others in [false, true] {
        let fixture = F::new().await;
        if others {
            fixture.put_other().await;
        }
        let found = fixture.seen_by_others().await;
        let row = intend(&fixture, fixture.first()).await;
        if row.held.is_empty() {
            // There is nothing to be handed over: one goes, and another one comes.
            return;
        }
        if bring(&fixture, &context(), &row, &row.spec).await.is_err() {
            assert!(others && !F::TAKES_OVER, "it is brought about");
            continue;
        }
        let held = fixture.in_all().await;
        let row = Row { id: id("renamed"), applied: true, ..row };
        assert_eq!(row.spec.claims(&row.id), row.spec.claims(&id("it")), "the fixture's spec has a name");
        let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
        assert!(seen.on_target(), "{:?}", seen.differences);
        bring_about(&fixture, &row).await;
        assert_eq!(fixture.in_all().await, held);
        take_away(&fixture, &row).await;
        assert_eq!(fixture.seen_by_others().await, found);
    }
}

/// An intent that never came to its effect is undone without one.
pub async fn what_was_never_touched_is_left<F: Fixture>() {
    let fixture = F::new().await;
    fixture.put_other().await;
    let found = fixture.in_all().await;
    let row = intend(&fixture, fixture.first()).await;
    take_away(&fixture, &row).await;
    assert_eq!(fixture.in_all().await, found);
}

/// Absent already is success.
pub async fn taken_away_twice_is_taken_away<F: Fixture>() {
    let fixture = F::new().await;
    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    take_away(&fixture, &row).await;
    let once = fixture.seen_by_others().await;
    take_away(&fixture, &row).await;
    assert_eq!(fixture.seen_by_others().await, once);
}

/// What others change is seen, with its fields, and mended.
pub async fn drift_is_seen_and_mended<F: Fixture>() {
    let fixture = F::new().await;
    let row = intend(&fixture, fixture.first()).await;
    bring_about(&fixture, &row).await;
    let wanted = fixture.seen_by_others().await;
    let before = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    fixture.disturb().await;
    let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    assert!(!seen.differences.is_empty());
    assert_ne!(seen.fingerprint, before.fingerprint);
    bring_about(&fixture, &row).await;
    let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
    assert!(seen.on_target(), "{:?}", seen.differences);
    assert_eq!(fixture.seen_by_others().await, wanted);
}

/// One target that cannot be seen, or not be brought about, says so; the others are as ever.
pub async fn a_bad_target_costs_only_itself<F: Fixture>() {
    let fixture = F::new().await;
    let (good, bad) = (fixture.first(), fixture.impossible());
    let (good_id, bad_id) = (id("good"), id("bad"));
    let targets =
        [(&bad_id, &bad), (&good_id, &good)].map(|(id, spec)| Target { id, wanted: Some(spec), owned: None });
    let sights = fixture.reconciler().observe(&targets).await.expect("the kind can be seen");
    assert!(sights[&bad_id].is_ok() == F::SEES_THE_IMPOSSIBLE && sights[&good_id].is_ok());

    let held = bad.claims(&bad_id).into_iter().map(|claim| (claim, Before::Absent)).collect();
    let row = Row { id: bad_id, spec: bad, applied: false, held };
    let found = fixture.in_all().await;
    let error = bring(&fixture, &context(), &row, &row.spec).await.expect_err("it cannot be brought about");
    assert!(!error.to_failure().reason.is_empty());
    assert_eq!(fixture.in_all().await, found, "what fails leaves nothing behind");
    let row = intend(&fixture, good).await;
    bring_about(&fixture, &row).await;
}

/// A step that is told to stop before it starts does not.
pub async fn cancelled_before_it_starts_nothing_changes<F: Fixture>() {
    let fixture = F::new().await;
    let token = CancellationToken::new();
    token.cancel();
    let cx = StepContext::new(token, |_, _| {});
    let row = intend(&fixture, fixture.first()).await;
    let found = fixture.in_all().await;
    let error = bring(&fixture, &cx, &row, &row.spec).await.expect_err("it was told to stop");
    assert_eq!(error.to_failure().reason, "Cancelled");
    assert_eq!(fixture.in_all().await, found);
}

/// Wherever a step is dropped, the next one ends as if it had not been; the same for taking away.
pub async fn dropped_anywhere_it_is_finished_by_the_next<F: Fixture>() {
    for wakes in 0..8 {
        let fixture = F::new().await;
        let empty = fixture.seen_by_others().await;
        if F::TAKES_OVER && wakes % 2 == 1 {
            fixture.put_other().await;
        }
        let found = fixture.seen_by_others().await;
        let row = intend(&fixture, fixture.first()).await;
        drop_after(bring(&fixture, &context(), &row, &row.spec), wakes).await;
        bring_about(&fixture, &row).await;
        let seen = see(&fixture, &row.spec, Some(&row)).await.expect("it can be seen");
        assert!(seen.on_target(), "{:?}", seen.differences);
        drop_after(bring(&fixture, &context(), &row, &fixture.second()), wakes).await;
        drop_after(take_away(&fixture, &row), wakes).await;
        take_away(&fixture, &row).await;
        assert_eq!(fixture.seen_by_others().await, found, "dropped after {wakes}; empty was {empty:?}");
    }
}
