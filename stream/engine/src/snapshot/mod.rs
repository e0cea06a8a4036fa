//! The state of a rule and the positions of its sources as bytes, versioned, for checkpoints.
//!
//! A state is a tree of values in the codec of this folder: operators turn themselves into values and back, so that a new field
//! costs one line and an unreadable state is refused as a whole.

pub mod codec;

use std::sync::Arc;

use edgeward_functions::{Aggregate, Error, Map, Value};

use crate::analytic::{AnalyticState, Cell};
use crate::core::Core;
use crate::group::{Collection, Group, GroupError, Groups, fresh};
use crate::table::TableRows;
use crate::watermark::Watermark;
use crate::window::{Session, Tuple, Window};
use crate::{EngineError, Row, Stream};

/// What a saved state begins with; the last byte is the version.
const HEADER: &[u8] = b"edgeward-rule-state\x02";

impl Core {
    /// All state as bytes, with the positions of the sources, one for each input.
    pub(crate) fn snapshot(&self, streams: &[Arc<Stream>], positions: &[Value]) -> Vec<u8> {
        let saver = Saver { streams };
        let mut state = Map::new();
        state.insert("positions".into(), list(positions.iter().cloned()));
        state.insert("statement".into(), Value::str(self.statement.clone()));
        state.insert("analytic".into(), save_analytic(&self.analytic));
        state.insert(
            "watermark".into(),
            self.watermark.as_ref().map_or(Value::Nil, |watermark| saver.watermark(watermark)),
        );
        state.insert("window".into(), self.window.as_ref().map_or(Value::Nil, |window| saver.window(window)));
        let (count, time) = self.context.agg_hits;
        state.insert("agg_hits".into(), list([Value::Int(count), Value::Int(time)]));
        state.insert("tables".into(), saver.tables(&self.tables));
        let mut out = HEADER.to_vec();
        codec::write(&Value::map(state), &mut out);
        out
    }

    /// Takes back a state this statement saved; answers the positions of the sources.
    ///
    /// # Errors
    /// The bytes are no state of this version, or of another statement.
    pub(crate) fn restore(&mut self, saved: &[u8], streams: &[Arc<Stream>]) -> Result<Vec<Value>, EngineError> {
        let refuse = |why: &str| EngineError::State(why.to_string());
        let body = saved.strip_prefix(HEADER).ok_or_else(|| refuse("unknown format or version"))?;
        let state = codec::read(body).ok_or_else(|| refuse("it is damaged"))?;
        let state = state.as_map().ok_or_else(|| refuse("it is damaged"))?.clone();
        let part = |name: &str| state.get(name).cloned().unwrap_or_default();
        if part("statement").as_str() != Some(&self.statement) {
            return Err(refuse("it belongs to another statement"));
        }
        let event_time = self.watermark.is_some();
        let loader = Loader { streams, program: self.program.clone(), event_time, now: self.context.now };
        load_analytic(&mut self.analytic, &part("analytic"));
        if let Some(watermark) = &mut self.watermark {
            loader.watermark(watermark, &part("watermark")).ok_or_else(|| refuse("the watermark is damaged"))?;
        }
        if let Some([Value::Int(count), Value::Int(time)]) = part("agg_hits").as_array() {
            self.context.agg_hits = (*count, *time);
        }
        load_tables(&mut self.tables, &part("tables"), streams);
        if let Some(window) = &mut self.window {
            loader.window(window, &part("window")).ok_or_else(|| refuse("the window is damaged"))?;
        }
        Ok(part("positions").as_array().unwrap_or_default().to_vec())
    }
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::array(items.into_iter().collect())
}

fn save_analytic(state: &AnalyticState) -> Value {
    list(state.calls.iter().map(|partitions| {
        list(
            partitions
                .iter()
                .map(|(key, cell)| list([Value::str(&**key), list(cell.memory.iter().cloned()), cell.result.clone()])),
        )
    }))
}

fn load_analytic(state: &mut AnalyticState, saved: &Value) {
    for (partitions, saved) in state.calls.iter_mut().zip(saved.as_array().unwrap_or_default()) {
        for entry in saved.as_array().unwrap_or_default() {
            if let Some([Value::Str(key), Value::Array(memory), result]) = entry.as_array() {
                partitions.insert((**key).into(), Cell { memory: memory.to_vec(), result: result.clone() });
            }
        }
    }
}

