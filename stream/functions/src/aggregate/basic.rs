//! count, sum, avg, min, max.

use edgeward_sql::ast::BinaryOp;

use super::{Aggregate, required, unfit};
use crate::error::Result;
use crate::registry::Args;
use crate::{Value, ops};

/// `count(x)`: rows where x is not nil; `count(*)` gets a non-nil argument for every row.
#[derive(Debug, Default)]
pub(super) struct Count(i64);

impl Aggregate for Count {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.0 += i64::from(!args[0].is_nil());
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(Value::Int(self.0))
    }

    fn save(&self) -> Value {
        Value::Int(self.0)
    }

    fn load(&mut self, state: &Value) {
        self.0 = state.as_i64().unwrap_or_default();
    }
}

/// A value among integers: whole floats are taken too.
fn whole(name: &str, value: &Value) -> Result<i64> {
    match value {
        Value::Int(int) => Ok(*int),
        Value::Float(float) if float.fract() == 0.0 => Ok(*float as i64),
        other => Err(required(name, "int64", other)),
    }
}

/// `sum(x)`: the first non-nil value decides between int and float.
#[derive(Debug)]
pub(super) struct Sum {
    name: &'static str,
    total: Value,
}

impl Sum {
    pub(super) fn new(name: &'static str) -> Sum {
        Sum { name, total: Value::Nil }
    }
}

impl Aggregate for Sum {
    #[inline]
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.total = match (&self.total, &*args[0]) {
            (_, Value::Nil) => return Ok(()),
            (Value::Float(total), Value::Float(float)) => Value::Float(total + float),
            (Value::Int(total), value) => Value::Int(total.wrapping_add(whole(self.name, value)?)),
            (Value::Nil, first @ (Value::Int(_) | Value::Float(_))) => first.clone(),
            (Value::Nil, other) => return Err(unfit(self.name, other)),
            (_, other) => return Err(required(self.name, "float64", other)),
        };
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(self.total.clone())
    }

    fn save(&self) -> Value {
        self.total.clone()
    }

    fn load(&mut self, state: &Value) {
        self.total = state.clone();
    }
}

/// `avg(x)`: of integers it is an integer, truncated.
#[derive(Debug)]
pub(super) struct Avg {
    sum: Sum,
    count: i64,
}

impl Default for Avg {
    fn default() -> Avg {
        Avg { sum: Sum::new("avg"), count: 0 }
    }
}

impl Aggregate for Avg {
    #[inline]
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.count += i64::from(!args[0].is_nil());
        self.sum.add(args)
    }

    fn result(&self) -> Result<Value> {
        Ok(match &self.sum.total {
            Value::Int(total) => Value::Int(total / self.count.max(1)),
            Value::Float(total) => Value::Float(total / self.count as f64),
            _ => Value::Nil,
        })
    }

    fn save(&self) -> Value {
        Value::array(vec![self.sum.total.clone(), Value::Int(self.count)])
    }

    fn load(&mut self, state: &Value) {
        if let Some([total, Value::Int(count)]) = state.as_array() {
            self.sum.total = total.clone();
            self.count = *count;
        }
    }
}

/// `min(x)` and `max(x)` of numbers, texts or times; the first non-nil value decides which.
#[derive(Debug)]
pub(super) struct Extreme {
    name: &'static str,
    replace: BinaryOp,
    best: Value,
}

impl Extreme {
    pub(super) fn min() -> Extreme {
        Extreme { name: "min", replace: BinaryOp::Lt, best: Value::Nil }
    }

    pub(super) fn max() -> Extreme {
        Extreme { name: "max", replace: BinaryOp::Gt, best: Value::Nil }
    }
}

impl Aggregate for Extreme {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        let value = match (&self.best, &*args[0]) {
            (_, Value::Nil) => return Ok(()),
            (Value::Nil, first @ (Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Time(_))) => {
                self.best = first.clone();
                return Ok(());
            }
            (Value::Nil, other) => return Err(unfit(self.name, other)),
            (Value::Int(_), value) => Value::Int(whole(self.name, value)?),
            (Value::Float(_), value @ Value::Float(_))
            | (Value::Str(_), value @ Value::Str(_))
            | (Value::Time(_), value @ Value::Time(_)) => value.clone(),
            (best, other) => return Err(required(self.name, best.type_name(), other)),
        };
        if ops::compare(self.replace, &value, &self.best)? {
            self.best = value;
        }
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(self.best.clone())
    }

    fn save(&self) -> Value {
        self.best.clone()
    }

    fn load(&mut self, state: &Value) {
        self.best = state.clone();
    }
}
