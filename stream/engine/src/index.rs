//! An index over the conditions of the rules of one stream, so that a row costs as much as it has matches, not as there are rules.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use edgeward_functions::Value;
use edgeward_sql::ast::BinaryOp;

use crate::Row;
use crate::expr::Expr;

/// Rules by what their condition compares first: a column with a number or a text. All others are always looked at.
#[derive(Debug, Default)]
pub(crate) struct Index {
    always: BTreeSet<usize>,
    columns: Vec<(usize, Column)>,
}

/// The rules whose condition compares one column, by what they compare it with.
#[derive(Debug, Default)]
struct Column {
    /// `column > number` and `>=`.
    above: BTreeSet<(Number, usize)>,
    /// `column < number` and `<=`.
    below: BTreeSet<(Number, usize)>,
    /// The least of `above` and the greatest of `below`: most rows meet none of them.
    bounds: (Option<f64>, Option<f64>),
    /// `column = number`.
    equal: BTreeSet<(Number, usize)>,
    /// `column = text`.
    texts: HashMap<Arc<str>, BTreeSet<usize>>,
}

/// A number to sort by; none is NaN.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

/// Where a condition stands in the lists of its column.
enum Place {
    Above(Number),
    Below(Number),
    Equal(Number),
    Text(Arc<str>),
}

impl Index {
    /// Takes in the rule of a position.
    pub(crate) fn insert(&mut self, position: usize, condition: Option<&Expr>) {
        let Some((slot, place)) = condition.and_then(place) else {
            self.always.insert(position);
            return;
        };
        let at = self.columns.iter().position(|(known, _)| *known == slot).unwrap_or_else(|| {
            self.columns.push((slot, Column::default()));
            self.columns.len() - 1
        });
        let column = &mut self.columns[at].1;
        match place {
            Place::Above(number) => column.above.insert((number, position)),
            Place::Below(number) => column.below.insert((number, position)),
            Place::Equal(number) => column.equal.insert((number, position)),
            Place::Text(text) => column.texts.entry(text).or_default().insert(position),
        };
        column.rebound();
    }

    /// Takes out a rule that was taken in with this condition.
    pub(crate) fn remove(&mut self, position: usize, condition: Option<&Expr>) {
        let Some((slot, place)) = condition.and_then(place) else {
            self.always.remove(&position);
            return;
        };
        let Some(at) = self.columns.iter().position(|(known, _)| *known == slot) else { return };
        let column = &mut self.columns[at].1;
        match place {
            Place::Above(number) => _ = column.above.remove(&(number, position)),
            Place::Below(number) => _ = column.below.remove(&(number, position)),
            Place::Equal(number) => _ = column.equal.remove(&(number, position)),
            Place::Text(text) => column.forget(&text, position),
        }
        column.rebound();
        if column.is_empty() {
            self.columns.swap_remove(at);
        }
    }

    /// Adds the positions of the rules that may want the row: every rule that does, and few others. The rule's own condition decides.
    #[inline]
    pub(crate) fn select(&self, row: &Row, wanted: &mut Vec<usize>) {
        if !self.always.is_empty() {
            wanted.extend(&self.always);
        }
        for (slot, column) in &self.columns {
            column.select(row.get(*slot), wanted);
        }
    }
}

impl Column {
    fn rebound(&mut self) {
        self.bounds = (self.above.first().map(|(least, _)| least.0), self.below.last().map(|(greatest, _)| greatest.0));
    }

    fn is_empty(&self) -> bool {
        self.above.is_empty() && self.below.is_empty() && self.equal.is_empty() && self.texts.is_empty()
    }

    fn forget(&mut self, text: &str, position: usize) {
        if let Some(positions) = self.texts.get_mut(text) {
            positions.remove(&position);
            if positions.is_empty() {
                self.texts.remove(text);
            }
        }
    }

    #[inline]
    fn select(&self, value: &Value, wanted: &mut Vec<usize>) {
        match value {
            // A comparison with nil is false.
            Value::Nil => {}
            Value::Float(float) => self.number(*float, wanted),
            // Beyond 2^53 a float no longer tells integers apart.
            Value::Int(int) if int.unsigned_abs() < 1 << 53 => self.number(*int as f64, wanted),
            Value::Int(_) => {
                self.numbers(wanted);
                self.texts(wanted);
            }
            Value::Str(text) => {
                self.numbers(wanted);
                wanted.extend(self.texts.get(text).into_iter().flatten());
            }
            _ => {
                self.numbers(wanted);
                self.texts(wanted);
            }
        }
    }

    #[inline]
    fn number(&self, value: f64, wanted: &mut Vec<usize>) {
        if self.bounds.0.is_some_and(|least| least <= value) {
            wanted.extend(self.above.iter().take_while(|(number, _)| number.0 <= value).map(|(_, position)| position));
        }
        if self.bounds.1.is_some_and(|greatest| greatest >= value) {
            let met = self.below.iter().rev().take_while(|(number, _)| number.0 >= value);
            wanted.extend(met.map(|(_, position)| position));
        }
        if !self.equal.is_empty() {
            let same = (Number::new(value), 0)..=(Number::new(value), usize::MAX);
            wanted.extend(self.equal.range(same).map(|(_, position)| position));
        }
        if !self.texts.is_empty() {
            self.texts(wanted);
        }
    }

    /// Those that compare with a number: the value is none and they must say so.
    fn numbers(&self, wanted: &mut Vec<usize>) {
        wanted.extend(self.above.iter().chain(&self.below).chain(&self.equal).map(|(_, position)| position));
    }

    /// Those that compare with a text: the value is none and they must say so.
    fn texts(&self, wanted: &mut Vec<usize>) {
        wanted.extend(self.texts.values().flatten());
    }
}

/// The column and place of a condition by its first comparison: where that is false, the rest of an AND is not looked at.
fn place(condition: &Expr) -> Option<(usize, Place)> {
    match condition {
        Expr::And(sides) => place(&sides.0),
        Expr::SlotNumber(op, slot, number, _) => {
            let number = Number::new(*number);
            let place = match op {
                BinaryOp::Gt | BinaryOp::Ge => Place::Above(number),
                BinaryOp::Lt | BinaryOp::Le => Place::Below(number),
                BinaryOp::Eq => Place::Equal(number),
                _ => return None,
            };
            Some((*slot, place))
        }
        Expr::Binary(BinaryOp::Eq, sides) => match &**sides {
            (Expr::Slot(slot), Expr::Const(Value::Str(text))) => Some((*slot, Place::Text(text.clone()))),
            _ => None,
        },
        _ => None,
    }
}

impl Number {
    /// Both zeros are the same number.
    fn new(number: f64) -> Number {
        Number(number + 0.0)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}
