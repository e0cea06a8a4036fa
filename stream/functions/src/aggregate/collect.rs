//! collect, merge_agg, last_value, deduplicate. With `*` the engine passes each row as a map.

use std::collections::HashSet;

use super::Aggregate;
use crate::error::Result;
use crate::format::GoText;
use crate::registry::Args;
use crate::{Map, Value};

/// `collect(x|*)`: all values, nil included.
#[derive(Debug, Default)]
pub(super) struct Collect(Vec<Value>);

impl Aggregate for Collect {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.0.push(args[0].clone().into_owned());
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(Value::array(self.0.clone()))
    }

    fn save(&self) -> Value {
        Value::array(self.0.clone())
    }

    fn load(&mut self, state: &Value) {
        self.0 = state.as_array().unwrap_or_default().to_vec();
    }
}

/// `merge_agg(x|*)`: shallow merge of maps, later wins; anything else is ignored.
#[derive(Debug, Default)]
pub(super) struct Merge(Map);

impl Aggregate for Merge {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        if let Value::Map(map) = &*args[0] {
            self.0.extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(Value::map(self.0.clone()))
    }

    fn save(&self) -> Value {
        Value::map(self.0.clone())
    }

    fn load(&mut self, state: &Value) {
        self.0 = state.as_map().map(|map| (**map).clone()).unwrap_or_default();
    }
}

/// `last_value(x|*, ignoreNull)`.
#[derive(Debug, Default)]
pub(super) struct Last(Value);

impl Aggregate for Last {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        let ignore = matches!(&*args[1], Value::Bool(true));
        if !(ignore && args[0].is_nil()) {
            self.0 = args[0].clone().into_owned();
        }
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(self.0.clone())
    }

    fn save(&self) -> Value {
        self.0.clone()
    }

    fn load(&mut self, state: &Value) {
        self.0 = state.clone();
    }
}

/// `deduplicate(x, all)`: the rows with a new value of x; or, without `all`, the last row if its value is new.
///
/// The engine passes (x, all, row).
#[derive(Debug, Default)]
pub(super) struct Deduplicate {
    seen: HashSet<String>,
    rows: Vec<Value>,
    /// Whether the last row was new.
    fresh: bool,
    all: bool,
}

impl Aggregate for Deduplicate {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.all = matches!(&*args[1], Value::Bool(true));
        self.fresh = self.seen.insert(GoText(&args[0]).to_string());
        if self.fresh {
            self.rows.push(args.get(2).map(|row| row.clone().into_owned()).unwrap_or_default());
        }
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        Ok(if self.all {
            Value::array(self.rows.clone())
        } else {
            Value::array(self.rows.last().filter(|_| self.fresh).cloned().into_iter().collect())
        })
    }

    fn save(&self) -> Value {
        let seen = self.seen.iter().map(|key| Value::str(key.as_str())).collect();
        Value::array(vec![
            Value::array(seen),
            Value::array(self.rows.clone()),
            Value::Bool(self.fresh),
            Value::Bool(self.all),
        ])
    }

    fn load(&mut self, state: &Value) {
        if let Some([Value::Array(seen), Value::Array(rows), Value::Bool(fresh), Value::Bool(all)]) = state.as_array() {
            self.seen = seen.iter().filter_map(|key| key.as_str().map(str::to_string)).collect();
            self.rows = rows.to_vec();
            self.fresh = *fresh;
            self.all = *all;
        }
    }
}
