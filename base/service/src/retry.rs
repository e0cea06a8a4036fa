//! Waiting before trying again.

use std::time::Duration;

use rand::RngExt;

/// Exponential backoff with full jitter: the n-th delay is uniform in `[min, min(max, min·2ⁿ)]`.
///
/// The jitter matters more than the growth: five hundred nodes that lost one hub come back spread over time.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Delays between `min` and `max`; the first one is `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        Self { min, max, ceiling: min }
    }

    /// The time to wait before the next try.
    pub fn next_delay(&mut self) -> Duration {
        let delay = rand::rng().random_range(self.min..=self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).clamp(self.min, self.max);
        delay
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_stay_within_their_bounds(min_ms in 0u64..5_000, max_ms in 0u64..60_000, tries in 1usize..80) {
            let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
            let mut backoff = Backoff::new(min, max);
            prop_assert_eq!(backoff.next_delay(), min);
            for _ in 0..tries {
                let delay = backoff.next_delay();
                prop_assert!(delay >= min && delay <= max.max(min));
            }
            backoff.reset();
            prop_assert_eq!(backoff.next_delay(), min);
        }
    }
}
