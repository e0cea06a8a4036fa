//! Waiting before a container or an image is tried again, as the kubelet does it.

use std::time::Duration;

use tokio::time::Instant;

/// One thing that keeps failing: the first failure is retried at once, then after `initial`, doubling to `max`. A thing
/// that went well for twice `max` starts over.
#[derive(Clone, Debug)]
pub(super) struct CrashBackoff {
    delay: Duration,
    failed_at: Option<Instant>,
    initial: Duration,
    max: Duration,
}

impl CrashBackoff {
    pub(super) fn new(initial: Duration, max: Duration) -> Self {
        Self { delay: Duration::ZERO, failed_at: None, initial, max }
    }

    /// When the thing that failed at `failed_at` may be tried; in the past: now.
    pub(super) fn retry_at(&self, failed_at: Instant) -> Instant {
        failed_at + self.delay
    }

    /// Counts a retry of what failed at `failed_at`.
    pub(super) fn count(&mut self, failed_at: Instant) {
        let rested = self.failed_at.is_some_and(|before| failed_at.duration_since(before) > 2 * self.max);
        self.delay = if rested || self.delay.is_zero() { self.initial } else { (self.delay * 2).min(self.max) };
        self.failed_at = Some(failed_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_start_over() {
        let (initial, max) = (Duration::from_secs(10), Duration::from_secs(300));
        let mut backoff = CrashBackoff::new(initial, max);
        let mut at = Instant::now();
        for seconds in [0, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(backoff.retry_at(at) - at, Duration::from_secs(seconds));
            backoff.count(at);
            at += Duration::from_secs(seconds + 1);
        }
        at += Duration::from_secs(601);
        backoff.count(at);
        assert_eq!(backoff.retry_at(at) - at, initial);
    }
}
