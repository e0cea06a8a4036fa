//! An index over the conditions of the rules of one stream, so that a row costs as much as it has matches, not as there are rules.

use std::collections::BTreeMap;

use edgeward_functions::Value;
use edgeward_sql::ast::BinaryOp;

use crate::Row;
use crate::expr::Expr;

/// Rules by what their condition compares. A rule of `column op number` is found by its number; all others are always looked at.
#[derive(Debug, Default)]
pub(crate) struct Index {
    always: Vec<usize>,
    columns: BTreeMap<usize, Column>,
}

/// The rules whose condition compares one column, sorted by the number compared with.
#[derive(Debug, Default)]
struct Column {
    /// `column > number` and `>=`, ascending: the matches are a head of the list.
    above: Vec<(f64, usize)>,
    /// `column < number` and `<=`, descending: the matches are a head of the list.
    below: Vec<(f64, usize)>,
}

impl Index {
    /// An index over the conditions of rules, by position.
    pub(crate) fn new<'a>(conditions: impl Iterator<Item = Option<&'a Expr>>) -> Index {
        let mut index = Index::default();
        for (position, condition) in conditions.enumerate() {
            match condition {
                Some(Expr::SlotNumber(
                    op @ (BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Lt | BinaryOp::Le),
                    slot,
                    number,
                    _,
                )) => {
                    let column = index.columns.entry(*slot).or_default();
                    let list =
                        if matches!(op, BinaryOp::Gt | BinaryOp::Ge) { &mut column.above } else { &mut column.below };
                    list.push((*number, position));
                }
                _ => index.always.push(position),
            }
        }
        for column in index.columns.values_mut() {
            column.above.sort_by(|a, b| a.0.total_cmp(&b.0));
            column.below.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        index
    }

    /// Adds the positions of the rules that may want the row: every rule that does, and few others. The rule's own condition decides.
    pub(crate) fn select(&self, row: &Row, wanted: &mut Vec<usize>) {
        wanted.extend(&self.always);
        for (slot, column) in &self.columns {
            let value = match row.get(*slot) {
                // A comparison with nil is false.
                Value::Nil => continue,
                Value::Float(float) => *float,
                // Beyond 2^53 a float no longer tells integers apart.
                Value::Int(int) if int.unsigned_abs() < 1 << 53 => *int as f64,
                _ => {
                    wanted.extend(column.above.iter().chain(&column.below).map(|(_, position)| position));
                    continue;
                }
            };
            wanted.extend(column.above.iter().take_while(|(number, _)| *number <= value).map(|(_, position)| position));
            wanted.extend(column.below.iter().take_while(|(number, _)| *number >= value).map(|(_, position)| position));
        }
    }
}
