//! How long a rule has worked: in all, and lately.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Length of a slice in seconds.
const SLICE: u64 = 5;
/// Slices kept: half a minute, as eKuiper's `/rules/usage/cpu` shows.
const SLICES: usize = 6;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time a rule's own task was at work. It is the time of a thread, so it is CPU time unless a user's function waits.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    total: Duration,
    slices: [(u64, Duration); SLICES],
}

impl Busy {
    /// Counts the work since an instant.
    pub(crate) fn add(&mut self, since: Instant) {
        let now = Instant::now();
        self.note(number(now), now.saturating_duration_since(since));
    }

    fn note(&mut self, number: u64, work: Duration) {
        self.total += work;
        // The remainder is below SLICES.
        let slice = &mut self.slices[usize::try_from(number % SLICES as u64).unwrap_or(0)];
        if slice.0 != number {
            *slice = (number, Duration::ZERO);
        }
        slice.1 += work;
    }

    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    /// The work of the last half minute.
    pub(crate) fn lately(&self) -> Duration {
        self.since(number(Instant::now()))
    }

    fn since(&self, now: u64) -> Duration {
        let recent = |(number, _): &&(u64, Duration)| *number + SLICES as u64 > now;
        self.slices.iter().filter(recent).map(|(_, work)| *work).sum()
    }
}

/// Number of the slice an instant is in.
fn number(at: Instant) -> u64 {
    // From 1 on, so that no slice has the number of an unused place.
    at.saturating_duration_since(*BEGIN).as_secs() / SLICE + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_work_is_forgotten() {
        let (mut busy, second) = (Busy::default(), Duration::from_secs(1));
        for number in 1..=10 {
            busy.note(number, second);
            assert_eq!(busy.since(number).as_secs(), number.min(6));
        }
        busy.note(10, second);
        assert_eq!((busy.since(10).as_secs(), busy.since(15).as_secs(), busy.since(16).as_secs()), (7, 2, 0));
        assert_eq!(busy.total().as_secs(), 11);
    }
}
