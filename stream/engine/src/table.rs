//! Tables of a running rule: rows that wait to be joined.

use std::collections::VecDeque;
use std::sync::Arc;

use edgeward_functions::Value;

use crate::{Row, Table, TableKind};

/// The contents of one table input.
#[derive(Debug)]
pub(crate) struct TableRows {
    definition: Table,
    /// Slot of the key column.
    key: Option<usize>,
    pub(crate) rows: VecDeque<Arc<Row>>,
}

impl TableRows {
    pub(crate) fn new(definition: Table, key: Option<usize>) -> TableRows {
        TableRows { definition, key, rows: VecDeque::new() }
    }

    /// Takes a row in: a scan table forgets its oldest beyond RETAIN_SIZE, a lookup table the one of the same key.
    pub(crate) fn put(&mut self, row: Arc<Row>) {
        match (self.definition.kind, self.key) {
            (TableKind::Scan, _) => {
                self.rows.push_back(row);
                while self.rows.len() > self.definition.retain {
                    self.rows.pop_front();
                }
            }
            (TableKind::Lookup, None) => self.rows.push_back(row),
            (TableKind::Lookup, Some(slot)) => {
                let same = |known: &Arc<Row>| same_key(known.get(slot), row.get(slot));
                match self.rows.iter_mut().find(|known| same(known)) {
                    Some(known) => *known = row,
                    None => self.rows.push_back(row),
                }
            }
        }
    }

    /// Goes on with the rows of another run's table if they are not the rule's: those of a lookup table.
    pub(crate) fn keep_lookup(&mut self, old: TableRows) {
        if self.definition.kind == TableKind::Lookup {
            self.rows = old.rows;
        }
    }
}

/// Keys are equal as SQL sees it: the integer 1 is the float 1.
fn same_key(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}
