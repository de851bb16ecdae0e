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
