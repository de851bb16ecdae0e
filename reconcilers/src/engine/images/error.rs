//! What can go wrong with an image, beyond what its engine refuses.

use std::path::PathBuf;

use manifest_types::quantity::Size;

use crate::error::Fault;

const MEBI: u64 = 1024 * 1024;

/// An image that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The credentials cannot be used.
    #[error("the registry credentials {} cannot be used: {why}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why; never what is in it.
        why: String,
    },
    /// The image is larger than what is left of the disk.
    #[error(
        "{image} needs {} MiB at least, and {} MiB are free where the engine keeps its images; make room there",
        needs.0.div_ceil(MEBI), free.0 / MEBI
    )]
    NoRoom {
        /// The image.
        image: String,
        /// What is known of its size.
        needs: Size,
        /// What is free.
        free: Size,
    },
}

impl Fault for ImageError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Credentials { .. } => "CredentialsUnusable",
            Self::NoRoom { .. } => "InsufficientStorage",
        }
    }

    fn can_retry(&self) -> bool {
        // Somebody may put the file right, or make room.
        true
    }
}
