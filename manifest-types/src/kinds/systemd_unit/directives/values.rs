//! What a directive's value must be like.

use std::fmt;

/// What a value must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Yes or no.
    Boolean,
    /// A length of time (systemd.time(7)).
    Time,
    /// A whole number.
    Number,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A program, with a path or without, and its arguments.
    CommandLine,
    /// An absolute path.
    AbsolutePath,
}

const TRUE: [&str; 6] = ["1", "yes", "y", "true", "t", "on"];
const FALSE: [&str; 6] = ["0", "no", "n", "false", "f", "off"];
const UNITS: [&str; 41] = [
    "usec",
    "us",
    "µs",
    "msec",
    "ms",
    "seconds",
    "second",
    "sec",
    "s",
    "minutes",
    "minute",
    "min",
    "m",
    "hours",
    "hour",
    "hr",
    "h",
    "days",
    "day",
    "d",
    "weeks",
    "week",
    "w",
    "months",
    "month",
    "M",
    "years",
    "year",
    "y",
    "nsec",
    "ns",
    "μs",
    "mins",
    "secs",
    "hrs",
    "wk",
    "weeks",
    "nanosecond",
    "microsecond",
    "millisecond",
    "",
];

/// Whether systemd takes a value for yes.
pub(super) fn is_true(value: &str) -> bool {
    TRUE.contains(&value.to_ascii_lowercase().as_str())
}

impl Expected {
    pub(super) fn fits(self, value: &str) -> bool {
        match self {
            Self::Boolean => is_true(value) || FALSE.contains(&value.to_ascii_lowercase().as_str()),
            Self::Time => is_time(value),
            Self::Number => value.parse::<i64>().is_ok(),
            Self::OneOf(all) => all.contains(&value),
            Self::CommandLine => is_command(value),
            Self::AbsolutePath => value.starts_with('/'),
        }
    }
}

/// `infinity`, or numbers, each with a unit or none: `1min 30s`, `1.5h`, `90`.
fn is_time(value: &str) -> bool {
    let mut rest = value.trim();
    if rest == "infinity" {
        return true;
    }
    while !rest.is_empty() {
        let number = rest.len()
            - rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        if number == 0 {
            return false;
        }
        rest = rest[number..].trim_start();
        let unit =
            rest.find(|letter: char| letter.is_ascii_digit() || letter.is_whitespace()).unwrap_or(rest.len());
        if !UNITS.contains(&&rest[..unit]) {
            return false;
        }
        rest = rest[unit..].trim_start();
    }
    !value.trim().is_empty()
}

/// The first word, after systemd's prefixes, is an absolute path or a plain name.
fn is_command(value: &str) -> bool {
    let word =
        value.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().next().unwrap_or_default();
    let word = word.trim_matches(['"', '\'']);
    !word.is_empty() && (word.starts_with('/') || word.starts_with('$') || !word.contains('/'))
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("yes or no"),
            Self::Time => f.write_str("a time such as 5s, 1min 30s or infinity"),
            Self::Number => f.write_str("a whole number"),
            Self::CommandLine => f.write_str("an absolute path or a program's name, and its arguments"),
            Self::AbsolutePath => f.write_str("an absolute path"),
            Self::OneOf(all) => match all.split_last() {
                Some((last, [])) => f.write_str(last),
                Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_systemd() {
        for good in ["5", "5s", "1min 30s", "1min30s", "1.5h", "infinity", "2 weeks", "500ms", "1y 2M"] {
            assert!(is_time(good), "{good}");
        }
        for bad in ["", "soon", "5 x", "s5", "-5s", "5,5s"] {
            assert!(!is_time(bad), "{bad}");
        }
    }

    #[test]
    fn commands_may_have_systemds_prefixes() {
        for good in ["/bin/a -b", "-/bin/a", "+!/bin/a", "@/bin/a b", "a -b", "\"/bin/a b\"", "$X"] {
            assert!(is_command(good), "{good}");
        }
        for bad in ["bin/a", "./a", "-", "@ "] {
            assert!(!is_command(bad), "{bad}");
        }
    }
}
