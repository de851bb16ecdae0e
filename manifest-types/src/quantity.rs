//! Durations and sizes as people write them: `30s`, `512Mi`. One parser for each.

use std::{fmt, str::FromStr, time::Duration};

use crate::text::{read_as_text, schema_as, write_as_text};

/// A length of time: whole numbers with units, the largest first, such as `1m30s`. Exact to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// An amount of memory or storage in bytes: a whole number with a binary (`Ki`, `Mi`, `Gi`, `Ti`) or a decimal (`k`, `M`, `G`, `T`) unit, or with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The units of time in nanoseconds, the largest first.
const TIMES: [(&str, u64); 7] = [
    ("d", 24 * 3600 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The units of size in bytes.
const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("k", 1000),
    ("M", 1000 * 1000),
    ("G", 1000 * 1000 * 1000),
    ("T", 1000 * 1000 * 1000 * 1000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
];

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a duration such as \"30s\", \"1m30s\" or \"500ms\" (units d, h, m, s, ms, us, ns, the largest first)"
)]
pub struct SpanError;

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a size such as \"512Mi\" or \"2G\" (units Ki, Mi, Gi, Ti, and k, M, G, T; bytes without one)"
)]
pub struct SizeError;

/// A number in front, and what comes after it.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn nanoseconds(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut smaller_than) = (text, 0_u64, u64::MAX);
    loop {
        let (number, after) = leading_number(rest)?;
        let end = after.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(after.len());
        let (_, unit) = *TIMES.iter().find(|(name, _)| *name == &after[..end])?;
        if unit >= smaller_than {
            return None;
        }
        total = total.checked_add(number.checked_mul(unit)?)?;
        (rest, smaller_than) = (&after[end..], unit);
        if rest.is_empty() {
            return Some(total);
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let nanoseconds = nanoseconds(text).ok_or(SpanError)?;
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let mut left = self.0.as_nanos();
        for (name, unit) in TIMES {
            let count = left / u128::from(unit);
            left %= u128::from(unit);
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let bytes = leading_number(text).and_then(|(number, unit)| {
            let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*bytes)
        });
        bytes.map(Self).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZES.iter().rev().take(4).find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = binary.unwrap_or(&("", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

write_as_text!(Span);
read_as_text!(Span, "a duration such as \"30s\"");
schema_as!(Span, {
    "description": "A length of time: whole numbers with units (d, h, m, s, ms, us, ns), the largest first.",
    "type": "string",
    "pattern": "^([0-9]+(d|h|m|s|ms|us|ns))+$",
    "examples": ["30s", "1m30s", "500ms"]
});
write_as_text!(Size);
read_as_text!(Size or number, "a size such as \"512Mi\"");
schema_as!(Size, {
    "description": "An amount in bytes, with a binary (Ki, Mi, Gi, Ti) or decimal (k, M, G, T) unit.",
    "type": ["string", "integer"],
    "minimum": 0,
    "pattern": "^[0-9]+(k|M|G|T|Ki|Mi|Gi|Ti)?$",
    "examples": ["512Mi", "2G"]
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in
            [("30s", 30_000), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (millis, text));
        }
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "1m30s");
        assert_eq!("0s".parse::<Span>().unwrap().to_string(), "0s");
        for bad in [
            "",
            "30",
            "s",
            "30 s",
            "1s1m",
            "1s1s",
            "-1s",
            "1.5s",
            "30S",
            "99999999999999999999s",
            "300000000d",
            "٣s",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("512Mi", 512 << 20), ("2G", 2_000_000_000), ("64k", 64_000), ("17", 17), ("0", 0)]
        {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes);
        }
        assert_eq!(Size(512 << 20).to_string(), "512Mi");
        assert_eq!(Size(2_000_000_000).to_string(), "1953125Ki");
        assert_eq!(Size(17).to_string(), "17");
        for bad in ["", "Mi", "1.5Gi", "-1", "1 Gi", "1gi", "1KB", "99999999999Ti"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::from_str::<Size>("4096").unwrap(), Size(4096));
        assert!(serde_json::from_str::<Span>("30").unwrap_err().to_string().contains("a duration such as"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number: u64) {
            let span = Span(Duration::from_nanos(number));
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
            prop_assert_eq!(Size(number).to_string().parse::<Size>().unwrap(), Size(number));
        }
    }
}
