//! `dataField`, `fields` and `excludeFields`.

use std::sync::Arc;

use edgeward_engine::{Map, OutRow, Value};

use super::SinkOptions;

impl SinkOptions {
    /// What is sent of one row.
    pub(crate) fn transform_row(&self, row: &OutRow) -> Value {
        let value = Value::Map(row.to_map());
        self.select(match &self.data_field {
            Some(field) => member(&value, field),
            None => value,
        })
    }

    /// What is sent of all rows together.
    pub(super) fn transform_rows(&self, rows: &[OutRow]) -> Value {
        let value = match (&self.data_field, rows.first()) {
            (Some(field), Some(first)) => member(&Value::Map(first.to_map()), field),
            _ => Value::array(rows.iter().map(|row| Value::Map(row.to_map())).collect()),
        };
        self.select(value)
    }

    fn select(&self, value: Value) -> Value {
        if self.fields.is_empty() && self.exclude_fields.is_empty() {
            return value;
        }
        match value {
            Value::Map(map) => Value::map(self.select_map(&map)),
            Value::Array(items) => Value::array(items.iter().cloned().map(|item| self.select(item)).collect()),
            other => other,
        }
    }

    fn select_map(&self, map: &Map) -> Map {
        if self.fields.is_empty() {
            let kept = map.iter().filter(|(key, _)| !self.exclude_fields.iter().any(|field| **field == ***key));
            return kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        // A field the row does not have is sent as null, as eKuiper does.
        let value = |field: &str| map.get(field).cloned().unwrap_or_default();
        self.fields.iter().map(|field| (Arc::from(field.as_str()), value(field))).collect()
    }
}

fn member(value: &Value, field: &str) -> Value {
    value.as_map().and_then(|map| map.get(field)).cloned().unwrap_or_default()
}
