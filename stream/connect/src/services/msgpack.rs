//! A call over MessagePack-RPC: `[0, id, method, arguments]` there, `[1, id, error, result]` back, over TCP.

use std::sync::Arc;

use edgeward_functions::json::Printer;
use edgeward_functions::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting of an answer.
const MAX_DEPTH: usize = 64;
/// Every connection carries one call.
const ID: i64 = 1;

/// Calls a method at `host:port`.
///
/// # Errors
/// The server's error, or why there is no answer.
pub(super) async fn call(address: &str, method: &str, args: &[Value]) -> Result<Value, String> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.write_all(&request(method, args)).await.map_err(failed)?;
    let mut answer = Vec::new();
    loop {
        if let Some(value) = whole(&answer).map_err(|reason| format!("{address}: {reason}"))? {
            return result(&value);
        }
        if answer.len() > MAX_BYTES {
            return Err(format!("{address}: the answer is larger than {MAX_BYTES} bytes"));
        }
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            return Err(format!("{address}: the connection ended before the answer"));
        }
    }
}

fn request(method: &str, args: &[Value]) -> Vec<u8> {
    let mut out = vec![0x94, 0x00];
    write(&Value::Int(ID), &mut out);
    write(&Value::str(method), &mut out);
    write(&Value::array(args.to_vec()), &mut out);
    out
}

fn result(answer: &Value) -> Result<Value, String> {
    let Some([kind, id, error, result]) = answer.as_array() else {
        return Err("the answer is no response of MessagePack-RPC".into());
    };
    if kind.as_i64() != Some(1) || id.as_i64() != Some(ID) {
        return Err("the answer is no response to this request".into());
    }
    match error {
        Value::Nil => Ok(result.clone()),
        Value::Str(text) => Err(text.to_string()),
        other => Err(Printer::default().text(other).unwrap_or_else(|_| "it failed".into())),
    }
}

