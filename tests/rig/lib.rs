//! Starts the real parts that the suites run against.
//!
//! [`parts`] says where they are, [`running`] keeps a process until its test ends, [`nats`] is a NATS server, [`mod@fleet`] the buckets on it, [`control_plane`] the control plane's command line,
//! [`cluster`] several servers as one, [`cable`] a connection that can be cut, [`disk`] a file system that fills up or cannot be written,
//! [`docker`] and [`podman`] are engines to be stopped and started, [`registry`] has their images, [`agent`] is a device with the agent on it, and [`board`] one with systemd, too. Every part
//! is started by the test that needs it, on a free port and in a folder of its own,
//! and is ended by its own process id.

pub mod agent;
pub mod board;
pub mod cable;
pub mod cluster;
pub mod control_plane;
pub mod disk;
pub mod docker;
pub mod fleet;
pub mod nats;
pub mod parts;
pub mod podman;
pub mod registry;
pub mod running;
pub mod until;

pub use agent::Device;
pub use board::Board;
pub use cable::Cable;
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use disk::{HangingDisk, SmallDisk};
pub use docker::DockerEngine;
pub use fleet::{Fleet, fleet};
pub use nats::{NatsServer, Store};
pub use podman::PodmanEngine;
pub use registry::Registry;
pub use running::Running;
pub use until::{until, until_some};