fn load_tables(tables: &mut [Option<TableRows>], saved: &Value, streams: &[Arc<Stream>]) {
    for ((table, saved), stream) in tables.iter_mut().zip(saved.as_array().unwrap_or_default()).zip(streams) {
        let (Some(table), Some(rows)) = (table, saved.as_array()) else { continue };
        for row in rows {
            if let Some([Value::Map(row), Value::Int(at)]) = row.as_array() {
                table.put(Arc::new(stream.row_of(row, *at)));
            }
        }
    }
}

/// Turns rows and groups into values.
struct Saver<'a> {
    streams: &'a [Arc<Stream>],
}

impl Saver<'_> {
    /// Rows of tables with their times; of an input that is none, nil.
    fn tables(&self, tables: &[Option<TableRows>]) -> Value {
        let rows = |(input, table): (usize, &Option<TableRows>)| match table {
            None => Value::Nil,
            Some(table) => list(table.rows.iter().map(|row| list([self.row(input, row), Value::Int(row.at)]))),
        };
        list(tables.iter().enumerate().map(rows))
    }

    /// A row by the names of its columns, with the types its stream declares.
    fn row(&self, input: usize, row: &Row) -> Value {
        Value::Map(self.streams.get(input).map_or_else(|| row.all().clone(), |stream| stream.map_of(row)))
    }

    fn watermark(&self, watermark: &Watermark) -> Value {
        list([
            list(watermark.greatest.iter().map(|greatest| Value::from(*greatest))),
            Value::Int(watermark.last),
            self.tuples(&watermark.waiting),
        ])
    }

    fn tuples<'t>(&self, tuples: impl IntoIterator<Item = &'t Tuple>) -> Value {
        list(tuples.into_iter().map(|tuple| self.tuple(tuple)))
    }

    fn tuple(&self, tuple: &Tuple) -> Value {
        let row = &tuple.row;
        let meta = row.meta.as_ref().map_or(Value::Nil, |meta| Value::Map(meta.clone()));
        let analytic = list(tuple.analytic.iter().cloned());
        list([
            self.row(tuple.input, row),
            Value::Int(tuple.input as i64),
            Value::Int(row.at),
            Value::from(row.event),
            meta,
            analytic,
        ])
    }

    fn collection(&self, collection: &Collection) -> Value {
        match collection {
            Collection::Rows(rows) => self.tuples(rows),
            Collection::Groups(groups) => {
                let error = match &groups.error {
                    None => list([]),
                    Some(GroupError::Key(error)) => list([Value::str(error.to_string())]),
                    Some(GroupError::Aggregate(index, error)) => {
                        list([Value::str(error.to_string()), Value::Int(*index as i64)])
                    }
                };
                let groups = list(groups.list.iter().map(|group| {
                    let aggregates = list(group.aggregates.iter().map(|aggregate| aggregate.save()));
                    list([Value::str(&*group.key), self.tuple(&group.first), aggregates])
                }));
                list([groups, error])
            }
        }
    }

    fn window(&self, window: &Window) -> Value {
        match window {
            Window::Time(window) => {
                let (open, next_end) = window.parts();
                list([
                    list(open.into_iter().map(|(start, rows)| list([Value::Int(start), self.collection(rows)]))),
                    next_end,
                ])
            }
            Window::Sliding(window) => {
                list([self.tuples(&window.rows), list(window.triggers.iter().map(|trigger| Value::Int(*trigger)))])
            }
            Window::Session(window) => window.open.as_ref().map_or(list([]), |session| {
                list([Value::Int(session.start), Value::Int(session.last), self.collection(&session.rows)])
            }),
            Window::Count(window) => {
                let filling = window
                    .filling
                    .as_ref()
                    .map_or(Value::Nil, |(start, rows)| list([Value::Int(*start), self.collection(rows)]));
                list([Value::Int(window.count as i64), self.tuples(&window.rows), filling])
            }
            Window::State(window) => list(
                window
                    .open
                    .iter()
                    .map(|(key, (start, rows))| list([Value::str(&**key), Value::Int(*start), self.collection(rows)])),
            ),
        }
    }
}

