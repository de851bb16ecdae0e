//! Contents from afar: streamed, checked, cancellable.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use manifest_types::{digest::Digest, kinds::file::FileSpec, status::Progress};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, spec, text_file};
use crate::{
    host::{BlobError, BlobSource},
    reconciler::StepContext,
};

fn from_url(text: &str) -> FileSpec {
    let sha256 = Digest::of(text.as_bytes());
    spec(
        json!({ "path": "/it", "content": { "url": "https://files.example/it?key=secret", "sha256": sha256 } }),
    )
}

#[tokio::test]
async fn what_is_fetched_is_written_and_not_fetched_again() {
    let rig = Rig::new();
    let wanted = from_url("from afar");
    rig.shelf.serve_text("from afar");
    let row = rig.apply(&wanted).await;
    assert_eq!((rig.read("/it").as_str(), rig.mode("/it")), ("from afar", 0o644));
    rig.put(&row).await.unwrap();
    rig.chmod("/it", 0o600);
    rig.put(&row).await.unwrap();
    assert_eq!((rig.mode("/it"), rig.shelf.times_opened()), (0o644, 1));
}

#[tokio::test]
async fn a_wrong_digest_leaves_what_was_there() {
    let rig = Rig::new();
    rig.write("/it", "before");
    rig.shelf.serve_text("something else");
    let failure = rig.put(&rig.intend(&from_url("from afar")).await).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("DigestMismatch", true));
    assert!(!failure.message.contains("secret"), "{}", failure.message);
    assert_eq!(rig.read("/it"), "before");
    assert!(rig.leftovers().is_empty() && rig.originals().is_empty());
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told() {
    let rig = Rig::new();
    let row = rig.intend(&from_url("x")).await;
    let failure = rig.put(&row).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("ContentUnavailable", true));
    assert!(
        failure.message.contains("https://files.example/it was refused: not found"),
        "{}",
        failure.message
    );
    let from = BlobSource::Url("https://files.example/it".into());
    let cut = Err(BlobError::Unreachable { from, why: "the connection was cut".into() });
    rig.shelf.serve(stream::iter([Ok(Bytes::from_static(b"x")), cut]));
    assert_eq!(rig.put(&row).await.unwrap_err().reason, "ContentUnavailable");
    assert!(rig.leftovers().is_empty());
}

/// 8 MiB in pieces of 64 KiB, and their digest.
fn large() -> (impl futures_util::Stream<Item = Result<Bytes, BlobError>> + Send, Digest) {
    let piece = |number: u32| Bytes::from(number.to_be_bytes().repeat(16 * 1024));
    let mut hasher = Sha256::new();
    (0..128).for_each(|number| hasher.update(piece(number)));
    (stream::iter(0..128).map(move |number| Ok(piece(number))), Digest::from_bytes(hasher.finalize().into()))
}

#[tokio::test]
async fn a_large_content_tells_its_progress() {
    let rig = Rig::new();
    let (chunks, sha256) = large();
    rig.shelf.serve(chunks);
    let wanted = spec(
        json!({ "path": "/it", "content": { "object": { "bucket": "b", "name": "n", "sha256": sha256 } } }),
    );
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let sink = told.clone();
    let cx =
        StepContext::new(CancellationToken::new(), move |_, progress| sink.lock().unwrap().push(progress));
    let row = rig.intend(&wanted).await;
    rig.put_with(&cx, &row, &wanted).await.unwrap();
    assert!(rig.see(&wanted).await.unwrap().on_target());
    let told = told.lock().unwrap();
    assert_eq!((told[0].message.as_str(), told[0].unit.as_str()), ("fetching object b/n", "bytes"));
    assert!(told.last().unwrap().done > 0 && told.is_sorted_by_key(|progress| progress.done));
}

#[tokio::test]
async fn a_large_content_with_a_wrong_end_is_refused() {
    let rig = Rig::new();
    let (chunks, sha256) = large();
    rig.shelf.serve(chunks.take(127));
    let wanted = spec(
        json!({ "path": "/it", "content": { "object": { "bucket": "b", "name": "n", "sha256": sha256 } } }),
    );
    assert_eq!(rig.put(&rig.intend(&wanted).await).await.unwrap_err().reason, "DigestMismatch");
    assert!(!rig.real("/it").exists() && rig.leftovers().is_empty());
}

/// A content that begins and then never goes on; tells when it is waited for.
fn stalled() -> (impl futures_util::Stream<Item = Result<Bytes, BlobError>> + Send, Arc<Notify>) {
    let asked = Arc::new(Notify::new());
    let notify = asked.clone();
    let never = stream::once(async move {
        notify.notify_one();
        std::future::pending::<Result<Bytes, BlobError>>().await
    });
    // More than is gathered before it is written, so that the file beside has something in it.
    (stream::iter([Ok(Bytes::from(vec![7; 300 * 1024]))]).chain(never), asked)
}

#[tokio::test]
async fn a_stalled_content_is_cancelled_at_once() {
    let rig = Rig::new();
    let (chunks, asked) = stalled();
    rig.shelf.serve(chunks);
    let row = rig.intend(&from_url("x")).await;
    let token = CancellationToken::new();
    let cx = StepContext::new(token.clone(), |_, _| {});
    let cancel = async {
        asked.notified().await;
        assert_eq!(rig.leftovers().len(), 1, "it is being written beside");
        token.cancel();
    };
    let both = async { tokio::join!(rig.put_with(&cx, &row, &row.spec), cancel) };
    let (outcome, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(outcome.unwrap_err().reason, "Cancelled");
    assert!(rig.leftovers().is_empty() && !rig.real("/it").exists());
}

#[tokio::test]
async fn a_stalled_content_that_is_dropped_leaves_nothing_and_holds_nobody_up() {
    let rig = Rig::new();
    let (chunks, asked) = stalled();
    rig.shelf.serve(chunks);
    let row = rig.intend(&from_url("from afar")).await;
    tokio::select! {
        _ = rig.put(&row) => panic!("it never ends"),
        () = asked.notified() => {}
    }
    assert!(rig.leftovers().is_empty());
    rig.shelf.serve_text("from afar");
    tokio::time::timeout(Duration::from_secs(20), rig.put(&row)).await.unwrap().unwrap();
    assert_eq!(rig.read("/it"), "from afar");
}

#[test]
fn a_stalled_content_does_not_keep_a_thread() {
    let mut one_thread = tokio::runtime::Builder::new_current_thread();
    let runtime = one_thread.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let rig = Rig::new();
        let (chunks, asked) = stalled();
        rig.shelf.serve(chunks);
        let row = rig.intend(&from_url("x")).await;
        let other = rig.intend(&text_file("/other", "text")).await;
        let rest = async {
            asked.notified().await;
            tokio::time::timeout(Duration::from_secs(20), rig.put(&other)).await.unwrap().unwrap();
        };
        tokio::select! {
            _ = rig.put(&row) => panic!("it never ends"),
            () = rest => {}
        }
    });
}
