//! Times as people read them in a table: `12s`, `3m`, `5h`, `2d`.

use jiff::{SignedDuration, Timestamp};

/// How long ago `then` was, in one unit. What lies in the future, by a clock that is off, is `0s`.
pub fn since(now: Timestamp, then: Timestamp) -> String {
    short(now.duration_since(then))
}

/// A duration in one unit, rounded down.
pub fn short(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_grows_with_the_age() {
        let told =
            [-5, 0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|s| short(SignedDuration::from_secs(s)));
        assert_eq!(told, ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
