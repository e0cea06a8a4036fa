//! Work queues: which keys a controller must look at, each at most once at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Counter, Tasks};
use futures::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Error;
use crate::cache::Key;

/// Keys of one controller that are reconciled at the same time.
const CONCURRENCY: usize = 8;
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(60);

static RETRIES: Counter = Counter::new("edgeward_workloads_retries_total", "reconciles that failed and were put back");

/// Keys waiting for one controller. Clones share the queue. Its size is bounded by the number of objects: a key is
/// never in it twice.
#[derive(Clone, Default)]
pub struct WorkQueue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    running: HashSet<Key>,
    /// Added while running: to be looked at again.
    again: HashSet<Key>,
    later: BinaryHeap<Reverse<(Instant, Key)>>,
    /// The earliest time each delayed key is due, so that one key does not pile up in `later`.
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl WorkQueue {
    /// Has `key` looked at as soon as possible.
    pub fn add(&self, key: Key) {
        self.shared.state.lock().enqueue(key);
        self.shared.wake.notify_one();
    }

    /// Has all of `keys` looked at as soon as possible.
    pub fn add_all(&self, keys: impl IntoIterator<Item = Key>) {
        let mut state = self.shared.state.lock();
        keys.into_iter().for_each(|key| state.enqueue(key));
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Has `key` looked at in `delay` (or earlier, when something else asks for it).
    pub fn add_after(&self, key: Key, delay: Duration) {
        let mut state = self.shared.state.lock();
        let at = Instant::now() + delay;
        if state.due.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        state.due.insert(key.clone(), at);
        state.later.push(Reverse((at, key)));
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Reconciles keys until `tasks` is cancelled. `reconcile` may ask to be called again after a time; an error puts
    /// the key back with growing delay.
    pub fn run<F, R>(&self, name: &'static str, tasks: &Tasks, reconcile: F)
    where
        F: Fn(Key) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Duration>, Error>> + Send + 'static,
    {
        let queue = self.clone();
        tasks.spawn_until_cancelled(name, async move {
            let mut running = FuturesUnordered::new();
            loop {
                while running.len() < CONCURRENCY
                    && let Some(key) = queue.shared.state.lock().next()
                {
                    let work = reconcile(key.clone());
                    running.push(async move { (key, work.await) });
                }
                let next_due = queue.shared.state.lock().next_due();
                tokio::select! {
                    Some((key, outcome)) = running.next() => queue.done(name, key, outcome),
                    () = queue.shared.wake.notified() => {}
                    () = sleep_until(next_due) => {}
                }
            }
        });
    }

    fn done(&self, name: &'static str, key: Key, outcome: Result<Option<Duration>, Error>) {
        let delay = {
            let mut state = self.shared.state.lock();
            state.running.remove(&key);
            if state.again.remove(&key) {
                state.enqueue(key.clone());
            }
            match outcome {
                Ok(delay) => {
                    state.failures.remove(&key);
                    delay
                }
                Err(error) => Some(state.failed(name, &key, &error)),
            }
        };
        if let Some(delay) = delay {
            self.add_after(key, delay);
        }
    }
}

impl State {
    fn enqueue(&mut self, key: Key) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn next(&mut self) -> Option<Key> {
        let now = Instant::now();
        while let Some(Reverse((at, _))) = self.later.peek()
            && *at <= now
            && let Some(Reverse((at, key))) = self.later.pop()
        {
            // A key whose time was moved forward is in the heap twice; only the entry of record counts.
            if self.due.get(&key) == Some(&at) {
                self.due.remove(&key);
                self.enqueue(key);
            }
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn next_due(&self) -> Option<Instant> {
        self.later.peek().map(|Reverse((at, _))| *at)
    }

    fn failed(&mut self, name: &'static str, key: &Key, error: &Error) -> Duration {
        RETRIES.inc();
        let failures = self.failures.entry(key.clone()).or_default();
        *failures += 1;
        let delay = RETRY_MIN.saturating_mul(1 << (*failures).min(12)).min(RETRY_MAX);
        // A conflict only says that the cache was behind; it is not worth a line in the log.
        if !error.is_code(409) {
            tracing::debug!(controller = name, namespace = key.namespace, name = key.name, %error, "reconcile failed");
        }
        delay
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_runs_once_for_many_adds_and_again_after_a_failure() {
        let (tasks, queue, runs) = (Tasks::root("test"), WorkQueue::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..10 {
            queue.add(Key::new("a", "b"));
        }
        let counted = runs.clone();
        queue.run("test", &tasks, move |_| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { if run == 0 { Err(Error::Object("first time".into())) } else { Ok(None) } }
        });
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_of_several_delays_wins() {
        let queue = WorkQueue::default();
        queue.add_after(Key::new("", "a"), Duration::from_secs(50));
        queue.add_after(Key::new("", "a"), Duration::from_secs(10));
        queue.add_after(Key::new("", "a"), Duration::from_secs(90));
        assert!(queue.shared.state.lock().next().is_none());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(queue.shared.state.lock().next(), Some(Key::new("", "a")));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(queue.shared.state.lock().next().is_none(), "one request for work ran it twice");
    }

    #[tokio::test]
    async fn a_key_added_while_it_runs_runs_again_afterwards() {
        let queue = WorkQueue::default();
        queue.add(Key::new("", "a"));
        let key = queue.shared.state.lock().next().expect("a key");
        queue.add(key.clone());
        assert!(queue.shared.state.lock().next().is_none());
        queue.done("test", key.clone(), Ok(None));
        assert_eq!(queue.shared.state.lock().next(), Some(key));
    }
}
