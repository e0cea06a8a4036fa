//! Acknowledgement tokens: a source learns when everything made of a payload is done.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

type Callback = Box<dyn FnOnce(bool) + Send>;

/// A token a source attaches to a payload. Rows, emissions and sinks hold clones; when the last clone is dropped the source's
/// callback runs once with `true`, or `false` if anyone called [`Ack::fail`].
///
/// So an MQTT source can hold back its PUBACK until every sink that cares has the result on disk: a sink simply keeps the
/// emission (or its acks) until then. A row that enters a window is acknowledged when the window's state holds it.
#[derive(Clone)]
pub struct Ack(Arc<Guard>);

struct Guard {
    callback: Mutex<Option<Callback>>,
    failed: AtomicBool,
}

impl Ack {
    /// A token that calls `done` when it is completed. The callback must be quick: it runs wherever the last clone is dropped.
    pub fn new(done: impl FnOnce(bool) + Send + 'static) -> Ack {
        Ack(Arc::new(Guard { callback: Mutex::new(Some(Box::new(done))), failed: AtomicBool::new(false) }))
    }

    /// Marks the payload as not stored; the callback gets `false`.
    pub fn fail(&self) {
        self.0.failed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.get_mut().take() {
            callback(!self.failed.load(Ordering::Relaxed));
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ack")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_once_with_the_last_clone() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        for failed in [false, true] {
            let log = seen.clone();
            let ack = Ack::new(move |ok| log.lock().push(ok));
            let clone = ack.clone();
            drop(ack);
            assert!(seen.lock().len() < 1 + usize::from(failed));
            if failed {
                clone.fail();
            }
            drop(clone);
        }
        assert_eq!(*seen.lock(), [true, false]);
    }
}
