//! Texts, lists and tables, in the ways in which Compose files write them.

use std::collections::BTreeMap;

use manifest_types::kinds::engine::Texts;
use serde_json::Value;

use crate::source::balena::document::{Node, Read, all, all_named};

/// A text; numbers, true and false are texts, too.
pub fn scalar(node: &Node<'_>) -> Read<String> {
    match node.value() {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => node.wrong("must be a text or a number"),
    }
}

/// A text that is not empty.
pub(super) fn filled(node: &Node<'_>) -> Read<String> {
    let text = scalar(node)?;
    if text.is_empty() { node.wrong("is empty") } else { Ok(text) }
}

/// A list of texts.
pub(super) fn list(node: &Node<'_>) -> Read<Vec<String>> {
    all(node.items()?.iter().map(scalar))
}

/// One text, or a list of them.
pub(super) fn one_or_many(node: &Node<'_>) -> Read<Vec<String>> {
    if node.value().is_array() { list(node) } else { Ok(vec![scalar(node)?]) }
}

/// A table of texts: an object, or a list of `NAME=VALUE`. What has no value is there without one.
pub fn table(node: &Node<'_>) -> Read<BTreeMap<String, Option<String>>> {
    if node.value().is_array() {
        let pair = |line: String| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (line, None),
        };
        return Ok(list(node)?.into_iter().map(pair).collect());
    }
    if !node.value().is_object() {
        return node.wrong("must be an object, or a list of NAME=VALUE");
    }
    let value = |member: &Node<'_>| match member.value() {
        Value::Null => Ok(None),
        _ => scalar(member).map(Some),
    };
    all_named(node.members()?.iter().map(|(name, member)| ((*name).to_owned(), value(member))))
}

/// A table of texts in which what has no value is empty.
pub fn texts(node: &Node<'_>) -> Read<Texts> {
    Ok(table(node)?.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

/// True or false; as a text, too.
pub(super) fn flag(node: &Node<'_>) -> Read<bool> {
    match node.value() {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => node.wrong("must be true or false"),
    }
}
