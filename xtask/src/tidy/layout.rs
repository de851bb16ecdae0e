//! How a file is laid out: not too long, and saying at its top what it is for.

use super::tree::{Tree, Violation, file};

/// No Rust file has more lines.
const CEILING: usize = 500;

/// A file is one idea.
pub(super) fn length(tree: &Tree) -> Vec<Violation> {
    let lengths = tree
        .texts()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| (path, text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > CEILING);
    long.map(|(path, lines)| file(path, format!("has {lines} lines, {CEILING} at most: split it"))).collect()
}

/// Each file opens with a line on what it is for; tests speak for themselves.
pub(super) fn opening(tree: &Tree) -> Vec<Violation> {
    let rust = tree.texts().filter(|(path, _)| path.ends_with(".rs") && !is_test(path));
    let silent = rust.filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| file(path, "must open with a `//!` line on what it is for")).collect()
}

/// A test module or an integration test. The rig of `tests/` is neither.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/suites/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn a_long_file_is_found() {
        let long = "\n".repeat(CEILING + 1);
        let files = [("a.rs", &*long), ("b.rs", &long[1..]), ("c.json", &*long)];
        assert_eq!(found(length, &files), ["a.rs: has 501 lines, 500 at most: split it"]);
    }

    #[test]
    fn a_silent_file_is_found() {
        let files = [
            ("a/src/b.rs", "use c;\n//! Late.\n"),
            ("a/src/good.rs", "//! For good.\n"),
            ("a/src/tests.rs", "use c;\n"),
            ("a/tests/it.rs", "use c;\n"),
            ("tests/rig/nats.rs", "use c;\n"),
            ("tests/suites/x/main.rs", "use c;\n"),
        ];
        let lines = found(opening, &files);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("a/src/b.rs:") && lines[1].starts_with("tests/rig/nats.rs:"),
            "{lines:?}"
        );
    }
}
