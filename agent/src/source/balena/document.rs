//! Reads a JSON document by hand: values that may be written in several ways, every problem with its place, and what is ignored is noted. Pure.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use manifest_types::problem::{JsonPath, Problem};
use serde_json::Value;

/// What was read, or all that is wrong with it.
pub type Read<T> = Result<T, Vec<Problem>>;

/// What was read over, and why.
#[derive(Debug, Default)]
pub struct Notes(RefCell<Vec<Problem>>);

impl Notes {
    /// All of them, in the order of their places.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut notes = self.0.into_inner();
        notes.sort_by(|one, other| (&one.path, &one.message).cmp(&(&other.path, &other.message)));
        notes
    }
}

/// A value and its place. No problem quotes a value: it may be a secret.
#[derive(Clone)]
pub struct Node<'a> {
    value: &'a Value,
    path: JsonPath,
    notes: &'a Notes,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.path)
    }
}

impl<'a> Node<'a> {
    /// The document itself.
    pub fn root(value: &'a Value, notes: &'a Notes) -> Self {
        Self { value, path: JsonPath::root(), notes }
    }

    /// The value.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// Something that is not in the document, as if it were its member `key`.
    pub fn standing_in(&self, key: &str, value: &'a Value) -> Self {
        Self { value, path: self.path.key(key), notes: self.notes }
    }

    /// Its place.
    pub fn path(&self) -> &JsonPath {
        &self.path
    }

    /// Something is wrong with it.
    pub fn wrong<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(vec![Problem::new(self.path.clone(), message)])
    }

    /// It is read over.
    pub fn note(&self, message: impl Into<String>) {
        self.notes.0.borrow_mut().push(Problem::new(self.path.clone(), message));
    }

    /// A text.
    pub fn text(&self) -> Read<&'a str> {
        self.value.as_str().map_or_else(|| self.wrong("must be a text"), Ok)
    }

    /// True or false.
    pub fn flag(&self) -> Read<bool> {
        self.value.as_bool().map_or_else(|| self.wrong("must be true or false"), Ok)
    }

    /// The elements of a list.
    pub fn items(&self) -> Read<Vec<Self>> {
        let Some(items) = self.value.as_array() else { return self.wrong("must be a list") };
        let item = |(index, value)| Self { value, path: self.path.index(index), notes: self.notes };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The members of an object, in the order of their names; those that are null, too.
    pub fn members(&self) -> Read<BTreeMap<&'a str, Self>> {
        let Some(members) = self.value.as_object() else { return self.wrong("must be an object") };
        let member = |(key, value): (&'a String, &'a Value)| {
            (key.as_str(), Self { value, path: self.path.key(key), notes: self.notes })
        };
        Ok(members.iter().map(member).collect())
    }

    /// Reads the value by its type's own rule; `expected` says what is right.
    pub fn parse<T: std::str::FromStr>(&self, expected: &str) -> Read<T> {
        self.text()?.parse().or_else(|_| self.wrong(format!("must be {expected}")))
    }
}

/// All that was read, or all that is wrong.
pub fn all<T>(reads: impl IntoIterator<Item = Read<T>>) -> Read<Vec<T>> {
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for read in reads {
        match read {
            Ok(value) => good.push(value),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(good) } else { Err(problems) }
}

/// The same of what has names.
pub fn all_named<K: Ord, T>(reads: impl IntoIterator<Item = (K, Read<T>)>) -> Read<BTreeMap<K, T>> {
    let named = reads.into_iter().map(|(name, read)| read.map(|value| (name, value)));
    Ok(all(named)?.into_iter().collect())
}

/// The members of an object, taken one after the other. What is null is not there.
#[derive(Debug)]
pub struct Fields<'a> {
    node: Node<'a>,
    left: BTreeMap<&'a str, Node<'a>>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Those of an object.
    pub fn of(node: &Node<'a>) -> Read<Self> {
        let mut left = node.members()?;
        left.retain(|_, member| !member.value.is_null());
        Ok(Self { node: node.clone(), left, problems: Vec::new() })
    }

    /// Takes one, if it is there and good.
    pub fn take<T>(&mut self, key: &str, read: impl FnOnce(&Node<'a>) -> Read<T>) -> Option<T> {
        let member = self.left.remove(key)?;
        self.keep(read(&member))
    }

    /// Takes one that must be there.
    pub fn need<T>(&mut self, key: &str, read: impl FnOnce(&Node<'a>) -> Read<T>) -> Option<T> {
        if !self.left.contains_key(key) {
            self.wrong(key, "is required");
        }
        self.take(key, read)
    }

    /// Whether one is there that was not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes those that mean nothing here, and notes it.
    pub fn ignore(&mut self, keys: &[&str], why: &str) {
        for member in keys.iter().filter_map(|key| self.left.remove(*key)) {
            member.note(why);
        }
    }

    /// Takes those that mean nothing here, as everybody expects.
    pub fn skip(&mut self, keys: &[&str]) {
        self.left.retain(|key, _| !keys.contains(key));
    }

    /// Something is wrong with the member `key`.
    pub fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.node.path.key(key), message));
    }

    /// What was read of something else, if it is good; what is wrong with it otherwise counts here.
    pub fn keep<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|wrong| self.problems.extend(wrong)).ok()
    }

    /// The end: `value`, if nothing was wrong. What was not taken is noted.
    pub fn end<T>(self, value: Option<T>) -> Read<T> {
        for member in self.left.values() {
            member.note("is not known here; it is ignored");
        }
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(self.problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_problems_are_told_and_what_is_ignored_is_noted() {
        let value = json!({ "a": 1, "b": null, "c": [1, "x", 2], "e": true });
        let notes = Notes::default();
        let mut fields = Fields::of(&Node::root(&value, &notes)).unwrap();
        assert_eq!(fields.take("a", Node::text), None);
        assert_eq!(fields.need("b", Node::flag), None);
        assert_eq!(fields.take("c", |list| all(list.items()?.iter().map(Node::text))), None);
        let wrong = fields.end(Some(())).unwrap_err();
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        let expected =
            ["$.a: must be a text", "$.b: is required", "$.c[0]: must be a text", "$.c[2]: must be a text"];
        assert_eq!(wrong, expected);
        let notes: Vec<_> = notes.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(notes, ["$.e: is not known here; it is ignored"]);
    }
}
