//! Rows to payloads.

use std::fmt::Write as _;

use edgeward_engine::json::{Printer, Unprintable};
use edgeward_engine::{Emission, OutRow, SinkError, Value};
use edgeward_functions::format::GoText;

use super::SinkOptions;
use super::options::SinkFormat;

/// Turns emissions into payloads.
pub(crate) struct Encoder {
    options: SinkOptions,
    printer: Printer,
}

/// Payloads one after another in a buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A larger buffer is given back after use.
const KEPT_BYTES: usize = 64 << 10;

impl Payloads {
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

impl Encoder {
    pub(crate) fn new(options: SinkOptions) -> Encoder {
        Encoder { options, printer: Printer::default() }
    }

    /// One payload for each row, whatever `sendSingle` says: for sinks whose unit is the row.
    pub(crate) fn single(options: SinkOptions) -> Encoder {
        Encoder::new(SinkOptions { send_single: true, ..options })
    }

    /// Replaces `out` by the payloads of an emission.
    pub(crate) fn encode(&self, emission: &Emission, out: &mut Payloads) -> Result<(), SinkError> {
        out.clear();
        let result = if self.options.send_single { self.rows(&emission.rows, out) } else { self.all(emission, out) };
        result.map_err(|error| SinkError::Rejected(error.to_string()))
    }

    fn rows(&self, rows: &[OutRow], out: &mut Payloads) -> Result<(), Unprintable> {
        for row in rows {
            match &self.options.format {
                SinkFormat::Json if self.options.sends_rows_unchanged() => {
                    row.write_json(&self.printer, &mut out.bytes)?
                }
                SinkFormat::Json => self.printer.write(&self.options.transform_row(row), &mut out.bytes)?,
                SinkFormat::Delimited { .. } => self.table(std::slice::from_ref(&self.options.transform_row(row)), out),
            }
            out.end();
        }
        Ok(())
    }

    fn all(&self, emission: &Emission, out: &mut Payloads) -> Result<(), Unprintable> {
        match &self.options.format {
            SinkFormat::Json if self.options.sends_rows_unchanged() => {
                emission.write_json(&self.printer, &mut out.bytes)?
            }
            SinkFormat::Json => self.printer.write(&self.options.transform_rows(&emission.rows), &mut out.bytes)?,
            SinkFormat::Delimited { .. } => match self.options.transform_rows(&emission.rows) {
                Value::Array(rows) => self.table(&rows, out),
                row => self.table(&[row], out),
            },
        }
        out.end();
        Ok(())
    }

    /// Rows as lines of delimited values, in the order of `fields`, else of the sorted names.
    fn table(&self, rows: &[Value], out: &mut Payloads) {
        let SinkFormat::Delimited { delimiter, has_header } = &self.options.format else { return };
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            let Some(map) = row.as_map() else { continue };
            let names: Vec<&str> = match self.options.fields.is_empty() {
                true => map.keys().map(|name| &**name).collect(),
                false => self.options.fields.iter().map(String::as_str).collect(),
            };
            if index > 0 {
                text.push('\n');
            } else if *has_header {
                text.push_str(&names.join(delimiter));
                text.push('\n');
            }
            for (column, name) in names.iter().enumerate() {
                if column > 0 {
                    text.push_str(delimiter);
                }
                if let Some(value) = map.get(*name).filter(|value| !value.is_nil()) {
                    // Writing into a String cannot fail.
                    let _ = write!(text, "{}", GoText(value));
                }
            }
        }
        out.bytes.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use edgeward_engine::json::{Numbers, parse};
    use serde_json::json;

    use super::*;
    use crate::Props;

    fn emission(rows: &str) -> Emission {
        let rows = parse(rows.as_bytes(), Numbers::Float).unwrap();
        let rows = rows.as_array().unwrap().iter().map(|row| OutRow::Free(row.as_map().unwrap().clone()));
        Emission::of_rows(0, rows.collect())
    }

    fn check(props: serde_json::Value, rows: &str, expect: &[&str]) {
        let options = SinkOptions::read(&Props::new(props.as_object().unwrap().clone())).unwrap();
        let mut out = Payloads::default();
        Encoder::new(options).encode(&emission(rows), &mut out).unwrap();
        let got: Vec<&str> = out.iter().map(|payload| std::str::from_utf8(payload).unwrap()).collect();
        assert_eq!(got, expect, "{props} {rows}");
    }

    #[test]
    fn writes_rows_as_ekuiper_does() {
        let rows = r#"[{"b":1,"a":"x"},{"b":2.5,"c":{"d":true}}]"#;
        check(json!({}), rows, &[r#"[{"a":"x","b":1},{"b":2.5,"c":{"d":true}}]"#]);
        check(json!({}), "[]", &["[]"]);
        check(json!({"sendSingle": true}), rows, &[r#"{"a":"x","b":1}"#, r#"{"b":2.5,"c":{"d":true}}"#]);
        check(json!({"sendSingle": true}), "[]", &[]);
        check(json!({"fields": ["b", "a"]}), rows, &[r#"[{"a":"x","b":1},{"a":null,"b":2.5}]"#]);
        check(json!({"excludeFields": ["b"], "sendSingle": true}), rows, &[r#"{"a":"x"}"#, r#"{"c":{"d":true}}"#]);
        check(json!({"dataField": "c", "sendSingle": true}), rows, &["null", r#"{"d":true}"#]);
        check(json!({"dataField": "a"}), rows, &[r#""x""#]);
        check(json!({"format": "delimited"}), rows, &["x,1\n2.5,map[d:true]"]);
        check(
            json!({"format": "delimited", "fields": ["b", "a"], "delimiter": ";", "hasHeader": true}),
            rows,
            &["b;a\n1;x\n2.5;"],
        );
    }

    #[test]
    fn refuses_what_cannot_be_printed_and_what_is_not_built() {
        let options = SinkOptions::read(&Props::default()).unwrap();
        let row: edgeward_engine::Map = [("a".into(), Value::Float(f64::NAN))].into();
        let emission = Emission::of_rows(0, vec![OutRow::Free(row.into())]);
        assert!(matches!(
            Encoder::new(options).encode(&emission, &mut Payloads::default()),
            Err(SinkError::Rejected(_))
        ));
        for bad in [
            json!({"dataTemplate": "{{json .}}"}),
            json!({"format": "protobuf"}),
            json!({"sendSingle": "yes"}),
            json!({"bufferLength": 0}),
            json!({"batchSize": 10}),
            json!({"fields": "a"}),
        ] {
            assert!(SinkOptions::read(&Props::new(bad.as_object().unwrap().clone())).is_err(), "{bad}");
        }
    }
}
