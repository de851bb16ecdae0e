//! A temporary device, and what a ledger would hold of it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use manifest_types::{claim::Claim, digest::Digest, kinds::file::FileSpec, name::ResourceId};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    error::Failure,
    file::FileReconciler,
    host::{Blob, BlobError, BlobSource, Blobs, Host},
    observation::{Before, Observation},
    reconciler::{Owned, Put, Reconciler, StepContext, Take, Target},
    registry::observation,
};

pub(super) struct Rig {
    pub(super) temp: TempDir,
    pub(super) host: Host,
    pub(super) files: FileReconciler,
    pub(super) shelf: Arc<Shelf>,
}

/// What a ledger would hold of one file.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: ResourceId,
    pub(super) spec: FileSpec,
    pub(super) applied: bool,
    pub(super) held: BTreeMap<Claim, Before>,
}

impl Row {
    pub(super) fn owned(&self) -> Owned<'_, FileSpec> {
        Owned { spec: &self.spec, applied: self.applied, attempted: None, held: &self.held }
    }

    /// The row once `spec` was applied.
    pub(super) fn with(&self, spec: &FileSpec) -> Self {
        Self { spec: spec.clone(), applied: true, ..self.clone() }
    }
}

pub(super) fn spec(value: Value) -> FileSpec {
    serde_json::from_value(value).unwrap()
}

pub(super) fn text_file(path: &str, text: &str) -> FileSpec {
    spec(serde_json::json!({ "path": path, "content": { "inline": text } }))
}

/// Fails where the user may not do what a test does. What needs no rights is tested apart.
pub(super) fn needs_root(what: &str) {
    assert!(nix::unistd::geteuid().is_root(), "this test {what}: run it as root");
}

pub(super) fn context() -> StepContext {
    StepContext::new(CancellationToken::new(), |_, _| {})
}

impl Rig {
    pub(super) fn new() -> Self {
        let temp = TempDir::new().unwrap();
        fs::create_dir(temp.path().join("root")).unwrap();
        let shelf = Arc::new(Shelf::default());
        let host = Host {
            root: temp.path().join("root"),
            state_dir: temp.path().join("state"),
            protected: Vec::new(),
            agent_id: "pump-17".parse().unwrap(),
            engine_places: Vec::new(),
            services: Default::default(),
            blobs: shelf.clone(),
            reach: Arc::new(crate::host::AlwaysThere),
        };
        let files = FileReconciler::new(&host);
        Self { temp, host, files, shelf }
    }

    /// The same device after its agent was started again.
    pub(super) fn restarted(mut self) -> Self {
        self.files = FileReconciler::new(&self.host);
        self
    }

