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
