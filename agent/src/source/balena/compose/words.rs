//! Commands: lists of words, or one text that is divided as a shell divides it, without its expansions, operators and comments.

use crate::source::balena::{
    compose::texts::list,
    document::{Node, Read},
};

/// Stands for `#` while a text is divided: to a shell it begins a comment, here it is a character like others.
const HASH: &str = "\0";

/// The words of a command.
pub(super) fn command(node: &Node<'_>) -> Read<Vec<String>> {
    if node.value().is_array() {
        return list(node);
    }
    let Some(line) = node.value().as_str() else { return node.wrong("must be a text or a list of texts") };
    if line.contains(HASH) {
        return node.wrong("has a NUL");
    }
    let divided = shell_words::split(&line.replace('#', HASH));
    let words = divided.or_else(|_| node.wrong("has a quote that is not closed"))?;
    Ok(words.into_iter().map(|word| word.replace(HASH, "#")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::balena::document::Notes;

    #[test]
    fn a_line_is_divided_as_a_shell_does_and_nothing_in_it_is_expanded() {
        let notes = Notes::default();
        for (line, words) in [
            ("serve --title \"Green house\"", &["serve", "--title", "Green house"][..]),
            ("a 'b c' d\\ e", &["a", "b c", "d e"]),
            ("echo $HOME > /tmp/x | cat *", &["echo", "$HOME", ">", "/tmp/x", "|", "cat", "*"]),
            ("paint #ff0000 a#b '#c' \"\\#d\"", &["paint", "#ff0000", "a#b", "#c", "\\#d"]),
            ("", &[]),
        ] {
            assert_eq!(command(&Node::root(&json!(line), &notes)).unwrap(), words, "{line}");
        }
        for wrong in [json!("a \"b"), json!("a 'b"), json!(1), json!([["a"]]), json!("a\0b")] {
            assert!(command(&Node::root(&wrong, &notes)).is_err(), "{wrong}");
        }
    }
}
