//! A file's bytes on their way into the file beside: from the manifest, from a copy, or streamed from afar in constant memory.

use std::{fs::File, io::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use manifest_types::{digest::Digest, kinds::file::FileContent, name::ResourceId, status::Progress};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    cache::each_piece,
    error::FileError,
    permit::blocking,
    stage::{Attributes, Staged},
    walk::Place,
};
use crate::{
    host::{Blob, BlobSource, Blobs},
    reconciler::StepContext,
};

/// Written at once: what arrives in small pieces is gathered, so that the disk is not asked for each.
const GATHERED: usize = 256 * 1024;
const MOST_GATHERED: usize = 1024;
const BETWEEN_PROGRESS: Duration = Duration::from_millis(500);

/// A file beside its place that is being written.
#[derive(Debug)]
pub(super) struct Writing {
    staged: Staged,
    file: File,
    hasher: Sha256,
    place: Place,
}

impl Writing {
    /// Begins with an empty file beside `place`.
    pub(super) fn begin(place: &Place) -> Result<Self, FileError> {
        let (staged, file) = Staged::file(place)?;
        Ok(Self { staged, file, hasher: Sha256::new(), place: place.clone() })
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(FileError::io("write", self.place.path()))
    }

    /// Writes what `from` holds.
    pub(super) fn write_all_of(&mut self, from: &mut File) -> Result<(), FileError> {
        let Self { file, hasher, place, .. } = self;
        each_piece(from, |piece| {
            hasher.update(piece);
            file.write_all(piece)
        })
        .map_err(FileError::io("copy", place.path()))
    }

    /// The digest of what was written.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Ends with these attributes, everything on disk.
    pub(super) fn seal(self, attributes: Attributes) -> Result<Staged, FileError> {
        attributes.set(&self.file, &self.place)?;
        Ok(self.staged)
    }
}

/// Copies to the end; gives the digest of what was copied. Errors name `place`.
pub(super) fn copy(from: &mut File, to: &mut File, place: &Place) -> Result<Digest, FileError> {
    let mut hasher = Sha256::new();
    each_piece(from, |piece| {
        hasher.update(piece);
        to.write_all(piece)
    })
    .map_err(FileError::io("copy", place.path()))?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

/// Where a content comes from, and what it must be, if it is not in the manifest itself.
pub(super) fn source(content: &FileContent) -> Option<(BlobSource, Digest)> {
    match content {
        FileContent::Inline(_) | FileContent::Base64(_) => None,
        FileContent::Object { bucket, name, sha256 } => {
            Some((BlobSource::Object { bucket: bucket.clone(), name: name.clone() }, *sha256))
        }
        FileContent::Url { url, sha256 } => Some((BlobSource::Url(url.clone()), *sha256)),
    }
}

/// Fetches a content into the file beside. No thread is held while nothing comes; telling the step to stop ends it at once.
pub(super) async fn fetch(
    mut writing: Writing,
    blobs: &dyn Blobs,
    (from, want): (BlobSource, Digest),
    cx: &StepContext,
    id: &ResourceId,
) -> Result<Writing, FileError> {
    let unavailable = |error| FileError::ContentUnavailable(Arc::new(error));
    let Blob { size, mut chunks } = tokio::select! {
        opened = blobs.open(&from) => opened.map_err(unavailable)?,
        () = cx.cancelled() => return Err(FileError::Cancelled),
    };
    let mut done = 0;
    let mut told: Option<Instant> = None;
    loop {
        let mut gathered: Vec<Bytes> = Vec::new();
        let mut length = 0;
        let is_last = loop {
            let next = tokio::select! {
                next = chunks.next() => next,
                () = cx.cancelled() => return Err(FileError::Cancelled),
            };
            let Some(chunk) = next else { break true };
            let chunk = chunk.map_err(unavailable)?;
            length += chunk.len();
            gathered.push(chunk);
            if length >= GATHERED || gathered.len() >= MOST_GATHERED {
                break false;
            }
        };
        writing = blocking(move || {
            gathered.iter().try_for_each(|bytes| writing.write(bytes))?;
            Ok(writing)
        })
        .await?;
        done += length as u64;
        if is_last {
            break;
        }
        if told.is_none_or(|told| told.elapsed() >= BETWEEN_PROGRESS) {
            told = Some(Instant::now());
            let message = format!("fetching {from}");
            cx.progress(id, Progress { message, done, total: size, unit: "bytes".into() });
        }
    }
    let got = writing.digest();
    if got == want { Ok(writing) } else { Err(FileError::DigestMismatch { from, want, got }) }
}
