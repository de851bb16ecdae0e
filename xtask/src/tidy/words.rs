//! Words that must not stand in the code.

use super::{
    code::identifiers as words_of,
    tree::{Tree, Violation, line},
};

/// Words that name no idea.
const EMPTY: &[&str] = &["manager", "handler", "helper", "facade"];
/// Modules that would gather what has no place.
const DRAWERS: &[&str] = &["util", "utils", "common", "helpers", "misc"];
/// What a forbidden word is part of, but not ours to choose.
const NAMES: &[&str] = &["NetworkManager", "network_manager", "NETWORK_MANAGER"];

/// No identifier has an empty word in it, or ends in `_impl`; no module is a drawer.
pub(super) fn identifiers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, code) in tree.rust() {
        for (number, text) in code.lines() {
            let mut previous = "";
            for identifier in words_of(text) {
                if let Some(word) = empty_word(identifier) {
                    found.push(line(
                        path,
                        number,
                        format!("`{identifier}`: {word} names no idea; say what it does"),
                    ));
                }
                if identifier.ends_with("_impl") {
                    found.push(line(
                        path,
                        number,
                        format!("`{identifier}`: name what it does, not that it is done"),
                    ));
                }
                if previous == "mod" && DRAWERS.contains(&identifier) {
                    found.push(line(
                        path,
                        number,
                        format!("`mod {identifier}`: put each thing where it belongs"),
                    ));
                }
                previous = identifier;
            }
        }
    }
    found
}

fn empty_word(identifier: &str) -> Option<&'static str> {
    let own = NAMES.iter().fold(identifier.to_owned(), |own, name| own.replace(name, ""));
    words(&own).into_iter().find_map(|word| EMPTY.iter().find(|empty| **empty == word).copied())
}

/// The words of an identifier in either spelling, in lower case.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_lowercase() || c.is_ascii_digit();
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// Nothing is left for later.
pub(super) fn unfinished(tree: &Tree) -> Vec<Violation> {
    banned(tree, &["todo!(", "unimplemented!(", "#[ignore"], "is not finished")
}

/// serde's ways to lose error messages.
pub(super) fn serde_attributes(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, code) in tree.rust() {
        let mut inside = false;
        for (number, text) in code.lines() {
            inside |= text.contains("serde(");
            if inside {
                let lost = words_of(text).filter(|word| ["flatten", "untagged"].contains(word));
                found.extend(lost.map(|word| {
                    line(
                        path,
                        number,
                        format!("serde's `{word}` ruins error messages and deny_unknown_fields"),
                    )
                }));
            }
            inside &= !text.contains(")]");
        }
    }
    found
}

fn banned(tree: &Tree, needles: &[&str], why: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, code) in tree.rust() {
        for (number, text) in code.lines() {
            let here = needles.iter().filter(|needle| text.contains(**needle));
            found.extend(here.map(|needle| line(path, number, format!("`{needle}` {why}"))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn empty_words_are_found_in_either_spelling() {
        let text = "struct TaskManager;\nfn http_handler() {}\nlet HelperX = run_impl;\nconst FACADE: u8 = 1;\nmod util;\npub mod common {}";
        let lines = found(identifiers, &[("a.rs", text)]);
        let at: Vec<_> =
            lines.iter().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            at,
            [
                "a.rs:1 `TaskManager`",
                "a.rs:2 `http_handler`",
                "a.rs:3 `HelperX`",
                "a.rs:3 `run_impl`",
                "a.rs:4 `FACADE`",
                "a.rs:5 `mod util`",
                "a.rs:6 `mod common`"
            ]
        );
    }

    #[test]
    fn other_words_are_not() {
        let text = "use NetworkManager;\nfn network_manager_version() {}\nimpl X {} // a handler\nlet s = \"Manager\"; let managed = common(util);\nsimpl(); exhandlers();";
        assert_eq!(found(identifiers, &[("a.rs", text)]), Vec::<String>::new());
    }

    #[test]
    fn what_is_left_for_later_is_found() {
        let text = "fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }\n#[ignore = \"slow\"]\n// todo!()\nlet x = \"todo!()\";";
        assert_eq!(found(unfinished, &[("a.rs", text)]).len(), 3);
    }

    #[test]
    fn serde_attributes_that_lose_messages_are_found() {
        let text = "#[serde(flatten)]\na\n#[serde(\n  default,\n  untagged,\n)]\n#[command(flatten)]\nlet flatten = x.flatten();\n#[cfg_attr(y, serde(untagged))]";
        let lines = found(serde_attributes, &[("a.rs", text)]);
        let at: Vec<_> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(at, ["a.rs:1", "a.rs:5", "a.rs:9"]);
    }
}
