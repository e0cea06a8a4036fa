//! The conditions of JSONPath filters: `@.a > 1 && (@.b == "x" || !@.c) && @.d =~ "^y"`.

use std::cmp::Ordering;

use super::json_path::{Path, Reader};
use crate::Value;
use crate::format::plain_text;

/// Most operands in the conditions of a path.
const MAX_OPERANDS: usize = 64;

/// An expression of a filter.
#[derive(Debug, PartialEq)]
pub(super) enum Filter {
    Literal(Value),
    /// A path from the item, or from the root.
    Item(Path),
    Root(Path),
    Not(Box<Filter>),
    Negate(Box<Filter>),
    Binary(&'static str, Box<(Filter, Filter)>),
}

/// Operators by precedence; longer ones before their beginnings.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", "<=", ">=", "=~", "!~", "<", ">"], &["+", "-"], &["*", "/", "%"]];

impl Reader<'_> {
    /// A condition; `level` is the loosest operator it may have.
    pub(super) fn condition(&mut self, level: usize) -> Option<Filter> {
        let Some(operators) = LEVELS.get(level) else { return self.operand() };
        let mut left = self.condition(level + 1)?;
        loop {
            self.blank();
            let Some(operator) = operators.iter().find(|operator| self.eat(operator)) else { return Some(left) };
            left = Filter::Binary(operator, Box::new((left, self.condition(level + 1)?)));
        }
    }

    fn operand(&mut self) -> Option<Filter> {
        self.operands += 1;
        if self.operands > MAX_OPERANDS {
            return None;
        }
        self.blank();
        if self.eat("!") {
            return self.operand().map(|operand| Filter::Not(Box::new(operand)));
        }
        if self.eat("-") {
            return self.operand().map(|operand| Filter::Negate(Box::new(operand)));
        }
        if self.eat("(") {
            let inner = self.condition(0)?;
            self.blank();
            return self.eat(")").then_some(inner);
        }
        if self.eat("@") {
            return self.steps().map(Filter::Item);
        }
        if self.eat("$") {
            return self.steps().map(Filter::Root);
        }
        if let Some(text) = self.quoted() {
            return Some(Filter::Literal(text.into()));
        }
        let end = self
            .rest
            .find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '.' | '_')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Filter::Literal(match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "nil" => Value::Nil,
            number => Value::Float(number.parse().ok()?),
        }))
    }
}

impl Filter {
    /// The value for an item; none if something is missing or does not go together, which makes the filter fail.
    pub(super) fn value(&self, item: &Value, root: &Value) -> Option<Value> {
        match self {
            Filter::Literal(value) => Some(value.clone()),
            Filter::Item(path) => path.within(item, root).ok(),
            Filter::Root(path) => path.within(root, root).ok(),
            Filter::Not(inner) => truth(&inner.value(item, root)?).map(|truth| Value::Bool(!truth)),
            Filter::Negate(inner) => inner.value(item, root)?.as_f64().map(|number| Value::Float(-number)),
            Filter::Binary(operator, sides) => {
                let left = sides.0.value(item, root)?;
                match (*operator, truth(&left)) {
                    ("||", Some(true)) => return Some(Value::Bool(true)),
                    ("&&", Some(false)) => return Some(Value::Bool(false)),
                    ("||" | "&&", None) => return None,
                    _ => {}
                }
                let right = sides.1.value(item, root)?;
                apply(operator, &left, &right)
            }
        }
    }
}

fn apply(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    let numbers = left.as_f64().zip(right.as_f64());
    Some(match operator {
        "||" | "&&" => Value::Bool(truth(right)?),
        "==" | "!=" => {
            let equal = numbers.map_or_else(|| left == right, |(left, right)| left == right);
            Value::Bool(equal == (operator == "=="))
        }
        "=~" | "!~" => {
            let regex = crate::regexp::pattern(right.as_str()?).ok()?;
            Value::Bool(regex.is_match(left.as_str()?) == (operator == "=~"))
        }
        "<" | "<=" | ">" | ">=" => {
            let order = match numbers {
                Some((left, right)) => left.partial_cmp(&right)?,
                None => left.as_str()?.cmp(right.as_str()?),
            };
            Value::Bool(match operator {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        "+" if numbers.is_none() => Value::str(format!("{}{}", plain_text(left), plain_text(right))),
        _ => {
            let (left, right) = numbers?;
            Value::Float(match operator {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                "/" => left / right,
                _ => left % right,
            })
        }
    })
}

/// What a value says as a condition: numbers are true unless zero, of texts only `true` and `false` say anything.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::Nil => Some(false),
        Value::Int(_) | Value::Float(_) => Some(value.as_f64() != Some(0.0)),
        Value::Str(text) => match &**text {
            "true" | "TRUE" => Some(true),
            "false" | "FALSE" => Some(false),
            number => number.parse::<f64>().ok().map(|number| number != 0.0),
        },
        _ => None,
    }
}
