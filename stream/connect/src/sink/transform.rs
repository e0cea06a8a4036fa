//! What of the rows is sent: `dataTemplate`, then `dataField`, `fields` and `excludeFields`.

use std::sync::Arc;

use edgeward_engine::json::{Numbers, complaint, parse};
use edgeward_engine::{Emission, Map, OutRow, SinkError, Value};
use edgeward_functions::format::GoText;
use edgeward_template::Template;

use super::SinkOptions;

/// What is sent of a row or of all rows.
pub(super) enum Sent {
    /// To be written in the sink's format.
    Value(Value),
    /// What the template wrote, sent as it is.
    Text(Vec<u8>),
}

/// A row for a sink whose unit is the row.
pub(crate) struct SentRow {
    /// All columns there are: for keys, times and templates.
    pub(crate) row: Arc<Map>,
    /// The columns that are stored.
    pub(crate) fields: Arc<Map>,
}

impl SentRow {
    /// What templates of properties see.
    pub(crate) fn data(&self) -> Value {
        Value::Map(self.row.clone())
    }
}

impl SinkOptions {
    /// Whether rows are sent as they are, each with all its columns.
    pub(crate) fn sends_rows_unchanged(&self) -> bool {
        self.data_template.is_none()
            && self.data_field.is_none()
            && self.fields.is_empty()
            && self.exclude_fields.is_empty()
    }

    /// What templates of properties see of a payload: its row with `sendSingle`, else all rows.
    pub(crate) fn data(&self, emission: &Emission, index: usize) -> Value {
        match self.send_single {
            true => Value::Map(emission.rows.get(index).map_or_else(Arc::default, OutRow::to_map)),
            false => all(&emission.rows),
        }
    }

    /// The rows of an emission for a sink whose unit is the row. Without `sendSingle` a template sees all rows; what it
    /// writes must be JSON, an object or an array of objects.
    ///
    /// # Errors
    /// The template fails, or something else than rows comes out.
    pub(crate) fn rows(&self, emission: &Emission) -> Result<Vec<SentRow>, SinkError> {
        let mut rows = Vec::with_capacity(emission.rows.len());
        if self.data_template.is_none() {
            for row in &emission.rows {
                rows.push(self.sent_row(row.to_map())?);
            }
            return Ok(rows);
        }
        let count = if self.send_single { emission.rows.len() } else { 1 };
        for index in 0..count {
            match self.decoded(&self.data(emission, index))? {
                Value::Map(row) => rows.push(self.sent_row(row)?),
                Value::Array(items) => {
                    for item in items.iter() {
                        let row = item.as_map().cloned().ok_or_else(no_row)?;
                        rows.push(self.sent_row(row)?);
                    }
                }
                _ => return Err(no_row()),
            }
        }
        Ok(rows)
    }

    fn sent_row(&self, row: Arc<Map>) -> Result<SentRow, SinkError> {
        let fields = match self.selects() {
            false => row.clone(),
            true => self.select_all(Value::Map(row.clone())).as_map().cloned().ok_or_else(no_row)?,
        };
        Ok(SentRow { row, fields })
    }

    /// What is sent of `data`, a row or the array of all rows. `as_text`: what a template writes needs no decoding.
    pub(super) fn transform(&self, data: Value, as_text: bool) -> Result<Sent, SinkError> {
        match &self.data_template {
            Some(template) if as_text && !self.selects() => {
                let mut text = Vec::new();
                write(template, &data, &mut text).map(|()| Sent::Text(text))
            }
            Some(_) => self.decoded(&data).map(|value| Sent::Value(self.select_all(value))),
            None => Ok(Sent::Value(self.select_all(data))),
        }
    }

    /// What the template writes about `data`, read as JSON.
    fn decoded(&self, data: &Value) -> Result<Value, SinkError> {
        let Some(template) = &self.data_template else { return Ok(data.clone()) };
        let mut text = Vec::new();
        write(template, data, &mut text)?;
        parse(&text, Numbers::Float).map_err(|error| {
            let why = complaint(&text).unwrap_or_else(|| error.to_string());
            let text = shortened(String::from_utf8_lossy(&text).into_owned());
            SinkError::Rejected(format!("fail to decode data {text} after applying dataTemplate for error {why}"))
        })
    }

    fn selects(&self) -> bool {
        self.data_field.is_some() || !self.fields.is_empty() || !self.exclude_fields.is_empty()
    }

    /// Takes `dataField` (of an array: of its first row), then the columns.
    fn select_all(&self, value: Value) -> Value {
        let Some(field) = &self.data_field else { return self.select(value) };
        let of = match value.as_array().map(|rows| rows.first().cloned()) {
            Some(None) => return value,
            Some(Some(first)) => first,
            None => value,
        };
        self.select(of.as_map().and_then(|map| map.get(field.as_str())).cloned().unwrap_or_default())
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

/// All rows as one value.
pub(super) fn all(rows: &[OutRow]) -> Value {
    Value::array(rows.iter().map(|row| Value::Map(row.to_map())).collect())
}

/// Runs a template over `data`.
fn write(template: &Template, data: &Value, out: &mut Vec<u8>) -> Result<(), SinkError> {
    template.execute(data, out).map_err(|error| {
        let data = shortened(GoText(data).to_string());
        SinkError::Rejected(format!("fail to encode data {data} with dataTemplate for error {error}"))
    })
}

/// At most a kilobyte of a text that stands in an error.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(1024));
    text
}

fn no_row() -> SinkError {
    SinkError::Rejected("a row needs columns: dataTemplate and dataField must give JSON objects".to_owned())
}
