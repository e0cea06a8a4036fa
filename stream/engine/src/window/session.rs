//! Session windows: closed by silence or by their greatest length.

use super::{Sink, Tuple};
use crate::expr::Range;
use crate::group::Collection;

/// The session that is open, if any.
#[derive(Debug)]
pub(crate) struct SessionWindow {
    length: i64,
    timeout: i64,
    pub(crate) open: Option<Session>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) start: i64,
    pub(crate) last: i64,
    pub(crate) rows: Collection,
}

impl SessionWindow {
    pub(super) fn new(length: i64, timeout: i64) -> SessionWindow {
        SessionWindow { length, timeout, open: None }
    }

    fn deadline(&self, session: &Session) -> i64 {
        session.last.saturating_add(self.timeout).min(session.start.saturating_add(self.length))
    }

    pub(super) fn push(&mut self, tuple: &Tuple, sink: &mut Sink<'_>) {
        // In event time rows come before the watermark that would have closed the session. A row at its very end still belongs
        // to it: at one instant rows come before timers.
        self.advance(tuple.at.saturating_sub(1), sink);
        let session =
            self.open.get_or_insert_with(|| Session { start: tuple.at, last: tuple.at, rows: (sink.empty)() });
        session.last = session.last.max(tuple.at);
        (sink.add)(&mut session.rows, tuple);
    }

    pub(super) fn advance(&mut self, time: i64, sink: &mut Sink<'_>) {
        if let Some(session) = &self.open {
            let end = self.deadline(session);
            if end <= time
                && let Some(session) = self.open.take()
            {
                sink.closed.push((Range { start: session.start, end, trigger: end }, session.rows));
            }
        }
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.open.as_ref().map(|session| self.deadline(session))
    }
}