    pub(super) fn real(&self, path: &str) -> PathBuf {
        self.host.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.real(path), text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.real(path)).unwrap()
    }

    pub(super) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.real(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.real(path)).unwrap().mode() & 0o7777
    }

    pub(super) async fn see(&self, spec: &FileSpec) -> Result<Observation, Failure> {
        let id: ResourceId = "it".parse().unwrap();
        let target = Target { id: &id, wanted: Some(spec), owned: None };
        let sight = self.files.observe(&[target]).await.unwrap().remove(&id).unwrap();
        sight.map(|sight| observation(&sight, Some(spec))).map_err(|error| error.to_failure())
    }

    pub(super) async fn intend(&self, spec: &FileSpec) -> Row {
        let before = self.see(spec).await.unwrap().before();
        self.row(spec, before)
    }

    pub(super) fn row(&self, spec: &FileSpec, before: Before) -> Row {
        let held = BTreeMap::from([(Claim::Path(spec.path.as_str().to_owned()), before)]);
        Row { id: "it".parse().unwrap(), spec: spec.clone(), applied: false, held }
    }

    pub(super) async fn put_with(&self, cx: &StepContext, row: &Row, spec: &FileSpec) -> Result<(), Failure> {
        let put = Put { id: &row.id, spec, digest: Digest::of(b""), owned: row.owned(), restart: false };
        self.files.reconcile(cx, &put).await.map(drop).map_err(|error| error.to_failure())
    }

    /// Brings `row` to `spec`; what the step itself has seen after that, if it tells.
    pub(super) async fn told(&self, row: &Row, spec: &FileSpec) -> Option<Observation> {
        let put = Put { id: &row.id, spec, digest: Digest::of(b""), owned: row.owned(), restart: false };
        let told = self.files.reconcile(&context(), &put).await.unwrap();
        told.map(|told| observation(&told, Some(spec)))
    }

    pub(super) async fn put(&self, row: &Row) -> Result<(), Failure> {
        self.put_with(&context(), row, &row.spec).await
    }

    pub(super) async fn take(&self, row: &Row) -> Result<(), Failure> {
        let take = Take { id: &row.id, owned: row.owned() };
        self.files.delete(&context(), &take).await.map_err(|error| error.to_failure())
    }

    /// Makes it managed from the first look on.
    pub(super) async fn apply(&self, spec: &FileSpec) -> Row {
        let row = self.intend(spec).await;
        self.put(&row).await.unwrap();
        Row { applied: true, ..row }
    }

    /// What is in `displaced/`: names and contents.
    pub(super) fn displaced(&self) -> BTreeMap<String, String> {
        contents(&self.host.state_dir.join("displaced"))
    }

    pub(super) fn originals(&self) -> BTreeMap<String, String> {
        contents(&self.host.state_dir.join("originals"))
    }

    /// Whether any file of the agent is left over below the root.
    pub(super) fn leftovers(&self) -> Vec<String> {
        picture(&self.host.root, false).into_keys().filter(|name| name.contains(".holdfast.")).collect()
    }
}

fn contents(directory: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let entries = entries.map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, String::from_utf8(fs::read(entry.path()).unwrap()).unwrap())
        })
        .collect()
}

/// Everything below a directory; with identities and times of change if `is_exact`.
pub(super) fn picture(directory: &Path, is_exact: bool) -> BTreeMap<String, String> {
    let mut todo = vec![directory.to_owned()];
    let mut picture = BTreeMap::new();
    while let Some(path) = todo.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let content = if stat.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "/".to_owned()
        } else if stat.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else {
            Digest::of(&fs::read(&path).unwrap()).short()
        };
        let mut text = format!("{:o} {}:{} {content}", stat.mode(), stat.uid(), stat.gid());
        if is_exact {
            text += &format!(" #{} {}.{:09}", stat.ino(), stat.ctime(), stat.ctime_nsec());
        }
        picture.insert(path.strip_prefix(directory).unwrap().display().to_string(), text);
    }
    picture
}

/// Contents from afar, as the tests put them there.
#[derive(Default)]
pub(super) struct Shelf {
    chunks: Mutex<Option<BoxStream<'static, Result<Bytes, BlobError>>>>,
    opened: Mutex<usize>,
}

impl Shelf {
    /// The next to ask gets these pieces.
    pub(super) fn serve(
        &self,
        chunks: impl futures_util::Stream<Item = Result<Bytes, BlobError>> + Send + 'static,
    ) {
        *self.chunks.lock().unwrap() = Some(chunks.boxed());
    }

    pub(super) fn serve_text(&self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        self.serve(futures_util::stream::iter([Ok(text)]));
    }

    pub(super) fn times_opened(&self) -> usize {
        *self.opened.lock().unwrap()
    }
}

impl Blobs for Shelf {
    fn open(&self, source: &BlobSource) -> BoxFuture<'static, Result<Blob, BlobError>> {
        *self.opened.lock().unwrap() += 1;
        let blob = self.chunks.lock().unwrap().take().map(|chunks| Blob { size: None, chunks });
        let source = source.clone();
        async move { blob.ok_or(BlobError::Refused { from: source, why: "not found".into() }) }.boxed()
    }
}
