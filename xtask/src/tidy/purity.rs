//! Decision code takes values and returns values: no I/O, no clock, no environment, nothing asynchronous.

use super::{
    code::identifiers,
    tree::{Tree, Violation, line},
};

/// The modules that decide: a module's file, and everything in its folder.
const PURE: &[&str] = &[
    "agent/src/admit",
    "agent/src/engine",
    "agent/src/plan",
    "agent/src/report",
    "agent/src/source/balena/compose",
    "agent/src/source/balena/document",
    "agent/src/source/balena/facts",
    "agent/src/source/balena/target",
    "agent/src/source/balena/translate",
    "manifest-types/src",
    "reconcilers/src/file/drift",
    "reconcilers/src/observation",
];

/// What effects are made of.
const EFFECTS: &[&str] = &[
    "async fn",
    "async move",
    ".await",
    "tokio::",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// No pure module has an effect; its tests may.
pub(super) fn pure_modules(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, code) in tree.rust().filter(|(path, _)| is_pure(path)) {
        let mut in_group = false;
        for (number, text) in code.shipped() {
            in_group |= text.trim_start().starts_with("use std::{");
            let is_here =
                |effect: &&&str| text.contains(**effect) || (in_group && names_module(text, effect));
            found.extend(
                EFFECTS
                    .iter()
                    .filter(is_here)
                    .map(|effect| line(path, number, format!("`{effect}` in a module that must be pure"))),
            );
            in_group &= !text.contains(';');
        }
    }
    found
}

/// Inside of `use std::{…}`, `fs` is `std::fs`.
fn names_module(text: &str, effect: &str) -> bool {
    effect.strip_prefix("std::").is_some_and(|module| identifiers(text).any(|name| name == module))
}

fn is_pure(path: &str) -> bool {
    let below =
        |start: &str| path.strip_prefix(start).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    PURE.iter().any(|start| below(start)) && !path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn an_effect_in_a_pure_module_is_found() {
        let text = "async fn f() { g().await }\nuse std::{collections,\n fs,\n};\nlet fs = env;\nlet now = Timestamp::now();\n// tokio::spawn\n";
        let lines = found(pure_modules, &[("agent/src/plan/order.rs", text)]);
        assert_eq!(
            lines,
            [
                "agent/src/plan/order.rs:1: `async fn` in a module that must be pure",
                "agent/src/plan/order.rs:1: `.await` in a module that must be pure",
                "agent/src/plan/order.rs:3: `std::fs` in a module that must be pure",
                "agent/src/plan/order.rs:6: `Timestamp::now` in a module that must be pure",
            ]
        );
    }

    #[test]
    fn every_effect_is_seen() {
        for effect in EFFECTS {
            let lines = found(pure_modules, &[("agent/src/admit.rs", effect)]);
            assert!(!lines.is_empty(), "{effect}");
        }
    }

    #[test]
    fn tests_and_other_modules_may() {
        let text = "#[cfg(test)]\nmod tests {\n  async fn f() { std::fs::read(x) }\n}\n";
        let effect = "use std::fs;";
        let files = [
            ("agent/src/plan.rs", text),
            ("agent/src/plan/tests.rs", effect),
            ("agent/src/planner.rs", effect),
            ("reconcilers/src/file.rs", effect),
        ];
        assert_eq!(found(pure_modules, &files), Vec::<String>::new());
    }
}
