//! The bounded queue between a stream and a rule, and between a rule and a sink.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue that drops its oldest entry when full (eKuiper's default) or asks the producer to wait. It owns no memory while empty
/// and idle, and is drained whole, so that one wake-up serves many entries.
#[derive(Debug)]
pub(crate) struct Queue<T: Abandon> {
    items: Mutex<VecDeque<T>>,
    ready: Notify,
    space: Notify,
    capacity: usize,
    discard: bool,
    dropped: AtomicU64,
}

/// What waits in a queue may be the last trace of a message that must not be acknowledged before it is safe.
pub(crate) trait Abandon {
    /// Nobody will work on it: whoever waits for it must hear that it is not safe.
    fn abandon(&self);
}

/// Buffers grown beyond this many entries are given back once drained.
const KEPT_CAPACITY: usize = 64;

impl<T: Abandon> Queue<T> {
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

    /// Adds an entry; one that must `stay` pushes no other out. True: the queue is full and the producer should wait for space
    /// before the next one.
    pub(crate) fn push(&self, item: T, stay: bool) -> bool {
        let discard = self.discard && !stay;
        let (full, was_empty, oldest) = {
            let mut items = self.items.lock();
            let was_empty = items.is_empty();
            let full = items.len() >= self.capacity;
            let oldest = if full && discard { items.pop_front() } else { None };
            items.push_back(item);
            (full, was_empty, oldest)
        };
        if let Some(oldest) = oldest {
            oldest.abandon();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if was_empty {
            self.ready.notify_one();
        }
        full && !discard
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

    /// Abandons everything that waits: nobody will take it any more.
    pub(crate) fn clear(&self) {
        let left = std::mem::take(&mut *self.items.lock());
        left.iter().for_each(T::abandon);
        // Outside the lock: dropping entries tells their publishers.
        drop(left);
        self.space.notify_waiters();
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

impl<T: Abandon> Drop for Queue<T> {
    fn drop(&mut self) {
        self.items.get_mut().iter().for_each(T::abandon);
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

    impl Abandon for std::sync::Arc<AtomicU64> {
        fn abandon(&self) {
            self.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_dropped_or_left_behind_is_abandoned() {
        let abandoned = std::sync::Arc::new(AtomicU64::new(0));
        let queue = Queue::new(2, true);
        for expect in [0, 0, 1, 2] {
            queue.push(abandoned.clone(), false);
            assert_eq!(abandoned.load(Ordering::Relaxed), expect);
        }
        let mut taken = VecDeque::new();
        queue.drain(&mut taken);
        queue.push(abandoned.clone(), false);
        drop(queue);
        assert_eq!(abandoned.load(Ordering::Relaxed), 3, "the entries taken are someone else's");
    }

    impl Abandon for i32 {
        fn abandon(&self) {}
    }

    #[test]
    fn drops_the_oldest_or_asks_to_wait() {
        for (discard, stay, kept, waits) in
            [(true, false, vec![2, 3], false), (false, false, vec![1, 2, 3], true), (true, true, vec![1, 2, 3], true)]
        {
            let queue = Queue::new(2, discard);
            assert!(!queue.push(1, stay));
            assert!(!queue.push(2, stay));
            assert_eq!(queue.push(3, stay), waits);
            let mut out = VecDeque::new();
            queue.drain(&mut out);
            assert_eq!(out, kept);
            assert_eq!(queue.dropped(), u64::from(discard && !stay));
            assert_eq!(queue.len(), 0);
        }
    }
}
