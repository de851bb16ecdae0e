//! `cargo xtask setup`: brings the real parts that tests and demo need, where they are missing.
//!
//! What is there and works is left alone. A part that cannot be brought ends it with why it is needed and how to get it by hand: nothing is skipped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use cache::Cache;

mod apt;
mod cache;
mod device;
mod disks;
mod engines;
mod faketime;
mod nats_server;
mod python;

/// The real parts.
pub(crate) struct Parts {
    /// The NATS server's binary.
    pub(crate) nats_server: PathBuf,
    /// A Python that has a NATS client and a JSON Schema validator: for a client in another language.
    pub(crate) python: PathBuf,
}

/// One part: what a person must know when it cannot be brought.
struct Part {
    name: &'static str,
    needed_for: &'static str,
    by_hand: &'static str,
    /// A part that is there already may be named by this environment variable.
    variable: &'static str,
}

/// Brings everything that is missing and says where it is.
pub(crate) fn all() -> Result<()> {
    run()?;
    clock()?;
    disks()?;
    engines()?;
    device().map(drop)
}

/// Brings the library that gives a process another wall clock: only tests need it.
pub(crate) fn clock() -> Result<PathBuf> {
    let cache = Cache::open()?;
    let library = bring(&faketime::PART, faketime::works, || faketime::bring(&cache))?;
    eprintln!("{}: {}", faketime::PART.name, library.display());
    Ok(library)
}

/// Brings the programs that make disks: only tests need them.
pub(crate) fn disks() -> Result<()> {
    disks::bring()
}

/// Brings container engines: only some tests need them.
pub(crate) fn engines() -> Result<()> {
    engines::bring()
}

/// Brings the image of a device with systemd: only some tests need it.
pub(crate) fn device() -> Result<PathBuf> {
    device::bring(&Cache::open()?)
}

/// Brings what demo, benchmarks and tests all need.
pub(crate) fn run() -> Result<Parts> {
    let cache = Cache::open()?;
    let python = bring(&python::PART, python::works, || python::bring(&cache))?;
    let nats_server = bring(&nats_server::PART, nats_server::works, || nats_server::bring(&cache, &python))?;
    eprintln!("{}: {}", nats_server::PART.name, nats_server.display());
    eprintln!("{}: {}", python::PART.name, python.display());
    Ok(Parts { nats_server, python })
}

fn bring(
    part: &Part,
    works: impl Fn(&Path) -> bool,
    bring: impl FnOnce() -> Result<PathBuf>,
) -> Result<PathBuf> {
    let Part { name, needed_for, by_hand, variable } = part;
    if let Some(given) = given(variable) {
        if !works(&given) {
            bail!("{variable} names {}, which is no working {name}", given.display());
        }
        return Ok(given);
    }
    bring().with_context(|| {
        format!("cannot bring {name}, {needed_for}. By hand: {by_hand}, and name it with {variable}")
    })
}

#[expect(clippy::disallowed_methods, reason = "the one reading of a part that is given by hand")]
pub(crate) fn given(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_cannot_be_brought_says_why_it_is_needed_and_how_to_get_it() {
        let part = Part {
            name: "oven 3",
            needed_for: "in which the bread is baked",
            by_hand: "build one of bricks",
            variable: "HOLDFAST_NO_SUCH_PART",
        };
        let error = bring(&part, |_| true, || bail!("no bricks")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "cannot bring oven 3, in which the bread is baked. By hand: build one of bricks, and name it with HOLDFAST_NO_SUCH_PART: no bricks"
        );
    }
}
