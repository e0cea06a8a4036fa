//! From the rows of a window, or a single one, to a message: late filter, groups, HAVING, order, limit and projection.

use std::borrow::Cow;
use std::cmp::Ordering;

use edgeward_functions::{Error, Value, ops};
use edgeward_sql::ast::BinaryOp;

use crate::core::Core;
use crate::emission::{Emission, OutRow};
use crate::expr::{Expr, Range, Scene, within};
use crate::group::{Collection, GroupError, Grouping, Groups, scene};
use crate::window::Tuple;

impl Core {
    /// What becomes of the rows of a window, or of a row by itself; none when conditions leave nothing.
    pub(crate) fn project(
        &mut self,
        range: Option<Range>,
        collection: Collection,
    ) -> Result<Option<Vec<Emission>>, Error> {
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
        self.metrics.filtered += 1;
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
                let values = self.results(&groups)?;
                let listed: Vec<(&Tuple, &[Value])> =
                    groups.list.iter().zip(&values).map(|(group, values)| (&group.first, values.as_slice())).collect();
                let numbers = self.number(&listed)?;
                for (position, (tuple, values)) in listed.into_iter().enumerate() {
                    dropped |= !self.row(tuple, values, range, numbers.get(position), &mut sorted)?;
                }
            }
        }
        if sorted.is_empty() && (dropped || range.is_none() || self.program.needs_a_row()) {
            return Ok(None);
        }
        comparable(&sorted, self.program.order_by.len()).map_err(|error| within("Order By", &error))?;
        self.message(sorted, range).map(Some)
    }

    /// The results of the aggregates for each group.
    fn results(&self, groups: &Groups) -> Result<Vec<Vec<Value>>, Error> {
        match &groups.error {
            None => {}
            Some(GroupError::Key(error)) => return Err(error.clone()),
            Some(GroupError::Aggregate(index, error)) => return Err(self.aggregate_failed(*index, error)),
        }
        let mut values = Vec::with_capacity(groups.list.len());
        for group in &groups.list {
            let results = group.aggregates.iter().map(|aggregate| aggregate.result()).enumerate();
            let results: Result<Vec<Value>, Error> =
                results.map(|(index, result)| result.map_err(|error| self.aggregate_failed(index, &error))).collect();
            values.push(results?);
        }
        Ok(values)
    }

    /// An error of an aggregate is one of the first clause that needs it.
    fn aggregate_failed(&self, index: usize, error: &Error) -> Error {
        match &self.program.having {
            Some(having) if having.uses_aggregate(index) => within("Having", error),
            _ => self.program.projection.aggregate_failed(index, error),
        }
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
        let key = |(key, _): &(Expr, bool)| key.eval(&scene).map(Cow::into_owned);
        let keys: Result<Vec<Value>, Error> = self.program.order_by.iter().map(key).collect();
        let keys = keys.map_err(|error| within("Order By", &error))?;
        let mut rows = Vec::with_capacity(1);
        self.program.projection.run_row(&tuple.row, &scene, &mut self.analytic, &mut rows)?;
        out.push((keys, rows));
        if self.program.grouped {
            self.context.agg_hits = (self.context.agg_hits.0 + 1, self.context.now);
        }
        Ok(true)
    }

    fn message(
        &self,
        mut sorted: Vec<(Vec<Value>, Vec<OutRow>)>,
        range: Option<Range>,
    ) -> Result<Vec<Emission>, Error> {
        if !self.program.order_by.is_empty() {
            sorted.sort_by(|a, b| by_keys(&a.0, &b.0, &self.program.order_by));
        }
        let mut rows: Vec<OutRow> = sorted.into_iter().flat_map(|(_, rows)| rows).collect();
        rows.truncate(self.program.limit.unwrap_or(usize::MAX));
        let now = self.context.now;
        if let Some(script) = self.program.projection.script.as_deref().filter(|script| script.aggregate) {
            rows = script.all(&rows, &self.context)?;
        }
        if range.is_none() && self.program.projection.has_srf() {
            // Without a window each row of a set-returning function is a message of its own.
            return Ok(rows.into_iter().map(|row| Emission::of_rows(now, vec![row])).collect());
        }
        Ok(vec![Emission::of_rows(now, rows)])
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
        if let Some(GroupError::Key(error) | GroupError::Aggregate(_, error)) = &groups.error {
            return Err(within("Where", error));
        }
        let values: Result<Vec<Value>, Error> =
            groups.list.iter().flat_map(|group| &group.aggregates).map(|aggregate| aggregate.result()).collect();
        let values = values.map_err(|error| within("Where", &error))?;
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

/// Whether the values of each of the sort keys go together: numbers, texts, truth values or times.
fn comparable(sorted: &[(Vec<Value>, Vec<OutRow>)], keys: usize) -> Result<(), Error> {
    let sort = |value: &Value| match value {
        Value::Int(_) | Value::Float(_) => 1,
        Value::Str(_) => 2,
        Value::Bool(_) => 3,
        Value::Time(_) => 4,
        _ => 0,
    };
    for key in 0..keys {
        let mut values = sorted.iter().map(|(keys, _)| &keys[key]).filter(|value| !value.is_nil());
        let Some(first) = values.next() else { continue };
        let strange = |value: &&Value| sort(first) == 0 || (sort(value) != sort(first) && sort(first) != 4);
        if let Some(other) = std::iter::once(first).chain(values).find(strange) {
            let (first, other) = (first.type_name(), other.type_name());
            return Err(Error::call(format!("incompatible types for comparison: {first} and {other}")));
        }
    }
    Ok(())
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
