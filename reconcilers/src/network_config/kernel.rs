//! The seam to the kernel's interfaces.

use std::{future::Future, net::IpAddr};

use futures_util::stream::BoxStream;

use super::{moves::Move, terms::Links};

#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod netlink;

/// The kernel does not do as it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// There is no way to it.
    #[error("the kernel cannot be asked about interfaces (netlink): {0}")]
    Away(String),
    /// It refused.
    #[error("the kernel refuses to {doing}: {}", nix::errno::Errno::from_raw(*.errno).desc())]
    Refused {
        /// What it was asked to do.
        doing: String,
        /// Its number for why.
        errno: i32,
    },
    /// There is no such interface.
    #[error("there is no interface {0}")]
    NoLink(String),
}

/// What is asked of the kernel.
pub trait Kernel: Clone + Send + Sync + 'static {
    /// All interfaces with their addresses and routes, but for the loopback.
    fn links(&self) -> impl Future<Output = Result<Links, KernelError>> + Send;

    /// Does one thing. What is so already is no error.
    fn make(&self, one: &Move) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Whether a neighbour at an interface answers when it is asked for its hardware's address.
    fn answers(
        &self,
        link: &str,
        neighbour: IpAddr,
    ) -> impl Future<Output = Result<bool, KernelError>> + Send;

    /// That something has changed, from now on.
    fn events(&self) -> BoxStream<'static, ()>;
}
