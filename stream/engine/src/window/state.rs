//! State windows: opened and closed by conditions, one per partition.

use std::collections::BTreeMap;

use super::{Sink, Tuple, Verdict};
use crate::expr::Range;
use crate::group::Collection;

/// The open windows by partition.
#[derive(Debug)]
pub(crate) struct StateWindow {
    /// With a begin and an emit condition, rather than one that does both.
    two_conditions: bool,
    pub(crate) open: BTreeMap<Box<str>, (i64, Collection)>,
}

impl StateWindow {
    pub(super) fn new(two_conditions: bool) -> StateWindow {
        StateWindow { two_conditions, open: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, tuple: &Tuple, verdict: Verdict, sink: &mut Sink<'_>) {
        let Verdict { begin, emit, partition } = verdict;
        if !self.two_conditions {
            // A match closes what is open and opens the next.
            if begin && let Some((start, rows)) = self.open.remove(&partition) {
                sink.closed.push((Range { start, end: tuple.at, trigger: tuple.at }, rows));
            }
            if begin || self.open.contains_key(&partition) {
                let (_, rows) = self.open.entry(partition).or_insert_with(|| (tuple.at, (sink.empty)()));
                (sink.add)(rows, tuple);
            }
            return;
        }
        if begin && !self.open.contains_key(&partition) {
            self.open.insert(partition.clone(), (tuple.at, (sink.empty)()));
        }
        if let Some((_, rows)) = self.open.get_mut(&partition) {
            (sink.add)(rows, tuple);
            if emit && let Some((start, rows)) = self.open.remove(&partition) {
                sink.closed.push((Range { start, end: tuple.at, trigger: tuple.at }, rows));
            }
        }
    }
}
