//! The heart of a running rule: a synchronous state machine. Rows and the clock go in, emissions come out.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::Arc;

use edgeward_functions::{Context, Error, Value};

use crate::Row;
use crate::analytic::AnalyticState;
use crate::emission::Emission;
use crate::expr::{Range, Scene};
use crate::group::{Collection, Grouping, Groups, scene, too_many};
use crate::join;
use crate::metrics::{CoreMetrics, DECODER, PROJECT};
use crate::plan::{Plan, Program};
use crate::table::TableRows;
use crate::watermark::Watermark;
use crate::window::{Kind, Sink, Tuple, Verdict, Window};

/// A rule's operators with their state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) program: Arc<Program>,
    send_error: bool,
    pub(crate) max_groups: usize,
    pub(crate) context: Context,
    pub(crate) watermark: Option<Watermark>,
    pub(crate) analytic: AnalyticState,
    pub(crate) window: Option<Window>,
    /// Contents of the inputs that are tables.
    pub(crate) tables: Vec<Option<TableRows>>,
    pub(crate) metrics: CoreMetrics,
    /// The statement as printed: a saved state belongs to it.
    pub(crate) statement: String,
    /// Sources are asked for the rows of lookup tables: what must be joined with them waits here.
    pub(crate) asks: bool,
    waiting: VecDeque<Waiting>,
    /// Alias values of the row being worked on, reused.
    pub(crate) cells: Vec<OnceCell<Value>>,
}

/// Rows that must be joined with lookup tables before they go on.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) range: Option<Range>,
    pub(crate) rows: Vec<Tuple>,
    pub(crate) context: Context,
}

impl Core {
    /// A rule that starts at `now`.
    pub(crate) fn new(program: Arc<Program>, plan: &Plan, rule_id: &str, now: i64) -> Core {
        let options = &plan.options;
        let event_time = options.is_event_time;
        let window = program.window.as_ref().map(|plan| Window::new(plan, now, options));
        let context = Context {
            now,
            zone: options.timezone.clone(),
            rule_id: rule_id.into(),
            rule_start: now,
            ..Context::default()
        };
        Core {
            watermark: event_time
                .then(|| Watermark::new(program.tables.iter().map(Option::is_none).collect(), options.late_tolerance)),
            tables: program
                .tables
                .iter()
                .map(|table| table.clone().map(|(table, key)| TableRows::new(table, key)))
                .collect(),
            analytic: AnalyticState::new(&program.analytic, options.max_groups),
            asks: false,
            waiting: VecDeque::new(),
            cells: vec![OnceCell::new(); program.cells],
            window,
            metrics: CoreMetrics::default(),
            statement: plan.select.to_string(),
            program,
            send_error: options.send_error,
            max_groups: options.max_groups,
            context,
        }
    }

    /// Takes one row of an input in, at `now` on the clock.
    pub(crate) fn push(&mut self, input: usize, row: Arc<Row>, now: i64, out: &mut Vec<Emission>) {
        self.context.now = now;
        if let Some(Some(table)) = self.tables.get_mut(input) {
            return table.put(row);
        }
        let Some(watermark) = &mut self.watermark else {
            let at = row.at;
            self.enter(Tuple { row, at, input, analytic: Arc::default() }, out);
            self.settle(now, out);
            return;
        };
        let Some(at) = row.event else {
            let timestamp = self.program.timestamps.get(input).and_then(Option::as_ref);
            // A stream without TIMESTAMP is refused when the rule is planned.
            let text = timestamp.map_or_else(String::new, |timestamp| timestamp.failure(&row));
            return self.fail(&text, out);
        };
        let Some(time) = watermark.push(Tuple { row, at, input, analytic: Arc::default() }) else { return };
        let released = watermark.release();
        released.into_iter().for_each(|tuple| self.enter(tuple, out));
        self.turn(time, out);
    }

    /// Moves the clock; in event time only rows do that.
    pub(crate) fn advance(&mut self, now: i64, out: &mut Vec<Emission>) {
        self.context.now = now;
        if self.watermark.is_none() {
            self.turn(now, out);
        }
    }

