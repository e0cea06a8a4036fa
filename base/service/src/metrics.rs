//! Counters and gauges as `static` items, rendered as Prometheus text.
//!
//! A metric joins the rendered list the first time it moves, so a part that is not running does not show.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

static REGISTERED: Mutex<Vec<&'static Metric>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    value: AtomicI64,
    registered: AtomicBool,
}

impl Metric {
    const fn new(name: &'static str, help: &'static str, kind: &'static str) -> Self {
        Self { name, help, kind, value: AtomicI64::new(0), registered: AtomicBool::new(false) }
    }

    fn touch(&'static self) -> &'static AtomicI64 {
        if !self.registered.load(Ordering::Relaxed) && !self.registered.swap(true, Ordering::Relaxed) {
            REGISTERED.lock().push(self);
        }
        &self.value
    }
}

/// A number that only grows. Name it `edgeward_<room>_<what>_total`.
#[derive(Debug)]
pub struct Counter(Metric);

impl Counter {
    /// A counter at zero, for a `static`.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Metric::new(name, help, "counter"))
    }

    /// Adds one.
    pub fn inc(&'static self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&'static self, n: u64) {
        self.0.touch().fetch_add(i64::try_from(n).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.value.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// A number that goes up and down: connections, bytes held. Name it `edgeward_<room>_<what>`.
#[derive(Debug)]
pub struct Gauge(Metric);

impl Gauge {
    /// A gauge at zero, for a `static`.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Metric::new(name, help, "gauge"))
    }

    /// Sets the value.
    pub fn set(&'static self, value: i64) {
        self.0.touch().store(value, Ordering::Relaxed);
    }

    /// Adds `n`.
    pub fn add(&'static self, n: i64) {
        self.0.touch().fetch_add(n, Ordering::Relaxed);
    }

    /// Subtracts `n`.
    pub fn sub(&'static self, n: i64) {
        self.0.touch().fetch_sub(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.0.value.load(Ordering::Relaxed)
    }
}

/// All metrics that have moved, sorted by name, in the Prometheus text format.
pub fn render() -> String {
    let mut metrics: Vec<&'static Metric> = REGISTERED.lock().clone();
    metrics.sort_by_key(|metric| metric.name);
    let mut text = String::new();
    for Metric { name, help, kind, value, .. } in metrics {
        let value = value.load(Ordering::Relaxed);
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEEN: Counter = Counter::new("edgeward_test_seen_total", "things seen");
    static HELD: Gauge = Gauge::new("edgeward_test_held", "things held");
    static UNTOUCHED: Counter = Counter::new("edgeward_test_untouched_total", "never moved");

    #[test]
    fn renders_what_has_moved() {
        SEEN.inc();
        SEEN.add(2);
        HELD.set(7);
        HELD.sub(3);
        HELD.add(1);
        assert_eq!((SEEN.get(), HELD.get(), UNTOUCHED.get()), (3, 5, 0));
        let text = render();
        assert!(text.contains("# TYPE edgeward_test_seen_total counter\nedgeward_test_seen_total 3\n"));
        assert!(text.contains("# HELP edgeward_test_held things held\n"));
        assert!(!text.contains("untouched"));
    }
}
