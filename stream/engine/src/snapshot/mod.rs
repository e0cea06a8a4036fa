//! The state of a rule as bytes, versioned, for checkpoints.
//!
//! A state is a tree of values in the codec of this folder: operators turn themselves into values and back, so that a new field
//! costs one line and an unreadable state is refused as a whole.

pub mod codec;

use std::sync::Arc;

use edgeward_functions::{Aggregate, Map, Value};

use crate::analytic::{AnalyticState, Cell};
use crate::core::Core;
use crate::group::{Collection, Group, Groups, fresh};
use crate::table::TableRows;
use crate::watermark::Watermark;
use crate::window::{Session, Tuple, Window};
use crate::{EngineError, Stream};

/// What a saved state begins with; the last byte is the version.
const HEADER: &[u8] = b"edgeward-rule-state\x01";

impl Core {
    /// All state as bytes.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut state = Map::new();
        state.insert("statement".into(), Value::str(self.statement.clone()));
        state.insert("analytic".into(), save_analytic(&self.analytic));
        state.insert("watermark".into(), self.watermark.as_ref().map_or(Value::Nil, save_watermark));
        state.insert("window".into(), self.window.as_ref().map_or(Value::Nil, save_window));
        let (count, time) = self.context.agg_hits;
        state.insert("agg_hits".into(), list([Value::Int(count), Value::Int(time)]));
        state.insert("tables".into(), save_tables(&self.tables));
        let mut out = HEADER.to_vec();
        codec::write(&Value::map(state), &mut out);
        out
    }

    /// Takes back a state this statement saved.
    ///
    /// # Errors
    /// The bytes are no state of this version, or of another statement.
    pub(crate) fn restore(&mut self, saved: &[u8], streams: &[Arc<Stream>]) -> Result<(), EngineError> {
        let refuse = |why: &str| EngineError::State(why.to_string());
        let body = saved.strip_prefix(HEADER).ok_or_else(|| refuse("unknown format or version"))?;
        let state = codec::read(body).ok_or_else(|| refuse("it is damaged"))?;
        let state = state.as_map().ok_or_else(|| refuse("it is damaged"))?.clone();
        let part = |name: &str| state.get(name).cloned().unwrap_or_default();
        if part("statement").as_str() != Some(&self.statement) {
            return Err(refuse("it belongs to another statement"));
        }
        let loader = Loader { streams, program: self.program.clone(), event_time: self.watermark.is_some() };
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
        Ok(())
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

/// Rows of tables with their times; of an input that is none, nil.
fn save_tables(tables: &[Option<TableRows>]) -> Value {
    let row = |row: &Arc<crate::Row>| list([Value::Map(row.all().clone()), Value::Int(row.at)]);
    list(tables.iter().map(|table| table.as_ref().map_or(Value::Nil, |table| list(table.rows.iter().map(row)))))
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

fn save_watermark(watermark: &Watermark) -> Value {
    list([
        list(watermark.greatest.iter().map(|greatest| Value::from(*greatest))),
        Value::Int(watermark.last),
        list(watermark.waiting.iter().map(save_tuple)),
    ])
}

fn save_tuple(tuple: &Tuple) -> Value {
    let row = &tuple.row;
    let meta = row.meta.as_ref().map_or(Value::Nil, |meta| Value::Map(meta.clone()));
    let analytic = list(tuple.analytic.iter().cloned());
    list([
        Value::Map(row.all().clone()),
        Value::Int(tuple.input as i64),
        Value::Int(row.at),
        Value::from(row.event),
        meta,
        analytic,
    ])
}

fn save_collection(collection: &Collection) -> Value {
    match collection {
        Collection::Rows(rows) => list(rows.iter().map(save_tuple)),
        Collection::Groups(groups) => list(groups.list.iter().map(|group| {
            let aggregates = list(group.aggregates.iter().map(|aggregate| aggregate.save()));
            list([Value::str(&*group.key), save_tuple(&group.first), aggregates])
        })),
    }
}

fn save_window(window: &Window) -> Value {
    match window {
        Window::Time(window) => {
            let (open, next_end) = window.parts();
            list([
                list(open.into_iter().map(|(start, rows)| list([Value::Int(start), save_collection(rows)]))),
                next_end,
            ])
        }
        Window::Sliding(window) => list([
            list(window.rows.iter().map(save_tuple)),
            list(window.triggers.iter().map(|trigger| Value::Int(*trigger))),
        ]),
        Window::Session(window) => window.open.as_ref().map_or(list([]), |session| {
            list([Value::Int(session.start), Value::Int(session.last), save_collection(&session.rows)])
        }),
        Window::Count(window) => {
            let filling = window
                .filling
                .as_ref()
                .map_or(Value::Nil, |(start, rows)| list([Value::Int(*start), save_collection(rows)]));
            list([Value::Int(window.count as i64), list(window.rows.iter().map(save_tuple)), filling])
        }
        Window::State(window) => list(
            window
                .open
                .iter()
                .map(|(key, (start, rows))| list([Value::str(&**key), Value::Int(*start), save_collection(rows)])),
        ),
    }
}

/// Turns values back into rows and groups.
struct Loader<'a> {
    streams: &'a [Arc<Stream>],
    program: Arc<crate::plan::Program>,
    /// Rows run on their own time rather than that of arrival.
    event_time: bool,
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
        let mut groups = Groups::default();
        for group in saved.as_array()? {
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
                window.restore(open.iter().map(entry).collect::<Option<_>>()?, next_end);
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
