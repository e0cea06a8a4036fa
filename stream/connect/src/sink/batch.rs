//! `batchSize` and `lingerInterval`: rows that are sent together.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::Emission;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What comes in while the sink works.
pub(super) struct Intake {
    entry: mpsc::Receiver<Arc<Emission>>,
    batch: Batch,
    /// Nothing comes any more; what waits is still given.
    pub(super) ended: bool,
}

impl Intake {
    /// Takes messages from `entry` together: so many rows, or what came in this time. With neither each goes by itself.
    pub(super) fn new(entry: mpsc::Receiver<Arc<Emission>>, size: usize, linger: Duration) -> Intake {
        let batch = Batch { size, linger, waiting: Emission::of_rows(0, Vec::new()), due: None };
        Intake { entry, batch, ended: false }
    }

    /// The next message or batch; none at the end. Safe to drop while waiting.
    pub(super) async fn next(&mut self) -> Option<Arc<Emission>> {
        loop {
            if self.ended {
                return self.batch.flush();
            }
            let due = self.batch.due;
            let lingered = async { sleep_until(due.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                received = self.entry.recv() => match received {
                    Some(emission) => if let Some(ready) = self.batch.take(emission) {
                        return Some(ready);
                    },
                    None => self.ended = true,
                },
                () = lingered, if due.is_some() => if let Some(ready) = self.batch.flush() {
                    return Some(ready);
                },
            }
        }
    }
}

/// Rows that wait to be sent together.
struct Batch {
    size: usize,
    linger: Duration,
    waiting: Emission,
    due: Option<Instant>,
}

impl Batch {
    fn is_on(&self) -> bool {
        self.size > 0 || !self.linger.is_zero()
    }

    /// Adds a message; errors go their own way. Gives what is to be sent now.
    fn take(&mut self, emission: Arc<Emission>) -> Option<Arc<Emission>> {
        if !self.is_on() || emission.is_error {
            return Some(emission);
        }
        let emission = Arc::unwrap_or_clone(emission);
        if self.waiting.rows.is_empty() && !self.linger.is_zero() {
            self.due = Some(Instant::now() + self.linger);
        }
        self.waiting.at = emission.at;
        self.waiting.rows.extend(emission.rows);
        self.waiting.acks.extend(emission.acks);
        if self.size > 0 && self.waiting.rows.len() >= self.size { self.flush() } else { None }
    }

    fn flush(&mut self) -> Option<Arc<Emission>> {
        self.due = None;
        let flushed = std::mem::replace(&mut self.waiting, Emission::of_rows(0, Vec::new()));
        (!flushed.rows.is_empty() || !flushed.acks.is_empty()).then(|| Arc::new(flushed))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.waiting.fail();
    }
}
