//! Times as people read them: `12s`, `3m`, `5h`, `2d`.

use std::time::Duration;

use jiff::Timestamp;

/// How long ago `then` was. What lies in the future, by a clock that was off, is `0s`.
pub(super) fn since(now: Timestamp, then: Timestamp) -> String {
    short(Duration::try_from(now.duration_since(then)).unwrap_or_default())
}

/// A length of time in one unit, rounded down.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs();
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
            [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|seconds| short(Duration::from_secs(seconds)));
        assert_eq!(told, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        let (past, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        assert_eq!((since(now, past), since(past, now)), ("60s".into(), "0s".into()));
    }
}
