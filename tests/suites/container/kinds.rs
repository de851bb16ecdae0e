//! The kinds of the engine keep the contract of all kinds, on Docker and on Podman.

use e2e::parts;
use reconcilers::engine::{bed::Bed, docker::Docker};

struct DockerBed;
struct PodmanBed;

impl Bed for DockerBed {
    type Engine = Docker;

    async fn engine() -> Docker {
        Docker::new(vec![parts::docker()])
    }
}

impl Bed for PodmanBed {
    type Engine = Docker;

    async fn engine() -> Docker {
        Docker::new(vec![parts::podman()])
    }
}

mod containers {
    use reconcilers::container::fixture::Containers;

    use super::{DockerBed, PodmanBed};

    mod on_docker {
        use super::*;
        reconcilers::promises!(Containers<DockerBed>);
    }

    mod on_podman {
        use super::*;
        reconcilers::promises!(Containers<PodmanBed>);
    }
}

mod volumes {
    use reconcilers::volume::fixture::Volumes;

    use super::{DockerBed, PodmanBed};

    mod on_docker {
        use super::*;
        reconcilers::promises!(Volumes<DockerBed>);
    }

    mod on_podman {
        use super::*;
        reconcilers::promises!(Volumes<PodmanBed>);
    }
}

mod networks {
    use reconcilers::container_network::fixture::Networks;

    use super::{DockerBed, PodmanBed};

    mod on_docker {
        use super::*;
        reconcilers::promises!(Networks<DockerBed>);
    }

    mod on_podman {
        use super::*;
        reconcilers::promises!(Networks<PodmanBed>);
    }
}

mod images {
    use std::sync::Arc;

    use e2e::{Registry, parts};
    use reconcilers::{
        engine::{bed::Shelf, docker::Docker},
        image::fixture::Images,
    };

    use super::{DockerBed, PodmanBed};
    use crate::IMAGE;

    tokio::task_local! {
        /// The registry of a test: it takes long to start one for each promise.
        static REGISTRY: Arc<Registry>;
    }

    async fn offer(name: &str) -> String {
        let (registry, name) = (REGISTRY.get(), format!("{name}:1"));
        registry.push_variant(&parts::docker(), IMAGE, &name).await;
        registry.image(&name)
    }

    impl Shelf for DockerBed {
        async fn offer(_: &Docker, name: &str) -> String {
            offer(name).await
        }
    }

    impl Shelf for PodmanBed {
        async fn offer(_: &Docker, name: &str) -> String {
            offer(name).await
        }
    }

    #[tokio::test]
    async fn they_keep_the_contract_on_docker() {
        let promises = async { reconcilers::promises!(in_a_row Images<DockerBed>) };
        REGISTRY.scope(Arc::new(Registry::open().await), promises).await;
    }

    #[tokio::test]
    async fn they_keep_the_contract_on_podman() {
        let promises = async { reconcilers::promises!(in_a_row Images<PodmanBed>) };
        REGISTRY.scope(Arc::new(Registry::open().await), promises).await;
    }
}
