//! Properties of `sql`: the database's address, and what to read or write there.

use std::time::Duration;

use edgeward_engine::Value;
use edgeward_functions::time::format;
use jiff::tz::TimeZone;

use super::place::Place;
use crate::template::Template;
use crate::{ConnectError, Props};

/// The source.
pub(super) struct SourceConfig {
    pub(super) place: Place,
    /// Default 10 s.
    pub(super) interval: Duration,
    pub(super) query: Query,
    /// Columns the next query goes on from, with the values of the row read last.
    pub(super) indexes: Vec<Index>,
}

/// What to ask.
pub(super) enum Query {
    /// Rows of a table beyond the indexes, in their order.
    Table {
        /// Name of the table.
        table: String,
        /// Most rows of one answer.
        limit: Option<u64>,
    },
    /// A text in which `{{.index}}` stands for the value of an index.
    Text(Template),
}

/// A column that grows.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) name: String,
    /// The value rows must be beyond; nil reads from the beginning.
    pub(super) value: Value,
    /// Letters of times in queries.
    format: Option<String>,
}

impl Index {
    /// Goes on from a row. A row without the column changes nothing.
    pub(super) fn advance(&mut self, row: &edgeward_engine::Map) {
        if let Some(value) = row.get(self.name.as_str()).filter(|value| !value.is_nil()) {
            self.value = match (value, &self.format) {
                (Value::Time(time), Some(letters)) => {
                    format(*time, letters, &TimeZone::UTC).map_or_else(|_| value.clone(), Value::str)
                }
                _ => value.clone(),
            };
        }
    }
}

impl SourceConfig {
    pub(super) fn read(props: &Props) -> Result<SourceConfig, ConnectError> {
        let interval = props.duration_ms("interval")?.unwrap_or(10_000);
        if interval == 0 {
            return Err(ConnectError::Invalid { key: "interval", reason: "0 is not allowed; use 1ms or more".into() });
        }
        let (query, indexes) = match (section(props, "internalSqlQueryCfg")?, section(props, "templateSqlQueryCfg")?) {
            (Some(own), _) => {
                let table = own.text("table")?.ok_or(ConnectError::Missing("internalSqlQueryCfg.table"))?.to_owned();
                (Query::Table { table, limit: own.number("limit")?.filter(|limit| *limit > 0) }, indexes(&own)?)
            }
            (None, Some(own)) => {
                let text = own.get("templateSql").and_then(|text| text.as_str()).filter(|text| !text.is_empty());
                let text = text.ok_or(ConnectError::Missing("templateSqlQueryCfg.templateSql"))?;
                (Query::Text(Template::parse("templateSql", text)?), indexes(&own)?)
            }
            (None, None) => return Err(ConnectError::Missing("internalSqlQueryCfg or templateSqlQueryCfg")),
        };
        let place = Place::read(props)?;
        Ok(SourceConfig { place, interval: Duration::from_millis(interval), query, indexes })
    }
}

fn section(props: &Props, key: &'static str) -> Result<Option<Props>, ConnectError> {
    match props.get(key) {
        None => Ok(None),
        Some(serde_json::Value::Object(map)) => Ok(Some(Props::new(map.clone()))),
        Some(_) => Err(ConnectError::Invalid { key, reason: "not an object".to_owned() }),
    }
}

/// The list `indexFields`, or the one index of the section itself.
fn indexes(own: &Props) -> Result<Vec<Index>, ConnectError> {
    let bad = || ConnectError::Invalid { key: "indexFields", reason: "not a list of objects".to_owned() };
    match own.get("indexFields") {
        None => Ok(index(own)?.into_iter().collect()),
        Some(serde_json::Value::Array(items)) => {
            let read = |item: &serde_json::Value| {
                let own = Props::new(item.as_object().ok_or_else(bad)?.clone());
                index(&own)?.ok_or(ConnectError::Missing("indexField"))
            };
            items.iter().map(read).collect()
        }
        Some(_) => Err(bad()),
    }
}

fn index(own: &Props) -> Result<Option<Index>, ConnectError> {
    let Some(name) = own.text("indexField")? else { return Ok(None) };
    let value = match own.get("indexValue") {
        None => Value::Nil,
        Some(serde_json::Value::String(text)) => Value::str(text.as_str()),
        Some(serde_json::Value::Number(number)) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Some(_) => return Err(ConnectError::Invalid { key: "indexValue", reason: "not a text or number".to_owned() }),
    };
    let kind = own.text("indexFieldType")?.or(own.text("indexFieldDataType")?).unwrap_or_default();
    let letters = own.text("dateTimeFormat")?.or(own.text("indexFieldDateTimeFormat")?);
    let format = letters.filter(|_| kind.is_empty() || kind.eq_ignore_ascii_case("datetime")).map(str::to_owned);
    Ok(Some(Index { name: name.to_owned(), value, format }))
}

/// The sink.
pub(super) struct SinkConfig {
    pub(super) place: Place,
    pub(super) table: Template,
    /// Columns to write; empty: all a row has.
    pub(super) fields: Vec<String>,
    /// Take the rows from this column.
    pub(super) data_field: Option<String>,
    /// Column that says what is to be done, and the one that says with which row.
    pub(super) rowkind: Option<(String, String)>,
}

impl SinkConfig {
    pub(super) fn read(props: &Props) -> Result<SinkConfig, ConnectError> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (kind, key) = (owned(props.text("rowkindField")?), owned(props.text("keyField")?));
        let rowkind = match (kind, key) {
            (Some(kind), Some(key)) => Some((kind, key)),
            (Some(_), None) => return Err(ConnectError::Missing("keyField")),
            (None, _) => None,
        };
        Ok(SinkConfig {
            place: Place::read(props)?,
            table: Template::read(props, "table")?.ok_or(ConnectError::Missing("table"))?,
            fields: props.list("fields")?,
            data_field: owned(props.text("tableDataField")?),
            rowkind,
        })
    }
}
