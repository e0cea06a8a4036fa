//! Names, values and statements as texts. Whatever a row holds, it never gets out of its quotes.

use edgeward_engine::json::Printer;
use edgeward_engine::{Map, Value};

use super::config::{Index, SinkConfig};
use crate::rowkind::{RowKind, column};

/// Rows of one INSERT.
const MAX_ROWS: usize = 500;

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

impl Dialect {
    /// A name of a column, or of a table with its schema. A plain name stays as it is, as eKuiper writes it, so that the
    /// database folds its case; any other is quoted.
    pub(super) fn name(self, name: &str) -> Result<String, String> {
        let plain = |part: &str| {
            part.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
                && part.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        };
        if name.split('.').all(plain) {
            return Ok(name.to_owned());
        }
        if name.is_empty() || name.contains('\0') {
            return Err(format!("{name:?} is no name for a table or column"));
        }
        Ok(match self {
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
            Dialect::Sqlite | Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        })
    }

    /// A value.
    pub(super) fn literal(self, value: &Value) -> Result<String, String> {
        Ok(match value {
            Value::Nil => "NULL".to_owned(),
            Value::Int(int) => int.to_string(),
            Value::Float(float) if !float.is_finite() => return Err(format!("{float} cannot be stored")),
            Value::Float(float) => float.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Str(text) => self.quoted(text)?,
            Value::Bytes(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                if self == Dialect::Postgres { format!("'\\x{hex}'") } else { format!("X'{hex}'") }
            }
            Value::Time(time) => match self {
                Dialect::Sqlite => format!("'{time:.3}'"),
                Dialect::Postgres => format!("'{}'", time.strftime("%Y-%m-%d %H:%M:%S%.6f+00")),
                Dialect::Mysql => format!("'{}'", time.strftime("%Y-%m-%d %H:%M:%S%.6f")),
            },
            other => self.quoted(&Printer::default().text(other).map_err(|error| error.to_string())?)?,
        })
    }

    fn quoted(self, text: &str) -> Result<String, String> {
        if text.contains('\0') {
            return Err("a text with a zero byte cannot be stored".to_owned());
        }
        let text = text.replace('\'', "''");
        Ok(match self {
            // The clients see to it that a backslash means what it means here.
            Dialect::Mysql => format!("'{}'", text.replace('\\', "\\\\")),
            Dialect::Sqlite | Dialect::Postgres => format!("'{text}'"),
        })
    }

    /// Rows beyond the indexes, in their order.
    pub(super) fn beyond(self, table: &str, limit: Option<u64>, indexes: &[Index]) -> Result<String, String> {
        let mut sql = format!("SELECT * FROM {}", self.name(table)?);
        let names = indexes.iter().map(|index| self.name(&index.name)).collect::<Result<Vec<_>, _>>()?;
        if !indexes.is_empty() && indexes.iter().all(|index| !index.value.is_nil()) {
            let values = indexes.iter().map(|index| self.literal(&index.value)).collect::<Result<Vec<_>, _>>()?;
            // Compared as a whole: column by column, rows that share the first value would be lost.
            sql += &match indexes.len() {
                1 => format!(" WHERE {} > {}", names[0], values[0]),
                _ => format!(" WHERE ({}) > ({})", names.join(","), values.join(",")),
            };
        }
        if !names.is_empty() {
            sql += &format!(" ORDER BY {} ASC", names.join(" ASC, "));
        }
        if let Some(limit) = limit {
            sql += &format!(" LIMIT {limit}");
        }
        Ok(sql)
    }

