//! Whether all that is built in may be given on under the project's own licence.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Program;

/// Licences that ask for no more than their notice, by their SPDX names.
const ALLOWED: [&str; 11] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "CC0-1.0",
];

/// Checks the licence of every package that is built here, directly or by way of others.
pub(crate) fn check() -> Result<()> {
    let rustc = Program::new("rustc").arg("-vV").quiet_output()?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc -vV does not name its host")?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&Program::cargo().args(arguments).quiet_output()?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let wrong: Vec<_> = packages.iter().filter(|package| !is_allowed(package["license"].as_str())).collect();
    for package in &wrong {
        eprintln!("{} {}: licence {}", package["name"], package["version"], package["license"]);
    }
    match wrong.len() {
        0 => {
            eprintln!("licences: {} packages", packages.len());
            Ok(())
        }
        count => bail!("{count} packages have licences that nobody has agreed to: see xtask/src/licences.rs"),
    }
}

/// Whether an SPDX expression leaves a choice that is allowed. A slash is how `OR` was written once.
fn is_allowed(expression: Option<&str>) -> bool {
    let Some(expression) = expression else { return false };
    let expression = expression.replace('/', " OR ");
    // `(A OR B) AND C` is all there is of parentheses: each part of an AND is a choice of its own.
    let is_one = |one: &str| {
        let name = one.trim().trim_matches(['(', ')']).trim();
        ALLOWED.contains(&name.split(" WITH ").next().unwrap_or_default())
    };
    expression.split(" AND ").all(|part| part.split(" OR ").any(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_agreed_to_is_found() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/GPL-3.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(Some(good)), "{good}");
        }
        for bad in
            [Some("GPL-3.0"), Some("MIT AND GPL-3.0"), Some("(GPL-2.0 OR GPL-3.0) AND MIT"), Some(""), None]
        {
            assert!(!is_allowed(bad), "{bad:?}");
        }
    }
}
