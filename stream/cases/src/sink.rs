//! The memory sink of a case with the common properties that shape messages.

use std::sync::Arc;

use edgeward_engine::{Emission, OutRow};
use edgeward_functions::json::{Numbers, parse};
use edgeward_functions::{Map, Value};
use edgeward_template::Template;
use serde_json::{Map as Object, Value as Json};

/// What a sink got in one message.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Rows(Vec<Value>),
    Text(String),
}

/// Common sink properties.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    single: bool,
    omit_if_empty: bool,
    data_field: Option<String>,
    fields: Vec<String>,
    exclude: Vec<String>,
    template: Option<Template>,
}

impl Shape {
    /// Reads the properties; those that only matter to real sinks are ignored.
    ///
    /// # Errors
    /// A property of another type, or one that a case cannot run.
    pub(crate) fn read(props: &Object<String, Json>) -> Result<Shape, String> {
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
        if let Some(format) = text("format").filter(|format| !format.eq_ignore_ascii_case("json")) {
            return Err(format!("sink format {format} cannot be run yet"));
        }
        Ok(Shape {
            single: flag("sendSingle")?,
            omit_if_empty: flag("omitIfEmpty")?,
            data_field: text("dataField"),
            fields: list("fields")?,
            exclude: list("excludeFields")?,
            template: text("dataTemplate").map(|template| parse_template(&template)).transpose()?,
        })
    }

    /// The messages that an emission becomes, or why one cannot be made.
    pub(crate) fn messages(&mut self, emission: &Emission) -> Vec<Result<Said, String>> {
        let rows: Vec<Value> = emission.rows.iter().map(OutRow::to_map).map(Value::Map).collect();
        if emission.is_error {
            return vec![Ok(Said::Rows(rows))];
        }
        if rows.is_empty() && (self.omit_if_empty || self.single) {
            return Vec::new();
        }
        if self.single {
            return rows.into_iter().map(|row| self.message(row)).collect();
        }
        if self.template.is_some() {
            return vec![self.message(Value::array(rows))];
        }
        let value = match (&self.data_field, rows.first()) {
            (Some(_), Some(first)) => self.data(first.clone()),
            _ => Value::array(rows),
        };
        vec![Ok(said(self.select(value)))]
    }

    /// What is sent of one value: through the template if there is one, then selected from.
    fn message(&self, value: Value) -> Result<Said, String> {
        let Some(template) = &self.template else { return Ok(said(self.select(self.data(value)))) };
        let mut out = Vec::new();
        template.execute(&value, &mut out).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&out).into_owned();
        match parse(text.as_bytes(), Numbers::WholeAsInt) {
            Ok(value) => Ok(said(self.select(self.data(value)))),
            Err(_) => Ok(Said::Text(text)),
        }
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

fn parse_template(text: &str) -> Result<Template, String> {
    Template::parse("sink", text).map_err(|error| format!("Template Invalid: {error}"))
}

/// A message is a list of rows; a single value is a list of one.
fn said(value: Value) -> Said {
    match value {
        Value::Array(rows) => Said::Rows(rows.to_vec()),
        row => Said::Rows(vec![row]),
    }
}
