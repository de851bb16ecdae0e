//! Networks that are being made anew. Who is taken out of one for that is not to be put back into it by anybody else meanwhile, nor told to be missing there.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use manifest_types::kinds::container::Attachment;

use super::{Link, News};
use crate::engine::{ContainerEngine, terms::Container};

/// Who was in which network, and how: by the network's name and the container's id.
#[derive(Debug, Default)]
pub(super) struct Rebuilt(BTreeMap<String, BTreeMap<String, Attachment>>);

impl Rebuilt {
    /// Tells a container as it was, as far as these networks go.
    pub(super) fn tell(&self, container: &mut Container) {
        for (network, members) in &self.0 {
            let Some(attachment) = members.get(&container.id) else { continue };
            if container.shape.get(&format!("networks.{network}")).is_none() {
                container.shape.network(attachment);
            }
        }
    }
}

/// A network is being made anew for as long as this is held.
pub struct Rebuilding<E: ContainerEngine> {
    link: Arc<Link<E>>,
    network: String,
}

impl<E: ContainerEngine> Rebuilding<E> {
    pub(super) fn begin(link: Arc<Link<E>>, network: &str, members: &[(String, Attachment)]) -> Self {
        let members = members.iter().cloned().collect();
        let mut rebuilt = link.rebuilt.lock().unwrap_or_else(PoisonError::into_inner);
        rebuilt.0.insert(network.to_owned(), members);
        drop(rebuilt);
        Self { link, network: network.to_owned() }
    }
}

impl<E: ContainerEngine> Drop for Rebuilding<E> {
    fn drop(&mut self) {
        self.link.rebuilt.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&self.network);
        // What was looked at meanwhile was not told as it was.
        self.link.state().changes.everything();
        // Nobody may be listening.
        let _ = self.link.news.send(News::Anything);
    }
}
