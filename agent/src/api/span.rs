//! Reads lengths of time as people write them: `90s`, `30m`, `1h`, `2d`.

use std::time::Duration;

use jiff::SignedDuration;

/// A length of time, more than nothing.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match text.strip_suffix('d') {
        // A day is 24 hours here, whatever the calendar does meanwhile.
        Some(days) => (days.trim().parse::<u64>().ok(), 24 * 3600),
        None => (text.parse::<SignedDuration>().ok().and_then(|span| u64::try_from(span.as_secs()).ok()), 1),
    };
    let span = number.and_then(|number| number.checked_mul(seconds)).filter(|seconds| *seconds > 0);
    span.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is not a time such as 90s, 30m, 1h or 2d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("1h", 3600), ("1h 30m", 5400), ("2d", 172_800), ("PT5M", 300)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "1", "0s", "-1h", "d", "soon", "1.5d", "999999999999999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
