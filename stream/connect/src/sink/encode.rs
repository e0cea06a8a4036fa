//! Rows to payloads.

use std::fmt::Write as _;

use edgeward_engine::json::{Printer, Unprintable};
use edgeward_engine::{Emission, Map, SinkError, Value};
use edgeward_functions::format::GoText;

use super::transform::Sent;
use super::{SinkFormat, SinkOptions};
use crate::format::protobuf;
use crate::http::escape;

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

    /// What templates of properties see of the payload at `index`.
    pub(crate) fn data(&self, emission: &Emission, index: usize) -> Value {
        self.options.data(emission, index)
    }

    /// Replaces `out` by the payloads of an emission.
    pub(crate) fn encode(&self, emission: &Emission, out: &mut Payloads) -> Result<(), SinkError> {
        out.clear();
        let count = if self.options.send_single { emission.rows.len() } else { 1 };
        let as_it_is = self.options.sends_rows_unchanged() && self.options.format == SinkFormat::Json;
        for index in 0..count {
            let start = out.bytes.len();
            match as_it_is {
                true => self.unchanged(emission, index, &mut out.bytes).map_err(unprintable)?,
                false => self.changed(emission, index, &mut out.bytes)?,
            }
            if !self.options.packing.does_nothing() {
                let packed = self.options.packing.pack(&out.bytes[start..])?;
                out.bytes.truncate(start);
                out.bytes.extend_from_slice(&packed);
            }
            out.end();
        }
        Ok(())
    }

    fn unchanged(&self, emission: &Emission, index: usize, out: &mut Vec<u8>) -> Result<(), Unprintable> {
        match emission.rows.get(index).filter(|_| self.options.send_single) {
            Some(row) => row.write_json(&self.printer, out),
            None => emission.write_json(&self.printer, out),
        }
    }

    fn changed(&self, emission: &Emission, index: usize, out: &mut Vec<u8>) -> Result<(), SinkError> {
        let as_text = self.options.format == SinkFormat::Json;
        let value = match self.options.transform(self.options.data(emission, index), as_text)? {
            Sent::Text(text) => {
                out.extend_from_slice(&text);
                return Ok(());
            }
            Sent::Value(value) => value,
        };
        match &self.options.format {
            SinkFormat::Json => self.printer.write(&value, out).map_err(unprintable),
            SinkFormat::Delimited { delimiter, has_header } => {
                self.table(&value, delimiter, *has_header, out);
                Ok(())
            }
            SinkFormat::UrlEncoded => of_rows(&value, out, form),
            SinkFormat::Binary => of_rows(&value, out, binary),
            SinkFormat::Protobuf(message) => {
                of_rows(&value, out, |row, out| protobuf::encode(message, row, out).map_err(SinkError::Rejected))
            }
        }
    }

    /// Rows as lines of delimited values, in the order of `fields`, else of the sorted names.
    fn table(&self, value: &Value, delimiter: &str, has_header: bool, out: &mut Vec<u8>) {
        let single = std::slice::from_ref(value);
        let mut text = String::new();
        for (index, row) in value.as_array().unwrap_or(single).iter().enumerate() {
            let Some(map) = row.as_map() else { continue };
            let names: Vec<&str> = match self.options.fields.is_empty() {
                true => map.keys().map(|name| &**name).collect(),
                false => self.options.fields.iter().map(String::as_str).collect(),
            };
            if index > 0 {
                text.push('\n');
            } else if has_header {
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
        out.extend_from_slice(text.as_bytes());
    }
}

fn unprintable(error: Unprintable) -> SinkError {
    SinkError::Rejected(error.to_string())
}

/// Writes a row, or the only row of an array: these formats know no lists.
fn of_rows(
    value: &Value,
    out: &mut Vec<u8>,
    write: impl Fn(&Map, &mut Vec<u8>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let row = match value.as_array() {
        Some([row]) => row,
        Some(rows) => {
            let text = format!("this format holds one row, not {}; set sendSingle", rows.len());
            return Err(SinkError::Rejected(text));
        }
        None => value,
    };
    let row = row.as_map().ok_or_else(|| SinkError::Rejected("this format needs a row with columns".to_owned()))?;
    write(row, out)
}

fn form(row: &Map, out: &mut Vec<u8>) -> Result<(), SinkError> {
    let pairs = row.iter().flat_map(|(name, value)| {
        let single = std::slice::from_ref(value);
        value
            .as_array()
            .unwrap_or(single)
            .iter()
            .map(|item| format!("{}={}", escape(name), escape(&GoText(item).to_string())))
    });
    out.extend_from_slice(pairs.collect::<Vec<_>>().join("&").as_bytes());
    Ok(())
}

fn binary(row: &Map, out: &mut Vec<u8>) -> Result<(), SinkError> {
    let only = row.values().next().filter(|_| row.len() == 1);
    let bytes: &[u8] = match row.get("self").or(only) {
        Some(Value::Bytes(bytes)) => bytes,
        Some(Value::Str(text)) => text.as_bytes(),
        _ => {
            let text = "format binary needs the column self, or one column, of bytes";
            return Err(SinkError::Rejected(text.to_owned()));
        }
    };
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use edgeward_engine::OutRow;
    use edgeward_engine::json::{Numbers, parse};
    use serde_json::json;

    use super::*;
    use crate::{Hosts, Props};

    fn emission(rows: &str) -> Emission {
        let rows = parse(rows.as_bytes(), Numbers::Float).unwrap();
        let rows = rows.as_array().unwrap().iter().map(|row| OutRow::Free(row.as_map().unwrap().clone()));
        Emission::of_rows(0, rows.collect())
    }

    fn check(props: serde_json::Value, rows: &str, expect: &[&str]) {
        let options = SinkOptions::read(&Props::new(props.as_object().unwrap().clone()), &Hosts::default()).unwrap();
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
        check(json!({"format": "urlencoded", "sendSingle": true}), rows, &["a=x&b=1", "b=2.5&c=map%5Bd%3Atrue%5D"]);
        check(json!({"format": "binary", "sendSingle": true, "fields": ["a"]}), r#"[{"a":"x"}]"#, &["x"]);
    }

    #[test]
    fn templates_come_first() {
        let rows = r#"[{"b":1,"a":"x"},{"b":2.5,"a":"y"}]"#;
        let of_row = "{{.a}}={{.b}}";
        for (properties, expect) in [
            (json!({"dataTemplate": of_row, "sendSingle": true}), vec!["x=1", "y=2.5"]),
            (json!({"dataTemplate": "{{range .}}{{.a}}{{end}}"}), vec!["xy"]),
            (json!({"dataTemplate": "{{json .}}"}), vec![rows_sorted()]),
            (
                json!({"dataTemplate": "{\"id\": {{json .a}}, \"n\": 1}", "sendSingle": true, "fields": ["id"]}),
                vec![r#"{"id":"x"}"#, r#"{"id":"y"}"#],
            ),
            (
                json!({"dataTemplate": "{\"in\": {{json .}}}", "dataField": "in", "excludeFields": ["b"]}),
                vec![r#"[{"a":"x"},{"a":"y"}]"#],
            ),
            (json!({"dataTemplate": "{{json (index . 1)}}", "format": "delimited"}), vec!["y,2.5"]),
        ] {
            check(properties, rows, &expect);
        }
        for (template, reason) in
            [("{{.a.b}}", "can't evaluate field"), ("{{.a}}", "fail to decode data x after applying dataTemplate")]
        {
            let props = json!({"dataTemplate": template, "sendSingle": true, "fields": ["a"]});
            let options =
                SinkOptions::read(&Props::new(props.as_object().unwrap().clone()), &Hosts::default()).unwrap();
            let error =
                Encoder::new(options).encode(&emission(rows), &mut Payloads::default()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    fn rows_sorted() -> &'static str {
        r#"[{"a":"x","b":1},{"a":"y","b":2.5}]"#
    }

    #[test]
    fn refuses_what_cannot_be_printed_and_what_is_not_built() {
        let options = SinkOptions::read(&Props::default(), &Hosts::default()).unwrap();
        let row: edgeward_engine::Map = [("a".into(), Value::Float(f64::NAN))].into();
        let emission = Emission::of_rows(0, vec![OutRow::Free(row.into())]);
        assert!(matches!(
            Encoder::new(options).encode(&emission, &mut Payloads::default()),
            Err(SinkError::Rejected(_))
        ));
        for bad in [
            json!({"dataTemplate": "{{json ."}),
            json!({"format": "protobuf"}),
            json!({"sendSingle": "yes"}),
            json!({"bufferLength": 0}),
            json!({"batchSize": -1}),
            json!({"fields": "a"}),
        ] {
            assert!(
                SinkOptions::read(&Props::new(bad.as_object().unwrap().clone()), &Hosts::default()).is_err(),
                "{bad}"
            );
        }
    }
}
