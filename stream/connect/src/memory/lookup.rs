//! Tables of what sinks send to topics, kept by key.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_engine::{LookupQuery, LookupSource, Map, SourceError, Value};
use edgeward_functions::format::GoText;
use edgeward_mqtt::Filter;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::MemoryBus;
use super::bus::{Listening, Target};
use crate::rowkind::{RowKind, column};

/// Most rows of one table.
const MAX_ROWS: usize = 1_000_000;

/// The rows of a table by the text of their key.
pub(super) struct Table {
    key: Arc<str>,
    rows: Mutex<HashMap<String, Arc<Map>>>,
}

impl Table {
    /// Takes a row in by the column `key`, or the table's own; the text of an error says why not.
    pub(super) fn change(&self, kind: RowKind, key: Option<&str>, row: Arc<Map>) -> Result<(), String> {
        let key = text(column(&row, key.unwrap_or(&self.key))?);
        let mut rows = self.rows.lock();
        if kind == RowKind::Delete {
            rows.remove(&key);
        } else if rows.len() < MAX_ROWS || rows.contains_key(&key) {
            rows.insert(key, row);
        } else {
            return Err(format!("a memory table holds {MAX_ROWS} rows at most; delete some"));
        }
        Ok(())
    }
}

/// Numbers are equal as SQL sees it: the integer 1 is the float 1.
fn text(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => format!("n{number}"),
        None => format!("{}{}", value.type_name(), GoText(value)),
    }
}

pub(super) struct MemoryLookup {
    table: Arc<Table>,
    _listening: Listening,
}

impl MemoryLookup {
    pub(super) fn new(key: &str, filter: Filter, bus: &Arc<MemoryBus>) -> MemoryLookup {
        let table = Arc::new(Table { key: key.into(), rows: Mutex::default() });
        MemoryLookup { _listening: bus.listen(filter, Target::Table(table.clone())), table }
    }

    fn find(&self, query: LookupQuery<'_>) -> Vec<Arc<Map>> {
        let wanted: Vec<(&Arc<str>, String)> = query.keys.iter().zip(query.values.iter().map(text)).collect();
        let matches = |row: &&Arc<Map>| {
            wanted.iter().all(|(key, wanted)| row.get(&**key).is_some_and(|value| text(value) == *wanted))
        };
        let rows = self.table.rows.lock();
        match wanted.iter().find(|(key, _)| **key == self.table.key) {
            Some((_, key)) => rows.get(key).filter(matches).cloned().into_iter().collect(),
            None => rows.values().filter(matches).cloned().collect(),
        }
    }
}

impl LookupSource for MemoryLookup {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        Box::pin(async move { Ok(self.find(query)) })
    }
}
