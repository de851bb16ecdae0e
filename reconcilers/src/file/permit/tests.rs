//! A dropped step does no more, and the next one on its path waits for that.

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::*;

fn context() -> (StepContext, CancellationToken) {
    let token = CancellationToken::new();
    (StepContext::new(token.clone(), |_, _| {}), token)
}

#[test]
fn work_that_nobody_waits_for_stops() {
    let (cx, token) = context();
    let take = || Turns::default().take(&cx, BTreeSet::from(["/a"])).now_or_never().unwrap().unwrap();
    let (permit, waiting) = take();
    assert!(permit.check().is_ok());
    drop(waiting);
    assert!(permit.check().is_err(), "its future was dropped");
    let (permit, _waiting) = take();
    token.cancel();
    assert!(permit.check().is_err(), "it was told to stop");
}

#[test]
fn a_path_is_free_once_its_last_work_has_ended() {
    let (cx, _) = context();
    let turns = Turns::default();
    let take = |paths: &[&'static str]| {
        let paths = paths.iter().copied().collect();
        turns.take(&cx, paths).now_or_never().map(|turn| turn.unwrap())
    };
    let (permit, waiting) = take(&["/a", "/b"]).unwrap();
    let under_way = permit.clone();
    drop((permit, waiting));
    assert!(take(&["/a"]).is_none() && take(&["/b", "/c"]).is_none(), "the blocking work still runs");
    assert!(take(&["/c"]).is_some());
    drop(under_way);
    assert!(take(&["/a", "/b"]).is_some());
    assert!(take(&["/a", "/b"]).is_some(), "a turn that was taken is given back");
}

#[test]
fn waiting_for_a_path_is_cancelled() {
    let (cx, token) = context();
    let turns = Turns::default();
    let _first = turns.take(&cx, BTreeSet::from(["/a"])).now_or_never().unwrap().unwrap();
    let mut second = std::pin::pin!(turns.take(&cx, BTreeSet::from(["/a"])));
    assert!(second.as_mut().now_or_never().is_none());
    token.cancel();
    assert!(second.now_or_never().unwrap().is_err());
}
