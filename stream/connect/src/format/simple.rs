//! `FORMAT="binary"` and `FORMAT="urlencoded"`.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{ColumnType, Decode, Field, Map, Value};

use super::typed;
use crate::ConnectError;

/// The payload as one bytea column, `self` unless another is declared.
pub(super) struct Binary(Arc<str>);

impl Binary {
    pub(super) fn new(fields: &[Field]) -> Result<Binary, ConnectError> {
        match fields {
            [] => Ok(Binary("self".into())),
            [field] if field.data_type == ColumnType::Bytea => Ok(Binary(field.name.as_str().into())),
            _ => Err(ConnectError::Invalid {
                key: "format",
                reason: "binary needs one column of type bytea, or none".into(),
            }),
        }
    }
}

impl Decode for Binary {
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        rows.push(Arc::new([(self.0.clone(), Value::bytes(payload.clone()))].into()));
        Ok(())
    }
}

/// `a=1&b=x`: a name that occurs several times becomes an array.
pub(super) struct UrlEncoded(Vec<Field>);

impl UrlEncoded {
    pub(super) fn new(fields: &[Field]) -> UrlEncoded {
        UrlEncoded(fields.to_vec())
    }
}

impl Decode for UrlEncoded {
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        let mut row = Map::new();
        for pair in payload.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, text) = (unescape(&pair[..at])?, unescape(pair.get(at + 1..).unwrap_or_default())?);
            let declared = self.0.iter().find(|field| field.name == name);
            let value = typed(&name, &text, declared.map(|field| &field.data_type))?;
            let name: Arc<str> = name.into();
            let value = match row.remove(&name) {
                None => value,
                Some(Value::Array(items)) => Value::array(items.iter().cloned().chain([value]).collect()),
                Some(first) => Value::array(vec![first, value]),
            };
            row.insert(name, value);
        }
        rows.push(Arc::new(row));
        Ok(())
    }
}

fn unescape(text: &[u8]) -> Result<String, String> {
    let bad = || format!("invalid URL escape in {:?}", String::from_utf8_lossy(text));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16)).ok_or_else(bad);
                (digit()? * 16 + digit()?) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use edgeward_engine::json::Printer;
    use proptest::prelude::*;

    use super::*;
    use crate::decoder;

    fn decoded(format: &str, fields: &[Field], payload: &[u8]) -> Result<String, String> {
        let mut rows = Vec::new();
        decoder(format, fields, None).unwrap().unwrap().decode(&Bytes::copy_from_slice(payload), &mut rows)?;
        let rows = rows.into_iter().map(Value::Map).collect();
        Ok(Printer::default().text(&Value::array(rows)).unwrap())
    }

    fn field(name: &str, data_type: ColumnType) -> Field {
        Field { name: name.into(), data_type, default: None }
    }

    #[test]
    fn decodes_formats() {
        let typed = [field("a", ColumnType::Bigint), field("b", ColumnType::Float), field("c", ColumnType::Boolean)];
        type Case<'a> = (&'a str, &'a [Field], &'a str, Result<&'a str, &'a str>);
        let cases: [Case<'_>; 9] = [
            ("binary", &[], "hi", Ok(r#"[{"self":"aGk="}]"#)),
            ("urlencoded", &[], "a=1&b=x%20y+z&a=2", Ok(r#"[{"a":["1","2"],"b":"x y z"}]"#)),
            ("urlencoded", &typed, "a=1&b=2.5&c=true&d=e", Ok(r#"[{"a":1,"b":2.5,"c":true,"d":"e"}]"#)),
            ("urlencoded", &[], "a=%4", Err("invalid URL escape in \"%4\"")),
            ("delimited", &[], "1,x\r\n", Ok(r#"[{"col0":"1","col1":"x"}]"#)),
            ("delimited", &typed, "1,2.5,0,more", Ok(r#"[{"a":1,"b":2.5,"c":false}]"#)),
            ("delimited", &typed, "1,,1", Ok(r#"[{"a":1,"b":null,"c":true}]"#)),
            ("delimited", &typed, "x", Err("cannot convert \"x\" to the type of a")),
            ("delimited", &typed, "1,2,maybe", Err("cannot convert \"maybe\" to the type of c")),
        ];
        for (format, fields, payload, expect) in cases {
            let got = decoded(format, fields, payload.as_bytes());
            assert_eq!(got.as_deref().map_err(String::as_str), expect, "{format} {payload}");
        }
        assert!(decoder("protobuf", &[], None).is_err());
        assert!(decoder("binary", &typed, None).is_err());
        assert!(decoder("JSON", &[], None).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_payload_is_a_row_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            for format in ["binary", "urlencoded", "delimited"] {
                let _ = decoded(format, &[], &payload);
            }
        }
    }
}