/// Appends a value. Instants are RFC 3339 text.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.push(0xc0),
        Value::Bool(switch) => out.push(0xc2 + u8::from(*switch)),
        Value::Int(number) => {
            out.push(0xd3);
            out.extend(number.to_be_bytes());
        }
        Value::Float(number) => {
            out.push(0xcb);
            out.extend(number.to_be_bytes());
        }
        Value::Str(text) => {
            head(0xdb, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            head(0xc6, bytes.len(), out);
            out.extend(bytes.iter());
        }
        Value::Time(time) => write(&Value::str(time.to_string()), out),
        Value::Array(items) => {
            head(0xdd, items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(map) => {
            head(0xdf, map.len(), out);
            for (key, value) in map.iter() {
                write(&Value::str(key.clone()), out);
                write(value, out);
            }
        }
    }
}

/// A marker with a length of four bytes.
fn head(marker: u8, length: usize, out: &mut Vec<u8>) {
    out.push(marker);
    // Nothing in a row is as long as four bytes can say; what were longer would be refused by any server.
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// The value bytes begin with; none while some of it is missing.
fn whole(bytes: &[u8]) -> Result<Option<Value>, String> {
    match (Reader { bytes }).value(0) {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Missing) => Ok(None),
        Err(Trouble::Wrong(reason)) => Err(format!("invalid MessagePack: {reason}")),
    }
}

enum Trouble {
    /// The rest has not come yet.
    Missing,
    Wrong(&'static str),
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Trouble> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Trouble::Missing)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes, big end first.
    fn number(&mut self, bytes: usize) -> Result<u64, Trouble> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, Trouble> {
        let length = usize::try_from(self.number(bytes)?).unwrap_or(usize::MAX);
        if length > MAX_BYTES { Err(Trouble::Wrong("it is too long")) } else { Ok(length) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Trouble> {
        if depth > MAX_DEPTH {
            return Err(Trouble::Wrong("it is nested too deeply"));
        }
        let marker = self.take(1)?[0];
        Ok(match marker {
            0x00..=0x7f => Value::Int(i64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f), depth)?,
            0x90..=0x9f => self.array(usize::from(marker & 0x0f), depth)?,
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Bool(marker == 0xc3),
            0xc4..=0xc6 => {
                let length = self.length(1 << (marker - 0xc4))?;
                Value::bytes(self.take(length)?.to_vec())
            }
            // The bits of a smaller number, kept as they are.
            0xca => Value::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Value::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => {
                let number = self.number(1 << (marker - 0xcc))?;
                i64::try_from(number).map_or(Value::Float(number as f64), Value::Int)
            }
            0xd0 => Value::Int(i64::from(self.number(1)? as u8 as i8)),
            0xd1 => Value::Int(i64::from(self.number(2)? as u16 as i16)),
            0xd2 => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            0xd3 => Value::Int(self.number(8)? as i64),
            0xd9..=0xdb => {
                let length = self.length(1 << (marker - 0xd9))?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let length = self.length(if marker == 0xdc { 2 } else { 4 })?;
                self.array(length, depth)?
            }
            0xde | 0xdf => {
                let length = self.length(if marker == 0xde { 2 } else { 4 })?;
                self.map(length, depth)?
            }
            0xe0..=0xff => Value::Int(i64::from(marker as i8)),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(Trouble::Wrong("it has types of its own")),
        })
    }

    fn text(&mut self, length: usize) -> Result<Value, Trouble> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Trouble::Wrong("a text is no UTF-8"))?;
        Ok(Value::str(text))
    }

    /// Room is made as items come: a length alone must not cost memory.
    fn array(&mut self, length: usize, depth: usize) -> Result<Value, Trouble> {
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::array(items))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, Trouble> {
        let mut map = Map::new();
        for _ in 0..length {
            let key: Arc<str> = match self.value(depth + 1)? {
                Value::Str(text) => text,
                Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into(),
                other => Printer::default().text(&other).unwrap_or_default().into(),
            };
            map.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> String {
        match whole(bytes) {
            Ok(Some(value)) => Printer::default().text(&value).unwrap(),
            Ok(None) => "missing".into(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn every_kind_of_value_is_read() {
        for (bytes, expect) in [
            (&[0x07][..], "7"),
            (&[0xff], "-1"),
            (&[0xc0], "null"),
            (&[0xc3], "true"),
            (&[0xcc, 200], "200"),
            (&[0xcd, 1, 0], "256"),
            (&[0xd0, 0x80], "-128"),
            (&[0xd1, 0xff, 0xfe], "-2"),
            (&[0xd2, 0xff, 0xff, 0xff, 0xfd], "-3"),
            (&[0xca, 0x3f, 0xc0, 0, 0], "1.5"),
            (&[0xa1, b'a'], "\"a\""),
            (&[0xd9, 1, b'b'], "\"b\""),
            (&[0xc4, 1, b'h'], "\"aA==\""),
            (&[0x92, 1, 0x90], "[1,[]]"),
            (&[0xdc, 0, 1, 2], "[2]"),
            (&[0x81, 0xa1, b'k', 5], "{\"k\":5}"),
            (&[0x81, 3, 5], "{\"3\":5}"),
            (&[], "missing"),
            (&[0xcd, 1], "missing"),
            (&[0x92, 1], "missing"),
            (&[0xc1], "invalid MessagePack: it has types of its own"),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff], "invalid MessagePack: it is too long"),
            (&[0xa1, 0xff], "invalid MessagePack: a text is no UTF-8"),
            (&[0x91; 100], "invalid MessagePack: it is nested too deeply"),
        ] {
            assert_eq!(read(bytes), expect, "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = whole(&bytes);
        }

        #[test]
        fn values_come_back(n in any::<i64>(), x in -1e9..1e9f64, text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..9)) {
            let map: Map = [("k".into(), Value::Int(n)), (text.as_str().into(), Value::Nil)].into();
            let value = Value::array(vec![Value::Float(x), Value::str(text), Value::bytes(bytes), Value::map(map), true.into()]);
            let mut out = Vec::new();
            write(&value, &mut out);
            prop_assert_eq!(whole(&out).unwrap(), Some(value));
        }
    }
}
