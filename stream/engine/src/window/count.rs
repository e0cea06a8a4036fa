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
    /// The rows of the window being filled, of windows that do not.
    pub(crate) filling: Option<(i64, Collection)>,
}

impl CountWindow {
    pub(super) fn new(length: usize, interval: usize) -> CountWindow {
        CountWindow { length, interval, count: 0, rows: VecDeque::new(), filling: None }
    }

    pub(super) fn push(&mut self, tuple: &Tuple, sink: &mut Sink<'_>) {
        self.count += 1;
        let due = self.count.is_multiple_of(self.interval as u64);
        if self.length == self.interval {
            let (_, filling) = self.filling.get_or_insert_with(|| (tuple.at, (sink.empty)()));
            (sink.add)(filling, tuple);
            if due && let Some((start, rows)) = self.filling.take() {
                sink.closed.push((Range { start, end: tuple.at, trigger: tuple.at }, rows));
            }
            return;
        }
        self.rows.push_back(tuple.clone());
        if self.rows.len() > self.length {
            self.rows.pop_front();
        }
        if due && self.rows.len() == self.length {
            let mut rows = (sink.empty)();
            self.rows.iter().for_each(|row| (sink.add)(&mut rows, row));
            let start = self.rows.front().map_or(tuple.at, |row| row.at);
            sink.closed.push((Range { start, end: tuple.at, trigger: tuple.at }, rows));
        }
    }
}
