//! Sliding windows: each row, or each row for which WHEN holds, looks back over `length`.

use std::collections::VecDeque;

use super::{Sink, Tuple};
use crate::expr::Range;

/// The rows of the last `length` and the emissions that wait for their delay.
#[derive(Debug)]
pub(crate) struct SlidingWindow {
    length: i64,
    delay: Option<i64>,
    /// Triggers with a delay are also answered at once.
    twice: bool,
    pub(crate) rows: VecDeque<Tuple>,
    /// Times of the triggering rows not yet answered.
    pub(crate) triggers: VecDeque<i64>,
}

impl SlidingWindow {
    pub(super) fn new(length: i64, delay: Option<i64>, twice: bool) -> SlidingWindow {
        SlidingWindow {
            length,
            delay: delay.filter(|delay| *delay > 0),
            twice,
            rows: VecDeque::new(),
            triggers: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, tuple: &Tuple, triggers: bool, sink: &mut Sink<'_>) {
        self.rows.push_back(tuple.clone());
        if triggers {
            self.triggers.push_back(tuple.at);
            if self.twice && self.delay.is_some() {
                self.answer(tuple.at, None, sink);
            }
        }
    }

    /// Answers every trigger that is due. Without a delay both ends are inclusive, with one the right end is exclusive.
    pub(super) fn advance(&mut self, time: i64, sink: &mut Sink<'_>) {
        while let Some(trigger) =
            self.triggers.front().copied().filter(|trigger| trigger.saturating_add(self.delay.unwrap_or(0)) <= time)
        {
            self.triggers.pop_front();
            self.answer(trigger, self.delay, sink);
        }
        // Rows older than any trigger still to come could ask for are done with.
        let oldest = self.triggers.front().copied().unwrap_or(time).min(time) - self.length;
        while self.rows.front().is_some_and(|tuple| tuple.at < oldest) {
            self.rows.pop_front();
        }
    }

    fn answer(&self, trigger: i64, delay: Option<i64>, sink: &mut Sink<'_>) {
        let (start, end) = (trigger - self.length, trigger.saturating_add(delay.unwrap_or(0)));
        let mut collection = (sink.empty)();
        for tuple in &self.rows {
            let before_end = if delay.is_some() { tuple.at < end } else { tuple.at <= end };
            if tuple.at >= start && before_end {
                (sink.add)(&mut collection, tuple);
            }
        }
        sink.closed.push((Range { start, end, trigger }, collection));
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.triggers.front().map(|trigger| trigger.saturating_add(self.delay.unwrap_or(0)))
    }
}
