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

/// So many changes of one resource are made at once …
const AT_ONCE: u32 = 30;
/// … and one more is earned every two seconds: 30 a minute.
const EARNED: Duration = Duration::from_secs(2);
/// When nothing needed repair for so long although it could have been made, the contest is over.
const CALM: Duration = Duration::from_secs(60);

/// How often a resource was changed of late, and when it may be changed again: 30 times a minute at once, then with backoff,
/// for then somebody else changes it back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repairs {
    bucket: Bucket,
    contested: u32,
    next: BootTime,
}

impl Default for Repairs {
    fn default() -> Self {
        Self { bucket: Bucket::full(AT_ONCE, EARNED), contested: 0, next: BootTime::default() }
    }
}

impl Repairs {
    /// Counts a change that is made now.
    pub fn take(&mut self, now: BootTime, chance: u64) {
        if self.contested > 0 && now >= self.next + CALM {
            *self = Self::default();
        }
        self.bucket.take(now);
        if self.contested > 0 || !self.bucket.has_token(now) {
            self.contested += 1;
            self.next = now + delay(self.contested, chance);
        }
    }

    /// When the next change may be made.
    pub fn next(&self) -> BootTime {
        self.next
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

    #[test]
    fn repairs_are_quick_until_they_are_contested() {
        let longest = u64::MAX;
        let mut repairs = Repairs::default();
        for _ in 0..29 {
            repairs.take(at(100), longest);
            assert!(repairs.next() <= at(100));
        }
        repairs.take(at(100), longest);
        assert!((100.9..=101.0).contains(&repairs.next().as_duration().as_secs_f64()));
        let mut now = repairs.next();
        for doubled in [2.0, 4.0, 8.0, 16.0] {
            repairs.take(now, longest);
            let waits = (repairs.next() - now).as_secs_f64();
            assert!((doubled * 0.99..=doubled).contains(&waits), "{waits}");
            now = repairs.next();
        }
        repairs.take(now + CALM, longest);
        assert!(repairs.next() <= now, "a minute of calm ends the contest");
    }

    #[test]
    fn a_slow_drip_is_no_contest() {
        let mut repairs = Repairs::default();
        for turn in 0..1000 {
            repairs.take(at(100 + turn * 2), u64::MAX);
            assert!(repairs.next() <= at(100));
        }
    }
}
