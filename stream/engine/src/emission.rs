//! What a rule sends to its sinks: rows with named columns, printed exactly as eKuiper's JSON sink prints them.

use std::sync::Arc;

use edgeward_functions::json::{Printer, Unprintable, write_string};
use edgeward_functions::{Map, Value};

use crate::{Ack, Row};

/// The column names of projected rows, sorted, each with its JSON text prepared. Shared by all rows of a rule.
#[derive(Debug, PartialEq, Default)]
pub struct Header {
    names: Vec<Arc<str>>,
    /// `"name":` for each name.
    keys: Vec<Box<[u8]>>,
    /// Print nil columns (`sendNilField`) instead of leaving them out.
    send_nil: bool,
}

impl Header {
    /// A header over `names`, which must be sorted and distinct.
    pub fn new(names: Vec<Arc<str>>, send_nil: bool) -> Header {
        let keys = names.iter().map(|name| json_key(name)).collect();
        Header { names, keys, send_nil }
    }

    /// The sorted column names.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}

fn json_key(name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(name.len() + 3);
    write_string(name, &mut key);
    key.push(b':');
    key.into_boxed_slice()
}

/// One output row.
#[derive(Debug, Clone)]
pub enum OutRow {
    /// Columns known when the rule was planned; `values` in the header's order.
    Fixed {
        /// Names of the columns.
        header: Arc<Header>,
        /// One value for each name.
        values: Box<[Value]>,
    },
    /// All columns of an input row, read when a sink asks for them; the flag says whether nil ones are sent.
    Whole(Arc<Row>, bool),
    /// Other columns known only at run time (SRFs, errors).
    Free(Arc<Map>),
}

impl OutRow {
    /// The value of a column; nil when the row has none of that name.
    pub fn get(&self, name: &str) -> &Value {
        match self {
            OutRow::Fixed { header, values } => {
                header.names.binary_search_by(|probe| (**probe).cmp(name)).map_or(&Value::Nil, |index| &values[index])
            }
            OutRow::Whole(row, _) => row.all().get(name).unwrap_or(&Value::Nil),
            OutRow::Free(map) => map.get(name).unwrap_or(&Value::Nil),
        }
    }

    /// The row as a map, as a memory sink hands it on; nil columns are left out unless the rule sends them.
    pub fn to_map(&self) -> Arc<Map> {
        match self {
            OutRow::Free(map) => map.clone(),
            OutRow::Whole(row, send_nil) if *send_nil || row.all().values().all(|value| !value.is_nil()) => {
                row.all().clone()
            }
            OutRow::Whole(row, _) => {
                let there = row.all().iter().filter(|(_, value)| !value.is_nil());
                Arc::new(there.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
            OutRow::Fixed { header, values } => {
                let named = header.names.iter().cloned().zip(values.iter().cloned());
                Arc::new(named.filter(|(_, value)| header.send_nil || !value.is_nil()).collect())
            }
        }
    }

    /// Whether no column would be sent.
    pub fn is_empty(&self) -> bool {
        match self {
            OutRow::Free(map) => map.is_empty(),
            OutRow::Whole(row, send_nil) => row.all().values().all(|value| value.is_nil() && !send_nil),
            OutRow::Fixed { header, values } => values.iter().all(|value| value.is_nil() && !header.send_nil),
        }
    }

    /// Appends the row as a JSON object with sorted keys.
    ///
    /// # Errors
    /// A column is NaN or infinite.
    pub fn write_json(&self, printer: &Printer, out: &mut Vec<u8>) -> Result<(), Unprintable> {
        let OutRow::Fixed { header, values } = self else { return printer.write_map(&self.to_map(), out) };
        out.push(b'{');
        let mut first = true;
        for (key, value) in header.keys.iter().zip(values.iter()) {
            if value.is_nil() && !header.send_nil {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(key);
            printer.write(value, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// One message to a sink: the rows of one emission of the rule. An error is a message with the one row `{"error": text}`.
#[derive(Debug, Clone)]
pub struct Emission {
    /// When it was made, in ms since 1970 on the rule's clock.
    pub at: i64,
    /// The rows; may be empty (a tick over no rows).
    pub rows: Vec<OutRow>,
    /// Whether this is a run-time error of the rule rather than a result.
    pub is_error: bool,
    /// Held until the sink has done its duty; dropping them acknowledges.
    pub acks: Vec<Ack>,
}

impl Emission {
    /// A message of rows.
    pub fn of_rows(at: i64, rows: Vec<OutRow>) -> Emission {
        Emission { at, rows, is_error: false, acks: Vec::new() }
    }

    /// A message for a run-time error.
    pub fn of_error(at: i64, text: &str) -> Emission {
        let row: Map = [(Arc::from("error"), Value::str(text))].into();
        Emission { at, rows: vec![OutRow::Free(Arc::new(row))], is_error: true, acks: Vec::new() }
    }

    /// Appends the rows as a JSON array, which is what a sink sends unless `sendSingle` is set.
    ///
    /// # Errors
    /// A column is NaN or infinite.
    pub fn write_json(&self, printer: &Printer, out: &mut Vec<u8>) -> Result<(), Unprintable> {
        out.push(b'[');
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            row.write_json(printer, out)?;
        }
        out.push(b']');
        Ok(())
    }

    /// Marks the payloads behind this message as not stored.
    pub fn fail(&self) {
        self.acks.iter().for_each(Ack::fail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_sorted_columns_without_nil() {
        for (send_nil, expect) in [(false, r#"[{"a":1,"c":"x"}]"#), (true, r#"[{"a":1,"b":null,"c":"x"}]"#)] {
            let header = Arc::new(Header::new(vec!["a".into(), "b".into(), "c".into()], send_nil));
            let row = OutRow::Fixed { header, values: [Value::Float(1.0), Value::Nil, Value::str("x")].into() };
            assert_eq!(row.get("c"), &Value::str("x"));
            assert_eq!(row.get("d"), &Value::Nil);
            assert_eq!(row.to_map().len(), 2 + usize::from(send_nil));
            let mut out = Vec::new();
            Emission::of_rows(0, vec![row]).write_json(&Printer::default(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        }
    }
}
