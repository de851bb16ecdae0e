//! A text, JSON or YAML, read into a JSON value; and where in the text a value stands.

use std::{borrow::Cow, fmt};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::{JsonPath, Position, Problem, Segment};

/// How deep arrays and objects may be nested; serde_json's own bound.
const DEEPEST: usize = 128;

/// Reads JSON. Unlike plain serde_json, a member that stands twice is an error: which one counts is anybody's guess.
pub fn from_json(text: &str) -> Result<Value, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read =
        Strict::deserialize(&mut deserializer).and_then(|strict| deserializer.end().map(|()| strict.0));
    read.map_err(|error| {
        let message = error.to_string();
        let end = message.rfind(" at line ").unwrap_or(message.len());
        Problem {
            path: JsonPath::root(),
            position: Some(Position { line: error.line(), column: error.column() }),
            message: format!("is not JSON: {}", &message[..end]),
        }
    })
}

/// Reads YAML 1.2 with its core schema, and therefore JSON, too. Anchors are refused, so that no small text becomes a large document.
pub fn from_yaml(text: &str) -> Result<Value, Problem> {
    let mut reader = Reader::new(text);
    let value = reader.document()?;
    match reader.next()? {
        (Event::DocumentStart(_), span) => Err(problem(span, "is a second document in one file")),
        _ => Ok(value),
    }
}

