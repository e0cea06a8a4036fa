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
    /// Numbers of slices, and microseconds of work in them.
    slices: [(u32, u32); SLICES],
}

impl Busy {
    /// Counts the work between two instants.
    pub(crate) fn add(&mut self, begun: Instant, ended: Instant) {
        self.note(number(ended), ended.saturating_duration_since(begun));
    }

    fn note(&mut self, number: u32, work: Duration) {
        self.total += work;
        let slice = &mut self.slices[number as usize % SLICES];
        if slice.0 != number {
            *slice = (number, 0);
        }
        // A turn that ends in a slice may be longer than it.
        slice.1 = slice.1.saturating_add(u32::try_from(work.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    /// The work of the last half minute.
    pub(crate) fn lately(&self) -> Duration {
        self.since(number(Instant::now()))
    }

    fn since(&self, now: u32) -> Duration {
        let recent = |(number, _): &&(u32, u32)| *number as usize + SLICES > now as usize;
        Duration::from_micros(self.slices.iter().filter(recent).map(|(_, work)| u64::from(*work)).sum())
    }
}

/// Number of the slice an instant is in.
fn number(at: Instant) -> u32 {
    // From 1 on, so that no slice has the number of an unused place; a program does not run for 600 years.
    u32::try_from(at.saturating_duration_since(*BEGIN).as_secs() / SLICE + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_work_is_forgotten() {
        let (mut busy, second) = (Busy::default(), Duration::from_secs(1));
        for number in 1..=10 {
            busy.note(number, second);
            assert_eq!(busy.since(number).as_secs(), u64::from(number.min(6)));
        }
        busy.note(10, second);
        assert_eq!((busy.since(10).as_secs(), busy.since(15).as_secs(), busy.since(16).as_secs()), (7, 2, 0));
        assert_eq!(busy.total().as_secs(), 11);
    }
}
