//! The heart of a running rule: a synchronous state machine. Rows and the clock go in, emissions come out.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use edgeward_functions::{Context, Error, Value, ops};
use edgeward_sql::ast::BinaryOp;

use crate::Row;
use crate::analytic::AnalyticState;
use crate::emission::{Emission, OutRow};
use crate::expr::{Expr, Range, Scene};
use crate::group::{Collection, Grouping, Groups, scene, too_many};
use crate::join;
use crate::metrics::CoreMetrics;
use crate::plan::{Plan, Program};
use crate::table::TableRows;
use crate::watermark::Watermark;
use crate::window::{Kind, Sink, Tuple, Verdict, Window};

/// A rule's operators with their state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) program: Arc<Program>,
    send_error: bool,
    max_groups: usize,
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
    cells: Vec<OnceCell<Value>>,
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
            self.fail("cannot get the event time of a row, please check the TIMESTAMP column of its stream", out);
            return;
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
        self.metrics.fail(text, self.context.now);
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
            && !filter.holds(&scene, "Filter")?
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
    fn collect(&self, rows: Vec<Tuple>) -> Collection {
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
        match self.project(range, collection) {
            Ok(Some(mut emissions)) => {
                self.metrics.emitted += emissions.len() as u64;
                out.append(&mut emissions);
            }
            Ok(None) => {}
            Err(error) => self.fail(&error.to_string(), out),
        }
    }

    fn project(&mut self, range: Option<Range>, collection: Collection) -> Result<Option<Vec<Emission>>, Error> {
        let collection = match collection {
            Collection::Rows(rows) => {
                let was_empty = rows.is_empty();
                let rows = self.late_filter(rows)?;
                if rows.is_empty() && !was_empty {
                    return Ok(None);
                }
                self.collect(rows)
            }
            groups => groups,
        };
        let mut sorted: Vec<(Vec<Value>, Vec<OutRow>)> = Vec::new();
        let mut dropped = false;
        match collection {
            Collection::Rows(rows) => {
                let listed: Vec<(&Tuple, &[Value])> = rows.iter().map(|tuple| (tuple, [].as_slice())).collect();
                let numbers = self.number(&listed)?;
                for (position, tuple) in rows.iter().enumerate() {
                    self.row(tuple, &[], range, numbers.get(position), &mut sorted)?;
                }
            }
            Collection::Groups(groups) => {
                if let Some(error) = groups.error {
                    return Err(error);
                }
                let mut values = Vec::with_capacity(groups.list.len());
                for group in &groups.list {
                    let results: Result<Vec<Value>, Error> =
                        group.aggregates.iter().map(|aggregate| aggregate.result()).collect();
                    values.push(results?);
                }
                let listed: Vec<(&Tuple, &[Value])> =
                    groups.list.iter().zip(&values).map(|(group, values)| (&group.first, values.as_slice())).collect();
                let numbers = self.number(&listed)?;
                for (position, (tuple, values)) in listed.into_iter().enumerate() {
                    dropped |= !self.row(tuple, values, range, numbers.get(position), &mut sorted)?;
                }
            }
        }
        if sorted.is_empty() && (dropped || range.is_none()) {
            return Ok(None);
        }
        Ok(Some(self.message(sorted, range)))
    }

    /// The results of the `row_number()` calls for each row: its place in its partition by the call's order.
    fn number(&self, rows: &[(&Tuple, &[Value])]) -> Result<Vec<Vec<i64>>, Error> {
        if self.program.numberings.is_empty() {
            return Ok(Vec::new());
        }
        let mut numbers = vec![Vec::new(); rows.len()];
        for call in &self.program.numberings {
            let mut order = Vec::with_capacity(rows.len());
            for (position, (tuple, aggregates)) in rows.iter().enumerate() {
                let scene = Scene { aggregates, ..scene(tuple, &self.context) };
                let mut partition = String::new();
                for key in &call.partition {
                    partition.push_str(&edgeward_functions::format::GoText(&*key.eval(&scene)?).to_string());
                    partition.push(',');
                }
                let keys: Result<Vec<Value>, Error> =
                    call.order.iter().map(|(key, _)| Ok(key.eval(&scene)?.into_owned())).collect();
                order.push((partition, keys?, position));
            }
            order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| by_keys(&a.1, &b.1, &call.order)));
            let mut last: Option<(&str, i64)> = None;
            for (partition, _, position) in &order {
                let number = last.filter(|(last, _)| last == partition).map_or(1, |(_, number)| number + 1);
                numbers[*position].push(number);
                last = Some((partition, number));
            }
        }
        Ok(numbers)
    }

    /// HAVING, sort keys and projection of one row; false when HAVING drops it.
    fn row(
        &mut self,
        tuple: &Tuple,
        aggregates: &[Value],
        window: Option<Range>,
        numbers: Option<&Vec<i64>>,
        out: &mut Vec<(Vec<Value>, Vec<OutRow>)>,
    ) -> Result<bool, Error> {
        self.cells.iter_mut().for_each(|cell| drop(cell.take()));
        let scene = Scene {
            row: &tuple.row,
            analytic: &tuple.analytic,
            aggregates,
            cells: &self.cells,
            window,
            row_numbers: numbers.map_or(&[], Vec::as_slice),
            context: &self.context,
        };
        if let Some(having) = &self.program.having
            && !having.holds(&scene, "Having")?
        {
            return Ok(false);
        }
        let keys: Result<Vec<Value>, Error> =
            self.program.order_by.iter().map(|(key, _)| Ok(key.eval(&scene)?.into_owned())).collect();
        let mut rows = Vec::with_capacity(1);
        self.program.projection.run_row(&tuple.row, &scene, &mut self.analytic, &mut rows)?;
        out.push((keys?, rows));
        if self.program.grouped {
            self.context.agg_hits = (self.context.agg_hits.0 + 1, self.context.now);
        }
        Ok(true)
    }

    fn message(&self, mut sorted: Vec<(Vec<Value>, Vec<OutRow>)>, range: Option<Range>) -> Vec<Emission> {
        if !self.program.order_by.is_empty() {
            sorted.sort_by(|a, b| by_keys(&a.0, &b.0, &self.program.order_by));
        }
        let mut rows: Vec<OutRow> = sorted.into_iter().flat_map(|(_, rows)| rows).collect();
        rows.truncate(self.program.limit.unwrap_or(usize::MAX));
        let now = self.context.now;
        if range.is_none() && self.program.projection.has_srf() {
            // Without a window each row of a set-returning function is a message of its own.
            return rows.into_iter().map(|row| Emission::of_rows(now, vec![row])).collect();
        }
        vec![Emission::of_rows(now, rows)]
    }

    /// WHERE with aggregates over all rows of the window.
    fn late_filter(&self, rows: Vec<Tuple>) -> Result<Vec<Tuple>, Error> {
        let condition: (&[_], &Expr) = match (self.program.late_filter.as_deref(), &self.program.filter) {
            (Some((aggregates, condition)), _) => (aggregates, condition),
            (None, Some(filter)) if !self.program.joins.is_empty() => (&[], filter),
            _ => return Ok(rows),
        };
        let mut groups = Groups::default();
        let grouping = Grouping { by: &[], aggregates: condition.0, most: 1, context: &self.context };
        rows.iter().for_each(|tuple| groups.add(tuple, &grouping));
        if let Some(error) = groups.error {
            return Err(error);
        }
        let values: Result<Vec<Value>, Error> =
            groups.list.iter().flat_map(|group| &group.aggregates).map(|aggregate| aggregate.result()).collect();
        let values = values?;
        let mut kept = Vec::with_capacity(rows.len());
        for tuple in rows {
            let scene = Scene { aggregates: &values, ..scene(&tuple, &self.context) };
            if condition.1.holds(&scene, "Where")? {
                kept.push(tuple);
            }
        }
        Ok(kept)
    }
}

/// Order of two rows by their sort keys: nil after everything, incomparable values as they came.
fn by_keys(a: &[Value], b: &[Value], order: &[(Expr, bool)]) -> Ordering {
    for ((left, right), (_, descending)) in a.iter().zip(b).zip(order) {
        let ordering = match (left.is_nil(), right.is_nil()) {
            (true, true) => Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            _ if ops::compare(BinaryOp::Lt, left, right) == Ok(true) => Ordering::Less,
            _ if ops::compare(BinaryOp::Gt, left, right) == Ok(true) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        if ordering != Ordering::Equal {
            return if *descending { ordering.reverse() } else { ordering };
        }
    }
    Ordering::Equal
}
