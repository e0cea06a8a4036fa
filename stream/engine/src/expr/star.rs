//! `*` as an argument over inputs that have a schema: of a message only the declared columns are in it, as its decoder keeps only
//! those; a row that was decoded elsewhere has all it came with.

use std::sync::Arc;

use edgeward_functions::{Map, Value};

use super::Expr;
use crate::Row;
use crate::row::Origin;

/// One input of a `*`.
#[derive(Debug, Clone)]
pub(crate) struct Star {
    /// Its side of a join.
    pub(crate) side: Option<usize>,
    /// Its declared columns and their slots; none when it is schemaless.
    pub(crate) columns: Box<[(Arc<str>, usize)]>,
}

impl Expr {
    /// Whether the value is a row with all its columns.
    pub(crate) fn is_star(&self) -> bool {
        matches!(self, Expr::All(_) | Expr::Star(_))
    }

    /// Whether it has all columns of an input.
    pub(crate) fn is_star_of(&self, input: usize) -> bool {
        match self {
            Expr::All(side) => side.is_none_or(|side| side == input),
            Expr::Star(stars) => stars.iter().any(|star| star.side.unwrap_or(0) == input),
            _ => false,
        }
    }
}

/// All columns of a row; of joined rows the earlier one wins on equal names.
pub(super) fn whole(stars: &[Star], row: &Row) -> Value {
    let mut all = Map::new();
    for star in stars.iter().rev() {
        match star.side {
            None => star.put(row, &mut all),
            Some(side) => row.side(side).into_iter().for_each(|row| star.put(row, &mut all)),
        }
    }
    Value::map(all)
}

impl Star {
    fn put(&self, row: &Row, all: &mut Map) {
        if self.columns.is_empty() || matches!(row.origin, Origin::Map(_)) {
            all.extend(row.all().iter().map(|(name, value)| (name.clone(), value.clone())));
            return;
        }
        let there = self.columns.iter().map(|(name, slot)| (name, row.get(*slot))).filter(|(_, value)| !value.is_nil());
        all.extend(there.map(|(name, value)| (name.clone(), value.clone())));
    }
}
