//! `cargo xtask tidy`: rules of this source tree that no compiler knows, checked on its text.
//!
//! Each rule is a function from the [`tree::Tree`] to what breaks it, and has a test in which it is seen to find something.

use anyhow::{Result, bail};

use tree::{Tree, Violation};

use crate::process::workspace;

mod code;
mod imports;
mod kinds;
mod layout;
mod purity;
mod tree;
mod words;

const RULES: &[fn(&Tree) -> Vec<Violation>] = &[
    layout::length,
    layout::opening,
    words::identifiers,
    words::unfinished,
    words::serde_attributes,
    imports::manifests,
    imports::paths,
    imports::kinds_in_the_core,
    purity::pure_modules,
    kinds::complete,
];

/// Checks every rule; everything that breaks one is told.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&workspace())?;
    let violations: Vec<_> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => {
            eprintln!("tidy: {} files", tree.len());
            Ok(())
        }
        count => bail!("tidy: {count} found"),
    }
}
