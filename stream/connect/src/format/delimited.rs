//! `FORMAT="delimited"`: one row, its values separated by DELIMITER.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{ColumnType, Decode, Field, Map};

use super::typed;

/// Columns by position: the declared ones, else `col0`, `col1`, …
pub(super) struct Delimited {
    delimiter: String,
    columns: Vec<(Arc<str>, ColumnType)>,
}

impl Delimited {
    pub(super) fn new(fields: &[Field], delimiter: &str) -> Delimited {
        let columns = fields.iter().map(|field| (Arc::from(field.name.as_str()), field.data_type.clone())).collect();
        Delimited { delimiter: delimiter.replace("\\t", "\t"), columns }
    }
}

impl Decode for Delimited {
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        let text = std::str::from_utf8(payload).map_err(|_| "delimited payload is not UTF-8".to_owned())?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut row = Map::new();
        for (index, value) in line.split(self.delimiter.as_str()).enumerate() {
            match self.columns.get(index) {
                Some((name, declared)) => row.insert(name.clone(), typed(name, value, Some(declared))?),
                None if self.columns.is_empty() => row.insert(format!("col{index}").into(), value.into()),
                None => None,
            };
        }
        rows.push(Arc::new(row));
        Ok(())
    }
}

/// Splits a CSV line: values may stand in double quotes, which are doubled inside. A quote that does not end takes the rest
/// of the line.
pub(crate) fn split_line(line: &str, delimiter: char) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        let last = values.len() - 1;
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                values[last].push('"');
            }
            '"' if quoted => quoted = false,
            '"' if values[last].is_empty() => quoted = true,
            _ if char == delimiter && !quoted => values.push(String::new()),
            _ => values[last].push(char),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_lines() {
        for (line, expect) in [
            ("a,b", vec!["a", "b"]),
            ("", vec![""]),
            (",", vec!["", ""]),
            (r#""a,b","say ""x""",c"d"#, vec!["a,b", r#"say "x""#, r#"c"d"#]),
            (r#""open,end"#, vec!["open,end"]),
        ] {
            assert_eq!(split_line(line, ','), expect, "{line}");
        }
    }
}
