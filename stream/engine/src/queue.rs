//! The bounded queue between a stream and a rule, and between a rule and a sink.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue that drops its oldest entry when full (eKuiper's default) or asks the producer to wait. It owns no memory while empty
/// and idle, and is drained whole, so that one wake-up serves many entries.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    ready: Notify,
    space: Notify,
    capacity: usize,
    discard: bool,
    dropped: AtomicU64,
}

/// Buffers grown beyond this many entries are given back once drained.
const KEPT_CAPACITY: usize = 64;

impl<T> Queue<T> {
    /// A queue of `capacity` entries; with `discard` the oldest makes room, else the producer waits.
    pub(crate) fn new(capacity: usize, discard: bool) -> Queue<T> {
        Queue {
            items: Mutex::default(),
            ready: Notify::new(),
            space: Notify::new(),
            capacity: capacity.max(1),
            discard,
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds an entry. True: the queue is full and the producer should wait for space before the next one.
    pub(crate) fn push(&self, item: T) -> bool {
        let (full, was_empty, oldest) = {
            let mut items = self.items.lock();
            let was_empty = items.is_empty();
            let full = items.len() >= self.capacity;
            let oldest = if full && self.discard { items.pop_front() } else { None };
            items.push_back(item);
            (full, was_empty, oldest)
        };
        if oldest.is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if was_empty {
            self.ready.notify_one();
        }
        full && !self.discard
    }

    /// Takes everything that waits.
    pub(crate) fn drain(&self, into: &mut VecDeque<T>) {
        let mut items = self.items.lock();
        std::mem::swap(&mut *items, into);
        drop(items);
        self.space.notify_waiters();
    }

    /// Waits until something may be there.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Wakes the consumer though nothing was added.
    pub(crate) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Waits until there is room.
    pub(crate) async fn wait_for_space(&self) {
        loop {
            let space = self.space.notified();
            if self.items.lock().len() < self.capacity {
                return;
            }
            space.await;
        }
    }

    /// Entries waiting.
    pub(crate) fn len(&self) -> usize {
        self.items.lock().len()
    }

    /// Entries dropped because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Gives memory back after a burst.
pub(crate) fn settle<T>(buffer: &mut VecDeque<T>) {
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_oldest_or_asks_to_wait() {
        for (discard, kept, waits) in [(true, vec![2, 3], false), (false, vec![1, 2, 3], true)] {
            let queue = Queue::new(2, discard);
            assert!(!queue.push(1));
            assert!(!queue.push(2));
            assert_eq!(queue.push(3), waits);
            let mut out = VecDeque::new();
            queue.drain(&mut out);
            assert_eq!(out, kept);
            assert_eq!(queue.dropped(), u64::from(discard));
            assert_eq!(queue.len(), 0);
        }
    }
}
