//! Who may import whom.

use super::{
    code::identifiers,
    tree::{Tree, Violation, line},
};

/// One package of ours.
struct Package {
    folder: &'static str,
    name: &'static str,
    /// Those of ours that it may import; `None`: all.
    may: Option<&'static [&'static str]>,
}

/// The arrows of the house. What is not in this table must be put there.
const PACKAGES: &[Package] = &[
    Package { folder: "manifest-types", name: "manifest-types", may: Some(&[]) },
    Package { folder: "reconcilers", name: "reconcilers", may: Some(&["manifest-types"]) },
    Package { folder: "agent", name: "holdfast", may: Some(&["manifest-types", "reconcilers"]) },
    Package { folder: "control-plane-sim", name: "control-plane-sim", may: Some(&["manifest-types"]) },
    Package { folder: "patches/regex", name: "regex", may: Some(&[]) },
    Package { folder: "tests", name: "e2e", may: None },
    Package { folder: "tests/simulation", name: "simulation", may: None },
    Package { folder: "xtask", name: "xtask", may: None },
];

/// What knows kinds only through the registry, so that a new one does not touch it.
const CORE: &[&str] =
    &["agent/src/admit", "agent/src/engine", "agent/src/execute", "agent/src/plan", "agent/src/report"];

fn may(package: &Package, other: &str) -> bool {
    let ours = PACKAGES.iter().any(|known| known.name == other);
    !ours || other == package.name || package.may.is_none_or(|may| may.contains(&other))
}

/// The package whose folder is the nearest above `path`.
fn package_of(path: &str) -> Option<&'static Package> {
    let above = PACKAGES
        .iter()
        .filter(|package| path.strip_prefix(package.folder).is_some_and(|rest| rest.starts_with('/')));
    above.max_by_key(|package| package.folder.len())
}

/// Each package's Cargo.toml asks only for packages of ours that it may import.
pub(super) fn manifests(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let Some(package) = package_of(path) else {
            found.push(line(path, 0, "is a package that the table of imports does not know"));
            continue;
        };
        for (number, dependency) in dependencies(text) {
            if !may(package, dependency) {
                found.push(line(path, number, format!("{} may not depend on {dependency}", package.name)));
            }
        }
    }
    found
}

/// The names in all sections of dependencies, with their lines.
fn dependencies(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, text) in text.lines().enumerate() {
        let text = text.trim();
        if let Some(section) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (section, name) = section.rsplit_once('.').unwrap_or((section, ""));
            inside = section.ends_with("dependencies") || name.ends_with("dependencies");
            if section.ends_with("dependencies") && !name.is_empty() {
                found.push((index + 1, name));
                inside = false;
            }
        } else if inside
            && let Some(name) = text.split(['=', '.', ' ']).next().filter(|name| !name.is_empty())
        {
            found.push((index + 1, name));
        }
    }
    found
}

/// No path in the code leads into a package of ours that may not be imported.
pub(super) fn paths(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, code) in tree.rust() {
        let Some(package) = package_of(path) else { continue };
        for (number, text) in code.lines() {
            let forbidden = PACKAGES.iter().filter(|other| !may(package, other.name));
            for other in forbidden.filter(|other| leads_into(text, &other.name.replace('-', "_"))) {
                found.push(line(path, number, format!("{} may not import {}", package.name, other.name)));
            }
        }
    }
    found
}

