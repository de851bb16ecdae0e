//! Docker and Podman keep the engines' contract, which the fake keeps, too.

use e2e::parts;
use reconcilers::engine::{contract::Rig, docker::Docker};

use crate::IMAGE;

mod on_docker {
    use super::*;

    async fn rig() -> Rig<Docker> {
        // Docker 20.10 speaks API 1.41: annotations came with 1.43.
        Rig {
            engine: Docker::new(vec![parts::docker()]),
            image: IMAGE.into(),
            adjusts: true,
            annotates: false,
        }
    }

    reconcilers::engine_promises!(rig());
}

mod on_podman {
    use super::*;

    async fn rig() -> Rig<Docker> {
        // Podman 4 changes no limits in place by its compatible API.
        Rig {
            engine: Docker::new(vec![parts::podman()]),
            image: IMAGE.into(),
            adjusts: false,
            annotates: false,
        }
    }

    reconcilers::engine_promises!(rig());
}