/// Where the value at `path` begins in `text`; of a place that is not there, where its nearest parent begins.
pub fn locate(text: &str, path: &JsonPath) -> Option<Position> {
    let mut reader = Reader::new(text);
    let mut best = None;
    let mut event = reader.start().ok()?;
    let mut rest = path.0.as_slice();
    loop {
        best = Some(position(event.1)).or(best);
        let Some((segment, below)) = rest.split_first() else {
            return best;
        };
        match reader.descend(&event.0, segment) {
            Ok(Some(found)) => event = found,
            Ok(None) | Err(_) => return best,
        }
        rest = below;
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(StrictVisitor)? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("{key:?} stands twice")));
            }
            members.insert(key, map.next_value_seed(StrictVisitor)?);
        }
        Ok(members.into())
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn problem(span: Span, message: impl Into<String>) -> Problem {
    Problem { path: JsonPath::root(), position: Some(position(span)), message: message.into() }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self { parser: Parser::new_from_str(text), depth: 0 }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The first event of the first document.
    fn start(&mut self) -> Result<(Event<'t>, Span), Problem> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, span) => return Err(problem(span, "is empty")),
                other => return Ok(other),
            }
        }
    }

    fn document(&mut self) -> Result<Value, Problem> {
        let (event, span) = self.start()?;
        let value = self.value(event, span)?;
        match self.next()? {
            (Event::DocumentEnd, _) => Ok(value),
            (_, span) => Err(problem(span, "must end here")),
        }
    }

    fn value(&mut self, event: Event<'t>, span: Span) -> Result<Value, Problem> {
        match event {
            Event::Scalar(text, style, 0, None) => Ok(scalar(text, style)),
            Event::SequenceStart(0, None) => self.nested(span, Self::sequence),
            Event::MappingStart(0, None) => self.nested(span, Self::mapping),
            Event::Alias(_) | Event::Scalar(_, _, 1.., _) => Err(anchored(span)),
            Event::SequenceStart(1.., _) | Event::MappingStart(1.., _) => Err(anchored(span)),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                Err(problem(span, "has a tag; write the value plainly"))
            }
            _ => Err(problem(span, "must be a value")),
        }
    }

    fn nested(
        &mut self,
        span: Span,
        read: impl FnOnce(&mut Self) -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        if self.depth == DEEPEST {
            return Err(problem(span, format!("is nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn sequence(&mut self) -> Result<Value, Problem> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(elements.into()),
                (event, span) => elements.push(self.value(event, span)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, Problem> {
        let mut members = Map::new();
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(members.into()),
                (Event::Scalar(key, _, 0, None), span) => (key.into_owned(), span),
                (_, span) => return Err(problem(span, "must be a plain text as key")),
            };
            if members.contains_key(&key) {
                return Err(problem(span, format!("{key:?} stands twice")));
            }
            let (event, span) = self.next()?;
            members.insert(key, self.value(event, span)?);
        }
    }

    /// The first event of the value at `segment` of the one that `event` has opened.
    fn descend(
        &mut self,
        event: &Event<'t>,
        segment: &Segment,
    ) -> Result<Option<(Event<'t>, Span)>, Problem> {
        match (event, segment) {
            (Event::SequenceStart(..), Segment::Index(wanted)) => {
                for index in 0.. {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        found if index == *wanted => return Ok(Some(found)),
                        (event, span) => drop(self.value(event, span)?),
                    }
                }
                Ok(None)
            }
            (Event::MappingStart(..), Segment::Key(wanted)) => loop {
                match self.next()? {
                    (Event::Scalar(key, ..), span) if key == *wanted => {
                        let (value, _) = self.next()?;
                        return Ok(Some((value, span)));
                    }
                    (Event::Scalar(..), _) => {
                        let (event, span) = self.next()?;
                        drop(self.value(event, span)?);
                    }
                    _ => return Ok(None),
                }
            },
            _ => Ok(None),
        }
    }
}

fn anchored(span: Span) -> Problem {
    problem(span, "uses an anchor; write the value out")
}

fn not_yaml(error: &ScanError) -> Problem {
    Problem {
        path: JsonPath::root(),
        position: Some(Position { line: error.marker().line(), column: error.marker().col() + 1 }),
        message: format!("is not YAML: {}", error.info()),
    }
}

/// A scalar's value by the core schema of YAML 1.2 (§10.3.2). `.inf` and `.nan`, which JSON lacks, stay text.
fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.into_owned());
    }
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        plain => number(plain).map_or_else(|| Value::String(text.into_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !unsigned.chars().all(numeric) {
        return None;
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    plain
        .parse::<u64>()
        .map(Number::from)
        .or_else(|_| plain.parse::<i64>().map(Number::from))
        .ok()
        .or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_yaml_read_alike() {
        let json = r#"{"a": [1, -2, 1.5, "x", true, null], "b": {"c": "1"}}"#;
        let yaml = "a: [1, -2, 1.5, x, true, ~]\nb:\n  c: '1'\n";
        assert_eq!(from_json(json), from_yaml(yaml));
        assert_eq!(from_json(json), from_yaml(json));
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let read = from_yaml("[0o17, 0xff, +3, 007, 1e2, .5, 1.2.3, '7', off, .inf, -x, 1_000, \"\"]");
        assert_eq!(
            read.unwrap(),
            json!([15, 255, 3, 7, 100.0, 0.5, "1.2.3", "7", "off", ".inf", "-x", "1_000", ""])
        );
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        let told = |result: Result<Value, Problem>| result.unwrap_err().to_string();
        assert_eq!(told(from_json("{\"a\": 1,\n \"a\": 2}")), "2:4: $: is not JSON: \"a\" stands twice");
        assert!(told(from_json("{\"a\": 1} x")).contains("trailing characters"));
        assert!(told(from_json(&"[".repeat(5000))).contains("recursion limit exceeded"));
        assert!(told(from_yaml(&"[".repeat(5000))).contains("recursion limit exceeded"));
        assert!(told(from_yaml(&"- ".repeat(5000))).contains("nested deeper than 128"));
        assert_eq!(told(from_yaml("a: 1\na: 2")), "2:1: $: \"a\" stands twice");
        assert!(told(from_yaml("a: &x 1\nb: *x")).contains("anchor"));
        assert!(told(from_yaml("a: !!str 1")).contains("tag"));
        assert!(told(from_yaml("a: 1\n---\nb: 2")).contains("second document"));
        assert!(told(from_yaml("a: [")).contains("is not YAML"));
        assert!(told(from_yaml("# nothing\n")).contains("is empty"));
    }

    #[test]
    fn a_place_is_found_in_either_form() {
        let yaml = "a:\n  - x: 1\n  - y:\n      z: 2\n";
        let json = "{\n \"a\": [ {\"x\": 1},\n {\"y\": {\"z\": 2}} ]\n}";
        let path = JsonPath::root().key("a").index(1).key("y").key("z");
        let at = |line, column| Some(Position { line, column });
        assert_eq!(locate(yaml, &path), at(4, 7));
        assert_eq!(locate(json, &path), at(3, 9));
        assert_eq!(locate(yaml, &path.parent().key("absent")), at(3, 5));
        assert_eq!(locate(yaml, &JsonPath::root()), at(1, 1));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\\-?&*!|>'\"%@` \t\na-c0-9.#~]{0,60}") {
            let _ = from_json(&text);
            let _ = from_yaml(&text);
            let _ = locate(&text, &JsonPath::root().key("a").index(0));
        }
    }
}
