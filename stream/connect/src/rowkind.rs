//! What sinks that change rows elsewhere share: what is to be done with a row, and values as texts.

use edgeward_engine::{Map, Value};
use edgeward_functions::format::GoText;

/// What is to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowKind {
    Insert,
    Update,
    Upsert,
    Delete,
}

impl RowKind {
    /// What the column `field` of a row says; `default` without that column.
    ///
    /// # Errors
    /// It says something else, in eKuiper's words.
    pub(crate) fn of(row: &Map, field: &str, default: RowKind) -> Result<RowKind, String> {
        match row.get(field) {
            None | Some(Value::Nil) => Ok(default),
            Some(Value::Str(text)) => match &**text {
                "insert" => Ok(RowKind::Insert),
                "update" => Ok(RowKind::Update),
                "upsert" => Ok(RowKind::Upsert),
                "delete" => Ok(RowKind::Delete),
                other => Err(format!("invalid rowkind {other}")),
            },
            Some(_) => {
                Err(format!("rowkind field {field} is not a string in data {}", GoText(&Value::map(row.clone()))))
            }
        }
    }
}

/// The value of a column a row must have.
///
/// # Errors
/// It has not, in eKuiper's words.
pub(crate) fn column<'a>(row: &'a Map, field: &str) -> Result<&'a Value, String> {
    let missing = || format!("field {field} does not exist in data {}", GoText(&Value::map(row.clone())));
    row.get(field).ok_or_else(missing)
}

/// A value as eKuiper casts it to a string: floats without exponent, nil as nothing.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        Value::Float(float) if float.is_finite() => float.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => GoText(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kind_of_a_row() {
        let row = |kind: Value| Map::from([("k".into(), kind), ("a".into(), Value::Int(1))]);
        for (kind, expect) in [
            (Value::Nil, Ok(RowKind::Upsert)),
            (Value::str("insert"), Ok(RowKind::Insert)),
            (Value::str("delete"), Ok(RowKind::Delete)),
            (Value::str("replace"), Err("invalid rowkind replace".to_owned())),
            (Value::Int(1), Err("rowkind field k is not a string in data map[a:1 k:1]".to_owned())),
        ] {
            assert_eq!(RowKind::of(&row(kind), "k", RowKind::Upsert), expect);
        }
        assert_eq!(column(&row(Value::Nil), "b").unwrap_err(), "field b does not exist in data map[a:1 k:<nil>]");
    }

    #[test]
    fn writes_values_as_plain_text() {
        for (value, expect) in [
            (Value::Float(1e21), "1000000000000000000000"),
            (Value::Float(0.5), "0.5"),
            (Value::Nil, ""),
            (Value::Bool(true), "true"),
            (Value::array(vec![Value::Int(1), Value::str("a")]), "[1 a]"),
        ] {
            assert_eq!(plain(&value), expect);
        }
    }
}
