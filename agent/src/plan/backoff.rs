//! When to try again: exponential backoff with full jitter, and buckets of tokens. Pure: chance is an input.

use std::time::Duration;

use crate::clock::BootTime;

/// The bound of the first delay.
const FIRST: Duration = Duration::from_secs(1);
/// The bound of all delays.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The delay after `attempts` tries in vain (1 or more): anything up to 1 s, 2 s, 4 s, … 5 min, as `chance` has it.
pub fn delay(attempts: u32, chance: u64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let bound = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let share = (chance >> 11) as f64 / (1u64 << 53) as f64;
    bound.mul_f64(share)
}

/// `period` give or take a tenth, as `chance` has it.
pub fn jittered(period: Duration, chance: u64) -> Duration {
    let share = (chance >> 11) as f64 / (1u64 << 53) as f64;
    period.mul_f64(0.9 + 0.2 * share)
}

/// A number that looks random and follows from its inputs (splitmix64).
pub fn chance(seed: u64, of: &str, turn: u64) -> u64 {
    let text = of.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut z = seed ^ text.rotate_left(17) ^ turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A bucket of tokens that fills up over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    capacity: u32,
    refill: Duration,
    tokens: u32,
    counted: BootTime,
}

impl Bucket {
    /// A full bucket of `capacity` tokens that gets one back every `refill`.
    pub fn full(capacity: u32, refill: Duration) -> Self {
        Self { capacity, refill, tokens: capacity, counted: BootTime::default() }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: BootTime) -> bool {
        let earned = self.earned(now);
        self.counted =
            if self.tokens + earned >= self.capacity { now } else { self.counted + self.refill * earned };
        self.tokens = (self.tokens + earned).min(self.capacity);
        let taken = self.tokens > 0;
        self.tokens -= u32::from(taken);
        taken
    }

    /// Whether there is a token.
    pub fn has_token(&self, now: BootTime) -> bool {
        self.next_token(now) <= now
    }

    /// When there is a token: now, or later.
    pub fn next_token(&self, now: BootTime) -> BootTime {
        if self.tokens > 0 { now } else { (self.counted + self.refill).max(now) }
    }

    /// Whether nothing has been taken for so long that it is full.
    pub fn is_full(&self, now: BootTime) -> bool {
        self.tokens + self.earned(now) >= self.capacity
    }

    fn earned(&self, now: BootTime) -> u32 {
        let earned = (now - self.counted).as_nanos() / self.refill.as_nanos();
        u32::try_from(earned).unwrap_or(u32::MAX).min(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn a_delay_is_below_its_bound(attempts in 1u32..100, chance: u64) {
            let bound = 2f64.powi(attempts as i32 - 1).min(300.0);
            prop_assert!(delay(attempts, chance).as_secs_f64() <= bound);
            let jittered = jittered(Duration::from_secs(60), chance).as_secs_f64();
            prop_assert!((54.0..=66.0).contains(&jittered));
        }
    }

    #[test]
    fn delays_are_spread_over_all_they_may_be() {
        let mean: f64 =
            (0..1000).map(|turn| delay(20, chance(1, "a", turn)).as_secs_f64()).sum::<f64>() / 1000.0;
        assert!((130.0..170.0).contains(&mean), "{mean}");
        assert_ne!(chance(1, "a", 1), chance(1, "b", 1));
        assert_ne!(chance(1, "a", 1), chance(2, "a", 1));
    }

    #[test]
    fn a_bucket_gives_what_it_has_and_fills_up_again() {
        let mut bucket = Bucket::full(2, Duration::from_secs(10));
        assert!(bucket.take(at(100)) && bucket.take(at(100)) && !bucket.take(at(101)));
        assert_eq!(bucket.next_token(at(101)), at(110));
        assert!(!bucket.take(at(109)));
        assert!(bucket.take(at(110)) && !bucket.take(at(111)));
        assert!(bucket.is_full(at(130)) && !bucket.is_full(at(129)));
        assert!(bucket.take(at(500)) && bucket.take(at(500)) && !bucket.take(at(500)));
    }
}