fn leads_into(text: &str, krate: &str) -> bool {
    let used = text.trim_start().trim_start_matches("pub ").strip_prefix("use ");
    let used = used.is_some_and(|rest| identifiers(rest).next() == Some(krate));
    used || text.match_indices(&format!("{krate}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// The core of the agent names no kind: neither its reconciler nor its spec.
pub(super) fn kinds_in_the_core(tree: &Tree) -> Vec<Violation> {
    let kinds = tree.texts().filter_map(|(path, _)| {
        path.strip_prefix("manifest-types/src/kinds/")?.strip_suffix(".rs").filter(|name| !name.contains('/'))
    });
    let needles: Vec<_> =
        kinds.flat_map(|kind| [format!("reconcilers::{kind}"), format!("kinds::{kind}")]).collect();
    let mut found = Vec::new();
    for (path, code) in tree.rust().filter(|(path, _)| in_core(path)) {
        for (number, text) in code.shipped() {
            let named = needles.iter().filter(|needle| {
                let word_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                text.match_indices(needle.as_str()).any(|(at, needle)| word_end(&text[at + needle.len()..]))
            });
            found.extend(named.map(|needle| {
                line(path, number, format!("`{needle}`: kinds are known by the registry only"))
            }));
        }
    }
    found
}

fn in_core(path: &str) -> bool {
    let below =
        |start: &str| path.strip_prefix(start).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    CORE.iter().any(|start| below(start)) && !path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn a_dependency_against_the_arrows_is_found() {
        let files = [
            (
                "manifest-types/Cargo.toml",
                "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\nreconcilers.workspace = true\n",
            ),
            (
                "control-plane-sim/Cargo.toml",
                "[dependencies]\nmanifest-types.workspace = true\n[target.'cfg(unix)'.dependencies]\nholdfast = { path = \"..\" }\n",
            ),
            (
                "reconcilers/Cargo.toml",
                "[dev-dependencies]\nreconcilers = { path = \".\" }\n[dependencies.holdfast]\npath = \"..\"\n",
            ),
            ("agent/Cargo.toml", "[dependencies]\nreconcilers.workspace = true\n[features]\nxtask = []\n"),
            ("tests/Cargo.toml", "[dependencies]\nholdfast.workspace = true\n"),
            ("tests/simulation/Cargo.toml", "[dependencies]\nholdfast.workspace = true\n"),
            ("new/Cargo.toml", ""),
        ];
        assert_eq!(
            found(manifests, &files),
            [
                "control-plane-sim/Cargo.toml:4: control-plane-sim may not depend on holdfast",
                "manifest-types/Cargo.toml:5: manifest-types may not depend on reconcilers",
                "new/Cargo.toml: is a package that the table of imports does not know",
                "reconcilers/Cargo.toml:3: reconcilers may not depend on holdfast",
            ]
        );
    }

    #[test]
    fn a_path_against_the_arrows_is_found() {
        let files = [
            (
                "reconcilers/src/a.rs",
                "use manifest_types::x;\nuse holdfast;\nlet a = holdfast::b();\nlet c = my_holdfast::d(self::holdfast::e);",
            ),
            ("control-plane-sim/src/a.rs", "pub use reconcilers::{a};\n// use holdfast::b;"),
            ("agent/src/a.rs", "use reconcilers::registry;"),
        ];
        assert_eq!(
            found(paths, &files),
            [
                "control-plane-sim/src/a.rs:1: control-plane-sim may not import reconcilers",
                "reconcilers/src/a.rs:2: reconcilers may not import holdfast",
                "reconcilers/src/a.rs:3: reconcilers may not import holdfast",
            ]
        );
    }

    #[test]
    fn a_kind_in_the_core_is_found() {
        let files = [
            ("manifest-types/src/kinds/file.rs", ""),
            ("manifest-types/src/kinds/file/path.rs", ""),
            (
                "agent/src/engine/a.rs",
                "use reconcilers::file::drift;\nuse manifest_types::kinds::file_of;\n#[cfg(test)]\nmod tests {\n use manifest_types::kinds::file::FileSpec;\n}",
            ),
            ("agent/src/plan.rs", "use manifest_types::kinds::file;"),
            ("agent/src/planet.rs", "use manifest_types::kinds::file;"),
        ];
        assert_eq!(
            found(kinds_in_the_core, &files),
            [
                "agent/src/engine/a.rs:1: `reconcilers::file`: kinds are known by the registry only",
                "agent/src/plan.rs:1: `kinds::file`: kinds are known by the registry only",
            ]
        );
    }
}
