//! Windows as state machines over time: rows and the clock go in, collections of rows come out.
//!
//! "The clock" is the wall clock in processing time and the watermark in event time; the machines do not know which.

mod count;
mod session;
mod sliding;
mod state;
mod time;

use std::sync::Arc;

pub(crate) use session::Session;

use edgeward_functions::Value;
use edgeward_sql::ast::{Window as Syntax, WindowKind};

use crate::expr::{Compiler, Expr, Range};
use crate::group::Collection;
use crate::{EngineError, Row, RuleOptions};

/// A row on its way through a rule.
#[derive(Debug, Clone)]
pub(crate) struct Tuple {
    pub(crate) row: Arc<Row>,
    /// Event or arrival time, whichever the rule runs on.
    pub(crate) at: i64,
    /// The input it came from.
    pub(crate) input: usize,
    /// Results of the analytic calls.
    pub(crate) analytic: Arc<[Value]>,
}

/// A window that closed.
pub(crate) type Closed = (Range, Collection);

/// The window of a statement, compiled.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    pub(crate) kind: Kind,
    /// Rows that do not match never enter.
    pub(crate) filter: Option<Expr>,
    /// Rows that trigger a sliding window.
    pub(crate) when: Option<Expr>,
    pub(crate) partition: Vec<Expr>,
}

/// Kinds of windows with lengths in ms.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Tumbling when both are equal, else hopping.
    Time {
        length: i64,
        interval: i64,
    },
    Sliding {
        length: i64,
        delay: Option<i64>,
    },
    Session {
        length: i64,
        timeout: i64,
    },
    Count {
        length: usize,
        interval: usize,
    },
    State {
        begin: Expr,
        emit: Option<Expr>,
    },
}

impl WindowPlan {
    pub(crate) fn compile(window: &Syntax, compiler: &mut Compiler<'_>) -> Result<WindowPlan, EngineError> {
        let small = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let kind = match &window.kind {
            WindowKind::Tumbling(unit, length) => {
                Kind::Time { length: length * unit.millis(), interval: length * unit.millis() }
            }
            WindowKind::Hopping(unit, length, interval) => {
                Kind::Time { length: length * unit.millis(), interval: interval * unit.millis() }
            }
            WindowKind::Sliding(unit, length, delay) => {
                Kind::Sliding { length: length * unit.millis(), delay: delay.map(|delay| delay * unit.millis()) }
            }
            WindowKind::Session(unit, length, timeout) => {
                Kind::Session { length: length * unit.millis(), timeout: timeout * unit.millis() }
            }
            WindowKind::Count(length, interval) => {
                Kind::Count { length: small(*length), interval: small(interval.unwrap_or(*length)) }
            }
            WindowKind::State(begin, emit) => {
                Kind::State { begin: compiler.expr(begin)?, emit: compiler.option(emit.as_deref())? }
            }
        };
        let filter = compiler.option(window.filter.as_ref())?;
        let when = compiler.option(window.when.as_ref())?;
        let partition = compiler.list(&window.partition)?;
        Ok(WindowPlan { kind, filter, when, partition })
    }

    /// Whether the rows of a closed window are never needed again by another one, so that aggregates may replace them.
    pub(crate) fn is_disjoint(&self) -> bool {
        match &self.kind {
            Kind::Time { .. } | Kind::Session { .. } | Kind::State { .. } => true,
            Kind::Count { length, interval } => length == interval,
            Kind::Sliding { .. } => false,
        }
    }
}

/// What the window's conditions say about a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// `OVER(WHEN …)`, or the begin condition of a state window.
    pub(crate) begin: bool,
    /// The emit condition of a state window.
    pub(crate) emit: bool,
    /// Partition of a state window.
    pub(crate) partition: Box<str>,
}

/// A running window.
#[derive(Debug)]
pub(crate) enum Window {
    Time(time::TimeWindow),
    Sliding(sliding::SlidingWindow),
    Session(session::SessionWindow),
    Count(count::CountWindow),
    State(state::StateWindow),
}

/// Where closed windows and the state of groups go.
pub(crate) struct Sink<'a> {
    /// Makes an empty collection of the kind the rule needs.
    pub(crate) empty: &'a dyn Fn() -> Collection,
    /// Adds a row to a collection.
    pub(crate) add: &'a mut dyn FnMut(&mut Collection, &Tuple),
    pub(crate) closed: Vec<Closed>,
}

impl Window {
    /// A window that begins to run at `now`. In event time nothing ticks before the first row.
    pub(crate) fn new(plan: &WindowPlan, now: i64, options: &RuleOptions) -> Window {
        let (event_time, zone) = (options.is_event_time, &options.timezone);
        match &plan.kind {
            Kind::Time { length, interval } => {
                Window::Time(time::TimeWindow::new(*length, *interval, (!event_time).then_some(now), zone.clone()))
            }
            Kind::Sliding { length, delay } => {
                Window::Sliding(sliding::SlidingWindow::new(*length, *delay, options.send_sliding_window_twice))
            }
            Kind::Session { length, timeout } => Window::Session(session::SessionWindow::new(*length, *timeout)),
            Kind::Count { length, interval } => Window::Count(count::CountWindow::new(*length, *interval, now)),
            Kind::State { emit, .. } => Window::State(state::StateWindow::new(emit.is_some())),
        }
    }

    /// Takes a row in.
    pub(crate) fn push(&mut self, tuple: &Tuple, verdict: Verdict, sink: &mut Sink<'_>) {
        match self {
            Window::Time(window) => window.push(tuple, sink),
            Window::Sliding(window) => window.push(tuple, verdict.begin, sink),
            Window::Session(window) => window.push(tuple, sink),
            Window::Count(window) => window.push(tuple, sink),
            Window::State(window) => window.push(tuple, verdict, sink),
        }
    }

    /// Moves the clock: everything due up to and including `time` closes.
    pub(crate) fn advance(&mut self, time: i64, sink: &mut Sink<'_>) {
        match self {
            Window::Time(window) => window.advance(time, sink),
            Window::Sliding(window) => window.advance(time, sink),
            Window::Session(window) => window.advance(time, sink),
            Window::Count(_) | Window::State(_) => {}
        }
    }

    /// When the clock must be moved at the latest.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        match self {
            Window::Time(window) => window.next_timer(),
            Window::Sliding(window) => window.next_timer(),
            Window::Session(window) => window.next_timer(),
            Window::Count(_) | Window::State(_) => None,
        }
    }
}
