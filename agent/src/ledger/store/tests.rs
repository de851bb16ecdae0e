use std::{collections::BTreeMap, sync::Arc};

use manifest_types::{claim::Claim, digest::Digest, kinds::Spec};
use reconcilers::observation::Before;
use serde_json::json;

use super::*;
use crate::ledger::{
    memory::{Admission, SavedManifest},
    row::{Applied, Intent},
};

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn row(content: &str) -> Row {
    let spec =
        Spec::read("File", &json!({ "path": "/a", "content": { "inline": content } })).unwrap().unwrap();
    let target = Applied { digest: Digest::of(content.as_bytes()), spec: Arc::new(spec) };
    let held = BTreeMap::from([(Claim::Path("/a".into()), Before::Original)]);
    Row {
        held: Arc::new(held),
        intent: Some(Intent::Put { target, saw: BTreeMap::new() }),
        revision: 3,
        ..Row::new("File")
    }
}

fn manifest(generation: u64) -> (SavedManifest, Admission) {
    let generation = generation.try_into().unwrap();
    let saved = SavedManifest { source: "nats".into(), generation, text: "{}".into() };
    (saved, Admission { generation, digest: Digest::of(b"{}") })
}

#[test]
fn what_is_committed_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, memory) = Store::open(dir.path(), "one").unwrap();
    assert_eq!(memory, Memory { instances: ["one".to_owned()].into(), ..Memory::default() });
    let mut write = LedgerWrite { manifest: Some(manifest(7)), ..LedgerWrite::default() };
    write.rows.insert(id("a"), Some(Arc::new(row("x"))));
    write.rows.insert(id("b"), Some(Arc::new(row("y"))));
    store.commit(&write).unwrap();
    let mut later = LedgerWrite::default();
    later.rows.insert(id("b"), None);
    store.commit(&later).unwrap();
    drop(store);

    let (_, memory) = Store::open(dir.path(), "two").unwrap();
    let mut expected = Memory { instances: ["one".to_owned(), "two".into()].into(), ..Memory::default() };
    expected.commit(&write);
    expected.commit(&later);
    assert_eq!(memory, expected);
}

#[test]
fn a_row_of_a_kind_to_come_is_kept_opaque() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), "one").unwrap();
    let bytes = br#"{"kind":"Hologram","held":{"unit:h.service":"Absent"},"hue":3}"#;
    let transaction = store.database().unwrap().begin_write().unwrap();
    transaction.open_table(ROWS).unwrap().insert("h", &bytes[..]).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let (_, memory) = Store::open(dir.path(), "two").unwrap();
    assert!(memory.rows.is_empty());
    assert_eq!(memory.opaque[&id("h")].kind, "Hologram");
}

#[test]
fn two_agents_cannot_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(dir.path(), "one").unwrap();
    let error = Store::open(dir.path(), "two").err().unwrap();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error:?}");
}

#[test]
fn a_damaged_ledger_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), "one").unwrap());
    fs::write(dir.path().join("ledger.redb"), vec![7; 8192]).unwrap();
    let opened = Store::open(dir.path(), "two");
    let (_, memory) = opened.unwrap();
    assert_eq!(memory.instances.len(), 1);
    assert!(dir.path().join("ledger.damaged-two").exists());
}

#[test]
fn damage_that_shows_only_when_it_is_read_is_put_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), "one").unwrap();
    let rows = (0..200)
        .map(|number| (id(&format!("r{number}")), Some(Arc::new(row(&number.to_string())))))
        .collect();
    store.commit(&LedgerWrite { rows, ..LedgerWrite::default() }).unwrap();
    drop(store);
    let path = dir.path().join("ledger.redb");
    let whole = fs::read(&path).unwrap();
    let mut put_aside = 0;
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let (_, memory) = Store::open(dir.path(), "two").unwrap();
        let aside = dir.path().join("ledger.damaged-two");
        // A page that is not in use is no loss.
        assert!(aside.exists() || memory.rows.len() == 200, "page {page}: {} rows", memory.rows.len());
        put_aside += usize::from(aside.exists());
        drop(fs::remove_file(aside));
    }
    assert!(put_aside > 5, "{put_aside}");
}

#[test]
fn a_reserve_that_was_cut_short_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), "one").unwrap());
    fs::write(dir.path().join("reserve"), "short").unwrap();
    drop(Store::open(dir.path(), "two").unwrap());
    assert_eq!(fs::metadata(dir.path().join("reserve")).unwrap().len(), RESERVE as u64);
}
