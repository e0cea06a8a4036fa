//! Tumbling and hopping windows: fixed grids in local time.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Sink, Tuple};
use crate::Value;
use crate::expr::Range;
use crate::group::Collection;

/// Most empty windows sent in a row over a gap in event time; a row far in the future must not cost an endless loop.
const MAX_EMPTY: i64 = 10_000;

/// Windows of `length` that start every `interval`.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    length: i64,
    interval: i64,
    zone: TimeZone,
    /// The zone's distance from UTC in ms, if it is always the same.
    offset: Option<i64>,
    /// Rows of the windows that have any, by start.
    open: BTreeMap<i64, Collection>,
    /// End of the next window to close; unknown in event time before the first row.
    next_end: Option<i64>,
    /// A window without rows that was due before the rule came back from a checkpoint is nobody's business any more.
    resumed: i64,
}

impl TimeWindow {
    pub(super) fn new(length: i64, interval: i64, now: Option<i64>, zone: TimeZone) -> TimeWindow {
        let offset = zone.to_fixed_offset().ok().map(|offset| i64::from(offset.seconds()) * 1000);
        let mut window =
            TimeWindow { length, interval, zone, offset, open: BTreeMap::new(), next_end: None, resumed: i64::MIN };
        window.next_end = now.map(|now| window.first_end_after(now));
        window
    }

    /// The first end of a window after `time`: ends lie on the grid of the interval in local time.
    fn first_end_after(&self, time: i64) -> i64 {
        let offset =
            self.offset.unwrap_or_else(|| i64::from(self.zone.to_offset(crate::timestamp_ms(time)).seconds()) * 1000);
        let local = time.saturating_add(offset);
        time.saturating_add(self.interval - local.rem_euclid(self.interval))
    }

    pub(super) fn push(&mut self, tuple: &Tuple, sink: &mut Sink<'_>) {
        let mut end = self.first_end_after(tuple.at);
        if self.next_end.is_none() {
            self.next_end = Some(end);
        }
        // A hopping window shorter than its interval leaves gaps; a longer one overlaps.
        while end.saturating_sub(self.length) <= tuple.at {
            // A row for a window that has closed already is late: it only counts for those still open.
            if self.next_end.is_none_or(|next| end >= next) {
                let collection = self.open.entry(end - self.length).or_insert_with(|| (sink.empty)());
                (sink.add)(collection, tuple);
            }
            end = end.saturating_add(self.interval);
        }
    }

    pub(super) fn advance(&mut self, time: i64, sink: &mut Sink<'_>) {
        let mut empty = 0;
        while let Some(end) = self.next_end.filter(|end| *end <= time) {
            let start = end - self.length;
            let found = self.open.remove(&start);
            empty = if found.is_some() { 0 } else { empty + 1 };
            if found.is_some() || end >= self.resumed {
                sink.closed.push((Range { start, end, trigger: end }, found.unwrap_or_else(|| (sink.empty)())));
            }
            self.next_end = Some(if empty >= MAX_EMPTY { self.skip_to(time) } else { self.after(end) });
        }
    }

    fn after(&self, end: i64) -> i64 {
        // The grid follows the local clock, which jumps twice a year.
        let next = self.first_end_after(end);
        if next > end { next } else { end.saturating_add(self.interval) }
    }

    fn skip_to(&self, time: i64) -> i64 {
        let first = self.open.keys().next().map(|start| start + self.length);
        self.first_end_after(first.map_or(time, |first| time.min(first - 1)))
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.next_end
    }

    pub(crate) fn parts(&self) -> (Vec<(i64, &Collection)>, Value) {
        (self.open.iter().map(|(start, collection)| (*start, collection)).collect(), Value::from(self.next_end))
    }

    /// Goes on with a state that was saved; `now` is meant in processing time.
    pub(crate) fn restore(&mut self, open: Vec<(i64, Collection)>, next_end: &Value, now: Option<i64>) {
        self.resumed = now.unwrap_or(i64::MIN);
        self.open = open.into_iter().collect();
        self.next_end = next_end.as_i64();
    }
}