    /// Rows with these values.
    pub(super) fn matching<N: AsRef<str>>(
        self,
        table: &str,
        columns: &[N],
        keys: &[N],
        values: &[Value],
    ) -> Result<String, String> {
        let names = |names: &[N]| names.iter().map(|name| self.name(name.as_ref())).collect::<Result<Vec<_>, _>>();
        let columns = if columns.is_empty() { "*".to_owned() } else { names(columns)?.join(",") };
        let equal = |(key, value): (String, &Value)| Ok(format!("{key} = {}", self.literal(value)?));
        let conditions = names(keys)?.into_iter().zip(values).map(equal).collect::<Result<Vec<_>, String>>()?;
        Ok(format!("SELECT {columns} FROM {} WHERE {}", self.name(table)?, conditions.join(" AND ")))
    }
}

/// The statements that bring rows into a table, in order.
pub(super) fn statements(config: &SinkConfig, table: &str, rows: &[&Map]) -> Result<Vec<String>, String> {
    let table = config.place.dialect().name(table)?;
    let mut out: Vec<String> = Vec::new();
    // Head and size of the INSERT at the end of `out`: rows with the same columns join it.
    let mut open: Option<(String, usize)> = None;
    for row in rows {
        let kind = match &config.rowkind {
            Some((field, key)) => Some((RowKind::of(row, field, RowKind::Insert)?, key)),
            None => None,
        };
        if let Some((kind @ (RowKind::Update | RowKind::Upsert | RowKind::Delete), key)) = kind {
            out.push(change(config, kind, &table, key, row)?);
            open = None;
            continue;
        }
        let (names, values) = columns(config, row)?;
        let (head, tuple) = (head(&table, &names), format!("({})", values.join(",")));
        match (&mut open, out.last_mut()) {
            (Some((known, count)), Some(last)) if *known == head && *count < MAX_ROWS => {
                last.push(',');
                last.push_str(&tuple);
                *count += 1;
            }
            _ => {
                out.push(format!("{head}{tuple}"));
                open = Some((head, 1));
            }
        }
    }
    Ok(out)
}

fn head(table: &str, names: &[String]) -> String {
    format!("INSERT INTO {table} ({}) VALUES ", names.join(","))
}

/// The statement for a row that is to be updated, put in the place of another, or deleted.
fn change(config: &SinkConfig, kind: RowKind, table: &str, key: &str, row: &Map) -> Result<String, String> {
    let dialect = config.place.dialect();
    let value = dialect.literal(column(row, key)?)?;
    let key = dialect.name(key)?;
    if kind == RowKind::Delete {
        return Ok(format!("DELETE FROM {table} WHERE {key} = {value}"));
    }
    let (names, values) = columns(config, row)?;
    let set: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("{name} = {value}")).collect();
    let set = set.join(", ");
    if kind == RowKind::Update {
        return Ok(format!("UPDATE {table} SET {set} WHERE {key} = {value}"));
    }
    let tail = match dialect {
        Dialect::Mysql => format!("ON DUPLICATE KEY UPDATE {set}"),
        Dialect::Sqlite | Dialect::Postgres => format!("ON CONFLICT ({key}) DO UPDATE SET {set}"),
    };
    Ok(format!("{}({}) {tail}", head(table, &names), values.join(",")))
}

/// Names and values of a row's columns: those of `fields`, else all but the one that says what is to be done.
fn columns(config: &SinkConfig, row: &Map) -> Result<(Vec<String>, Vec<String>), String> {
    let dialect = config.place.dialect();
    let kind = config.rowkind.as_ref().map_or("", |(kind, _)| kind);
    let all = row.keys().map(|key| &**key).filter(|key| *key != kind);
    let wanted: Vec<&str> = match config.fields.is_empty() {
        true => all.collect(),
        false => config.fields.iter().map(String::as_str).collect(),
    };
    if wanted.is_empty() {
        return Err("a row has no columns to write".to_owned());
    }
    let value = |name: &&str| dialect.literal(row.get(*name).unwrap_or(&Value::Nil));
    let values = wanted.iter().map(value).collect::<Result<_, _>>()?;
    Ok((wanted.iter().map(|name| dialect.name(name)).collect::<Result<_, _>>()?, values))
}
