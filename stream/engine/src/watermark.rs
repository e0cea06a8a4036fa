//! Event time: rows wait, sorted, until the watermark says that nothing older will come.

use std::collections::VecDeque;

use crate::window::Tuple;

/// The watermark of a rule: the least over its inputs of the greatest time seen, less the tolerance.
#[derive(Debug)]
pub(crate) struct Watermark {
    tolerance: i64,
    /// Greatest time of each input; a silent input holds everything back.
    pub(crate) greatest: Vec<Option<i64>>,
    timed: Vec<bool>,
    pub(crate) last: i64,
    /// Waiting rows by time; of equal times in the order they came.
    pub(crate) waiting: VecDeque<Tuple>,
    /// Rows dropped because they came after the watermark had passed them.
    pub(crate) late: u64,
}

impl Watermark {
    /// `timed` says of each input whether its rows carry time; those of tables do not.
    pub(crate) fn new(timed: Vec<bool>, tolerance: i64) -> Watermark {
        Watermark {
            tolerance,
            greatest: vec![None; timed.len()],
            timed,
            last: i64::MIN,
            waiting: VecDeque::new(),
            late: 0,
        }
    }

    /// Takes a row in; answers the watermark if it moved.
    pub(crate) fn push(&mut self, tuple: Tuple) -> Option<i64> {
        if tuple.at < self.last {
            self.late += 1;
            return None;
        }
        let greatest = &mut self.greatest[tuple.input];
        *greatest = Some(greatest.map_or(tuple.at, |greatest| greatest.max(tuple.at)));
        // Rows come almost in order, so the place is found from the back.
        let place = self.waiting.iter().rposition(|waiting| waiting.at <= tuple.at).map_or(0, |place| place + 1);
        self.waiting.insert(place, tuple);
        let timed = self.greatest.iter().zip(&self.timed).filter(|(_, timed)| **timed);
        let least = timed.map(|(greatest, _)| *greatest).min().flatten()?;
        let watermark = least.saturating_sub(self.tolerance);
        (watermark > self.last).then(|| {
            self.last = watermark;
            watermark
        })
    }

    /// The rows the watermark has passed, in order.
    pub(crate) fn release(&mut self) -> Vec<Tuple> {
        let count = self.waiting.partition_point(|tuple| tuple.at <= self.last);
        self.waiting.drain(..count).collect()
    }
}
