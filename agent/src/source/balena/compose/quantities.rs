//! Numbers, durations and sizes, in the ways in which Compose files write them.

use std::{ops::RangeInclusive, time::Duration};

use manifest_types::quantity::{Size, Span};
use serde_json::Value;

use crate::source::balena::document::{Node, Read};

/// A whole number within `range`, also as a text.
pub(super) fn whole<T: TryFrom<i64>>(node: &Node<'_>, range: RangeInclusive<i64>) -> Read<T> {
    let number = match node.value() {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            // Below 2⁵³ it is exact.
            float.map(|float| float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let in_range = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
    in_range.map_or_else(
        || node.wrong(format!("must be a whole number from {} to {}", range.start(), range.end())),
        Ok,
    )
}

/// A number that is not negative, also as a text.
pub(super) fn amount(node: &Node<'_>) -> Read<f64> {
    let number = match node.value() {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let good = number.filter(|number| number.is_finite() && *number >= 0.0);
    good.map_or_else(|| node.wrong("must be a number that is not negative"), Ok)
}

/// Units of time and their nanoseconds; of two that begin alike, the longer one first.
const TIMES: [(&str, f64); 9] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
];

/// A duration such as `1m30s`; a number without a unit counts `bare`.
pub(super) fn span(node: &Node<'_>, bare: Duration) -> Read<Span> {
    if node.value().is_number() {
        let count: u64 = whole(node, 0..=i64::MAX)?;
        let nanoseconds = u128::from(count) * bare.as_nanos();
        return match u64::try_from(nanoseconds) {
            Ok(nanoseconds) => Ok(Span(Duration::from_nanos(nanoseconds))),
            Err(_) => node.wrong("is too long"),
        };
    }
    match nanoseconds(node.text()?) {
        Some(nanoseconds) => Ok(Span(Duration::from_nanos(nanoseconds))),
        None => node.wrong("must be a duration such as \"1m30s\" (units d, h, m, s, ms, us, ns)"),
    }
}

/// Go's durations: numbers with units, in any order, with decimals.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim().strip_prefix('+').unwrap_or(text.trim());
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() || total == 0.0 {
        let (number, after) = decimal(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (_, unit) = TIMES.iter().find(|(name, _)| *name == &after[..end])?;
        total += number * unit;
        rest = &after[end..];
        if rest.is_empty() {
            break;
        }
    }
    // A float holds the nanoseconds of three months exactly, and nothing here lasts so long.
    (total < 1e18).then_some(total.round() as u64)
}

/// A size such as `64m`, `1.5g` or `64MiB`, in binary units; without one, bytes.
pub(super) fn size(node: &Node<'_>) -> Read<Size> {
    let expected = "must be a size such as \"64m\" (units b, k, m, g, t; binary)";
    if node.value().is_number() {
        return whole(node, 0..=i64::MAX).map(Size).or_else(|_: Vec<_>| node.wrong(expected));
    }
    bytes(node.text()?).map_or_else(|| node.wrong(expected), |bytes| Ok(Size(bytes)))
}

/// The bytes of a size.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = decimal(text.trim())?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match unit.strip_suffix('i').filter(|unit| !unit.is_empty()).unwrap_or(unit) {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * factor;
    (bytes < 9e15).then_some(bytes.round() as u64)
}

/// A number with decimals in front, and what comes after it.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("45s", 45_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("1s500ms", 1500),
            ("30s1m", 90_000),
            ("0", 0),
            ("0s", 0),
            ("+1s", 1000),
            (".5s", 500),
        ] {
            assert_eq!(nanoseconds(text), Some(millis * 1_000_000), "{text}");
        }
        for wrong in ["", "1", "-1s", "s", "1 s", "1x", "1s2", ".s", "1..2s", "9999999999h", "1h-1s"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_binary_whatever_they_are_called() {
        for (text, size) in [
            ("0", 0),
            ("17", 17),
            ("17b", 17),
            ("64k", 65_536),
            ("64KB", 65_536),
            ("64kib", 65_536),
            ("1.5g", 3 << 29),
            ("96m", 96 << 20),
            ("2 GiB", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for wrong in ["", "m", "-1m", "1x", "1mm", "1.2.3k", "ib", "1i", "99999999t", "1e3"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
