//! The memory sink of a case with the common properties that shape messages.

use std::sync::Arc;

use edgeward_functions::{Map, Value};
use serde_json::{Map as Object, Value as Json};

use crate::{Emission, OutRow};

/// What a sink got in one message.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Rows(Vec<Value>),
    Text(String),
}

/// Common sink properties.
#[derive(Debug, Default)]
pub(super) struct Shape {
    single: bool,
    omit_if_empty: bool,
    data_field: Option<String>,
    fields: Vec<String>,
    exclude: Vec<String>,
}

impl Shape {
    /// Reads the properties; those that only matter to real sinks are ignored.
    ///
    /// # Errors
    /// A property of another type, or one that a case cannot run.
    pub(super) fn read(props: &Object<String, Json>) -> Result<Shape, String> {
        let flag = |key: &str| match props.get(key) {
            None | Some(Json::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("sink property {key} must be a boolean")),
        };
        let list = |key: &str| match props.get(key) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|_| format!("sink property {key} must be a list of names")),
        };
        let text =
            |key: &str| props.get(key).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_string);
        if text("dataTemplate").is_some() {
            return Err("dataTemplate cannot be run yet".into());
        }
        if let Some(format) = text("format").filter(|format| !format.eq_ignore_ascii_case("json")) {
            return Err(format!("sink format {format} cannot be run yet"));
        }
        Ok(Shape {
            single: flag("sendSingle")?,
            omit_if_empty: flag("omitIfEmpty")?,
            data_field: text("dataField"),
            fields: list("fields")?,
            exclude: list("excludeFields")?,
        })
    }

    /// The messages that an emission becomes.
    pub(super) fn messages(&self, emission: &Emission) -> Vec<Said> {
        let rows: Vec<Value> = emission.rows.iter().map(OutRow::to_map).map(Value::Map).collect();
        if emission.is_error {
            return vec![Said::Rows(rows)];
        }
        if rows.is_empty() && (self.omit_if_empty || self.single) {
            return Vec::new();
        }
        if self.single {
            return rows.into_iter().map(|row| said(self.select(self.data(row)))).collect();
        }
        let value = match (&self.data_field, rows.first()) {
            (Some(_), Some(first)) => self.data(first.clone()),
            _ => Value::array(rows),
        };
        vec![said(self.select(value))]
    }

    fn data(&self, row: Value) -> Value {
        match &self.data_field {
            Some(field) => row.as_map().and_then(|map| map.get(field.as_str())).cloned().unwrap_or_default(),
            None => row,
        }
    }

    fn select(&self, value: Value) -> Value {
        match value {
            value if self.fields.is_empty() && self.exclude.is_empty() => value,
            Value::Map(map) => Value::map(self.columns(&map)),
            Value::Array(items) => Value::array(items.iter().map(|item| self.select(item.clone())).collect()),
            other => other,
        }
    }

    /// A field the row does not have is sent as null, as eKuiper does.
    fn columns(&self, map: &Map) -> Map {
        if self.fields.is_empty() {
            let kept = map.iter().filter(|(key, _)| !self.exclude.iter().any(|field| **field == ***key));
            return kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        let column = |field: &String| (Arc::from(field.as_str()), map.get(field.as_str()).cloned().unwrap_or_default());
        self.fields.iter().map(column).collect()
    }
}

/// A message is a list of rows; a single value is a list of one.
fn said(value: Value) -> Said {
    match value {
        Value::Array(rows) => Said::Rows(rows.to_vec()),
        row => Said::Rows(vec![row]),
    }
}
