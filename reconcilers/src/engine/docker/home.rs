//! Which of several engines is the one: where something of ours was first made. Another that happens to answer while that one is away has nothing of ours, and all
//! would seem gone.

use std::{fs, io, path::PathBuf};

use tokio::{sync::Mutex, task::spawn_blocking};

use crate::durable;

/// The place of the engine that has what is ours.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// Where that is kept across restarts of the agent.
    file: Option<PathBuf>,
    place: Mutex<Place>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Place {
    /// It was not read yet.
    #[default]
    Unread,
    /// Nothing of ours was made anywhere.
    Nowhere,
    At(String),
}

impl Home {
    /// One that is remembered in a file.
    pub(super) fn kept_in(file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    /// The place, if there is one.
    pub(super) async fn place(&self) -> Option<String> {
        let mut place = self.place.lock().await;
        if *place == Place::Unread {
            let file = self.file.clone();
            let read = spawn_blocking(move || fs::read_to_string(file?).ok()).await.ok().flatten();
            let read = read.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            *place = read.map_or(Place::Nowhere, Place::At);
        }
        match &*place {
            Place::At(place) => Some(place.clone()),
            Place::Unread | Place::Nowhere => None,
        }
    }

    /// Something of ours is about to be made at a place.
    pub(super) async fn settle(&self, at: &str) {
        if self.place().await.as_deref() == Some(at) {
            return;
        }
        let mut place = self.place.lock().await;
        *place = Place::At(at.to_owned());
        let Some(file) = self.file.clone() else { return };
        let (text, told) = (format!("{at}\n"), file.display().to_string());
        let written = spawn_blocking(move || durable::write(&file, text.as_bytes())).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(file = told, %error, "which container engine is this agent's is known until it is started again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_where_something_was_last_made_and_outlives_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let home = || Home::kept_in(folder.path().join("engine"));
        assert_eq!(home().place().await, None);
        let first = home();
        first.settle("unix:///run/docker.sock").await;
        assert_eq!(first.place().await.as_deref(), Some("unix:///run/docker.sock"));
        assert_eq!(home().place().await.as_deref(), Some("unix:///run/docker.sock"));
        first.settle("tcp://127.0.0.1:1").await;
        assert_eq!(home().place().await.as_deref(), Some("tcp://127.0.0.1:1"));
    }
}