    /// When the clock must be moved at the latest.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        if self.watermark.is_some() { None } else { self.window.as_ref().and_then(Window::next_timer) }
    }

    /// Passes an error on to the sinks if the rule wants that, and counts it.
    pub(crate) fn fail(&mut self, text: &str, out: &mut Vec<Emission>) {
        self.metrics.fail(text, self.context.now, PROJECT);
        self.tell(text, out);
    }

    /// The same for a row that an input could not read, or ask the first condition of, at `now`.
    pub(crate) fn fail_to_read(&mut self, text: &str, now: i64, out: &mut Vec<Emission>) {
        self.context.now = now;
        self.metrics.fail(text, now, DECODER);
        self.tell(text, out);
    }

    fn tell(&self, text: &str, out: &mut Vec<Emission>) {
        if self.send_error {
            out.push(Emission::of_error(self.context.now, text));
        }
    }

    /// Analytic functions, filter, then window or sink.
    fn enter(&mut self, mut tuple: Tuple, out: &mut Vec<Emission>) {
        let program = self.program.clone();
        self.metrics.rows_in += 1;
        self.metrics.last_invocation = self.context.now;
        if !program.analytic.is_empty() {
            match self.analytic.evaluate(&program.analytic, &tuple, &self.context) {
                Ok(values) => tuple.analytic = values,
                Err(error) => return self.fail(&error.to_string(), out),
            }
        }
        if let Some(filter) = program.filter.as_ref().filter(|_| !program.filter_in_stream && program.joins.is_empty())
        {
            match filter.holds(&scene(&tuple, &self.context), "Where") {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(&error.to_string(), out),
            }
        }
        self.metrics.rows_kept += 1;
        self.analytic.hit(&program.analytic, self.context.now);
        if self.window.is_some() {
            self.enter_window(&tuple, out);
        } else if program.plain {
            self.pass(&tuple, out);
        } else {
            let rows = vec![tuple];
            let collection = self.collect(rows);
            self.emit(None, collection, out);
        }
    }

    /// The commonest rule: each row by itself is projected and sent.
    fn pass(&mut self, tuple: &Tuple, out: &mut Vec<Emission>) {
        self.cells.iter_mut().for_each(|cell| drop(cell.take()));
        let scene = Scene { cells: &self.cells, ..scene(tuple, &self.context) };
        let mut rows = Vec::with_capacity(1);
        match self.program.projection.run_row(&tuple.row, &scene, &mut self.analytic, &mut rows) {
            // A script may keep a row for itself.
            Ok(()) if rows.is_empty() => {}
            Ok(()) => {
                self.metrics.emitted += 1;
                out.push(Emission::of_rows(self.context.now, rows));
            }
            Err(error) => self.fail(&error.to_string(), out),
        }
    }

    fn enter_window(&mut self, tuple: &Tuple, out: &mut Vec<Emission>) {
        let verdict = match self.judge(tuple) {
            Ok(Some(verdict)) => verdict,
            Ok(None) => return,
            Err(error) => return self.fail(&error.to_string(), out),
        };
        let closed = self.with_window(|window, sink| window.push(tuple, verdict, sink));
        closed.into_iter().for_each(|(range, collection)| self.emit(Some(range), collection, out));
    }

    /// What the window's conditions say; none when the row must not enter.
    fn judge(&self, tuple: &Tuple) -> Result<Option<Verdict>, Error> {
        let Some(plan) = &self.program.window else { return Ok(None) };
        let scene = scene(tuple, &self.context);
        if let Some(filter) = &plan.filter
            && !filter.holds(&scene, "Where")?
        {
            return Ok(None);
        }
        let mut verdict = Verdict { begin: true, ..Verdict::default() };
        if let Some(when) = &plan.when {
            verdict.begin = when.holds(&scene, "window trigger")?;
        }
        if let Kind::State { begin, emit } = &plan.kind {
            verdict.begin = begin.holds(&scene, "state window")?;
            verdict.emit = emit.as_ref().map_or(Ok(false), |emit| emit.holds(&scene, "state window"))?;
            let keys: Result<Vec<String>, Error> = plan
                .partition
                .iter()
                .map(|key| Ok(edgeward_functions::format::GoText(&*key.eval(&scene)?).to_string()))
                .collect();
            verdict.partition = keys?.join(",").into();
            if let Some(Window::State(window)) = &self.window
                && window.open.len() >= self.max_groups
                && !window.open.contains_key(&verdict.partition)
            {
                return Err(too_many("state windows", self.max_groups));
            }
        }
        Ok(Some(verdict))
    }

    /// Answers what is due at once: a sliding window without delay.
    fn settle(&mut self, now: i64, out: &mut Vec<Emission>) {
        if matches!(self.window, Some(Window::Sliding(_))) {
            self.turn(now, out);
        }
    }

    /// Moves the window's clock.
    fn turn(&mut self, time: i64, out: &mut Vec<Emission>) {
        if self.window.is_some() {
            let closed = self.with_window(|window, sink| window.advance(time, sink));
            closed.into_iter().for_each(|(range, collection)| self.emit(Some(range), collection, out));
        }
    }

    /// Runs a step of the window with the means to collect rows.
    fn with_window(&mut self, step: impl FnOnce(&mut Window, &mut Sink<'_>)) -> Vec<(Range, Collection)> {
        let program = &self.program;
        let keep_rows = program.needs_rows();
        let grouping = Grouping {
            by: &program.group_by,
            aggregates: &program.aggregates,
            most: self.max_groups,
            context: &self.context,
        };
        let mut sink = Sink {
            empty: &|| if keep_rows { Collection::Rows(Vec::new()) } else { Collection::Groups(Groups::default()) },
            add: &mut |collection, tuple| match collection {
                Collection::Rows(rows) => rows.push(tuple.clone()),
                Collection::Groups(groups) => groups.add(tuple, &grouping),
            },
            closed: Vec::new(),
        };
        if let Some(window) = &mut self.window {
            step(window, &mut sink);
        }
        sink.closed
    }

    /// Rows as the later steps want them: grouped if the statement groups.
    pub(crate) fn collect(&self, rows: Vec<Tuple>) -> Collection {
        if !self.program.grouped {
            return Collection::Rows(rows);
        }
        let grouping = Grouping {
            by: &self.program.group_by,
            aggregates: &self.program.aggregates,
            most: self.max_groups,
            context: &self.context,
        };
        let mut groups = Groups::default();
        rows.iter().for_each(|tuple| groups.add(tuple, &grouping));
        Collection::Groups(groups)
    }

    /// Join, late filter, aggregate, having, order, limit, projection: what follows a window, or a single row.
    fn emit(&mut self, range: Option<Range>, collection: Collection, out: &mut Vec<Emission>) {
        self.metrics.windows += 1;
        self.metrics.last_window = self.context.now;
        let joined = match collection {
            Collection::Rows(rows) => {
                let was_empty = rows.is_empty();
                match join::run(&self.program, rows, &self.tables, self.asks, &self.context) {
                    Ok(rows) if rows.is_empty() && !was_empty => return,
                    Ok(rows) if self.asks && !rows.is_empty() => {
                        self.waiting.push_back(Waiting { range, rows, context: self.context.clone() });
                        return;
                    }
                    Ok(rows) => Collection::Rows(rows),
                    Err(error) => return self.fail(&error.to_string(), out),
                }
            }
            groups => groups,
        };
        self.finish(range, joined, out);
    }

    /// The next rows to be joined with lookup tables; [`Core::joined`] takes them back.
    pub(crate) fn next_waiting(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// What came of [`Core::next_waiting`].
    pub(crate) fn joined(&mut self, range: Option<Range>, rows: Result<Vec<Tuple>, Error>, out: &mut Vec<Emission>) {
        match rows {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => self.finish(range, Collection::Rows(rows), out),
            Err(error) => self.fail(&error.to_string(), out),
        }
    }

    fn finish(&mut self, range: Option<Range>, collection: Collection, out: &mut Vec<Emission>) {
        self.metrics.joined += 1;
        match self.project(range, collection) {
            Ok(Some(mut emissions)) => {
                self.metrics.held += 1;
                self.metrics.emitted += emissions.len() as u64;
                out.append(&mut emissions);
            }
            Ok(None) => {}
            Err(error) => {
                let text = error.to_string();
                let step = self.metrics.fail(&text, self.context.now, PROJECT);
                // What fails after HAVING has passed it.
                self.metrics.held += u64::from(matches!(step, "order" | PROJECT));
                self.tell(&text, out);
            }
        }
    }
}
