//! Count windows: the last n rows, every m rows.

use std::collections::VecDeque;

use super::{Sink, Tuple};
use crate::expr::Range;
use crate::group::Collection;

/// Rows and how many came.
#[derive(Debug)]
pub(crate) struct CountWindow {
    length: usize,
    interval: usize,
    /// Messages seen.
    pub(crate) count: u64,
    /// The last rows, of windows that overlap.
    pub(crate) rows: VecDeque<Tuple>,
    /// When the last window closed, or the rule began: there the next one starts. With it the rows of the window being filled,
    /// of windows that do not overlap.
    pub(crate) filling: Option<(i64, Collection)>,
    began: i64,
}

impl CountWindow {
    /// Windows of a rule that begins at `now`.
    pub(super) fn new(length: usize, interval: usize, now: i64) -> CountWindow {
        CountWindow { length, interval, count: 0, rows: VecDeque::new(), filling: None, began: now }
    }

    pub(super) fn push(&mut self, tuple: &Tuple, sink: &mut Sink<'_>) {
        self.count += 1;
        let due = self.count.is_multiple_of(self.interval as u64);
        let overlaps = self.length != self.interval;
        let (start, filling) = self.filling.get_or_insert_with(|| (self.began, (sink.empty)()));
        if overlaps {
            self.rows.push_back(tuple.clone());
            if self.rows.len() > self.length {
                self.rows.pop_front();
            }
        } else {
            (sink.add)(filling, tuple);
        }
        if !due || (overlaps && self.rows.len() < self.length) {
            return;
        }
        let range = Range { start: *start, end: tuple.at, trigger: tuple.at };
        let mut rows = std::mem::replace(filling, (sink.empty)());
        *start = tuple.at;
        self.rows.iter().for_each(|row| (sink.add)(&mut rows, row));
        sink.closed.push((range, rows));
    }
}