/// Turns values back into rows and groups.
struct Loader<'a> {
    streams: &'a [Arc<Stream>],
    program: Arc<crate::plan::Program>,
    /// Rows run on their own time rather than that of arrival.
    event_time: bool,
    /// When the rule starts again.
    now: i64,
}

impl Loader<'_> {
    fn tuple(&self, saved: &Value) -> Option<Tuple> {
        let [Value::Map(row), Value::Int(input), Value::Int(at), event, meta, Value::Array(analytic)] =
            saved.as_array()?
        else {
            return None;
        };
        let input = usize::try_from(*input).ok()?;
        let mut row = self.streams.get(input)?.row_of(row, *at);
        row.event = event.as_i64();
        row.meta = meta.as_map().cloned();
        let at = if self.event_time { row.event? } else { row.at };
        Some(Tuple { row: Arc::new(row), at, input, analytic: analytic.iter().cloned().collect() })
    }

    fn tuples<C: FromIterator<Tuple>>(&self, saved: &Value) -> Option<C> {
        saved.as_array()?.iter().map(|tuple| self.tuple(tuple)).collect()
    }

    fn collection(&self, saved: &Value) -> Option<Collection> {
        if self.program.needs_rows() {
            return self.tuples(saved).map(Collection::Rows);
        }
        let [Value::Array(list), error] = saved.as_array()? else { return None };
        let mut groups = Groups::default();
        groups.error = match error.as_array()? {
            [] => None,
            [Value::Str(text)] => Some(GroupError::Key(Error::call(&**text))),
            [Value::Str(text), Value::Int(index)] if (0..self.program.aggregates.len() as i64).contains(index) => {
                Some(GroupError::Aggregate(usize::try_from(*index).ok()?, Error::call(&**text)))
            }
            _ => return None,
        };
        for group in list.iter() {
            let [Value::Str(key), first, Value::Array(states)] = group.as_array()? else { return None };
            let mut aggregates = fresh(&self.program.aggregates);
            aggregates
                .iter_mut()
                .zip(states.iter())
                .for_each(|(aggregate, state)| Aggregate::load(&mut **aggregate, state));
            groups.insert(Group { key: (**key).into(), first: self.tuple(first)?, aggregates });
        }
        Some(Collection::Groups(groups))
    }

    fn watermark(&self, watermark: &mut Watermark, saved: &Value) -> Option<()> {
        let [Value::Array(greatest), Value::Int(last), waiting] = saved.as_array()? else { return None };
        watermark.greatest = greatest.iter().map(Value::as_i64).collect();
        watermark.greatest.resize(self.streams.len(), None);
        watermark.last = *last;
        watermark.waiting = self.tuples(waiting)?;
        Some(())
    }

    fn window(&self, window: &mut Window, saved: &Value) -> Option<()> {
        let parts = saved.as_array()?;
        match (window, parts) {
            (Window::Time(window), [Value::Array(open), next_end]) => {
                let entry = |entry: &Value| match entry.as_array()? {
                    [Value::Int(start), rows] => Some((*start, self.collection(rows)?)),
                    _ => None,
                };
                window.restore(
                    open.iter().map(entry).collect::<Option<_>>()?,
                    next_end,
                    (!self.event_time).then_some(self.now),
                );
            }
            (Window::Sliding(window), [rows, Value::Array(triggers)]) => {
                window.rows = self.tuples(rows)?;
                window.triggers = triggers.iter().filter_map(Value::as_i64).collect();
            }
            (Window::Session(window), [Value::Int(start), Value::Int(last), rows]) => {
                window.open = Some(Session { start: *start, last: *last, rows: self.collection(rows)? });
            }
            (Window::Session(_), []) => {}
            (Window::Count(window), [Value::Int(count), rows, filling]) => {
                window.count = u64::try_from(*count).ok()?;
                window.rows = self.tuples(rows)?;
                if let Some([Value::Int(start), rows]) = filling.as_array() {
                    window.filling = Some((*start, self.collection(rows)?));
                }
            }
            (Window::State(window), entries) => {
                for entry in entries {
                    let [Value::Str(key), Value::Int(start), rows] = entry.as_array()? else { return None };
                    window.open.insert((**key).into(), (*start, self.collection(rows)?));
                }
            }
            _ => return None,
        }
        Some(())
    }
}
