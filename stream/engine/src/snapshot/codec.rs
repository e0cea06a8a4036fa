//! Values as bytes, exactly: a tag, then fixed or length-prefixed data, integers in little endian.

use edgeward_functions::{Map, Value};

/// Deepest nesting read back.
const MAX_DEPTH: u32 = 600;

/// Appends a value.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Int(int) => {
            out.push(3);
            out.extend_from_slice(&int.to_le_bytes());
        }
        Value::Float(float) => {
            out.push(4);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
        Value::Str(text) => {
            out.push(5);
            write_bytes(text.as_bytes(), out);
        }
        Value::Bytes(bytes) => {
            out.push(6);
            write_bytes(bytes, out);
        }
        Value::Time(time) => {
            out.push(7);
            out.extend_from_slice(&time.as_second().to_le_bytes());
            out.extend_from_slice(&time.subsec_nanosecond().to_le_bytes());
        }
        Value::Array(items) => {
            out.push(8);
            write_length(items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(map) => {
            out.push(9);
            write_length(map.len(), out);
            for (key, item) in map.iter() {
                write_bytes(key.as_bytes(), out);
                write(item, out);
            }
        }
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Reads exactly one value; none when the bytes are anything else.
pub fn read(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = value(&mut rest, 0)?;
    rest.is_empty().then_some(value)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::from_le_bytes(array(rest)?)).ok()?;
    take(rest, length)
}

fn value(rest: &mut &[u8], depth: u32) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match take(rest, 1)?[0] {
        0 => Value::Nil,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Int(i64::from_le_bytes(array(rest)?)),
        4 => Value::Float(f64::from_bits(u64::from_le_bytes(array(rest)?))),
        5 => Value::str(std::str::from_utf8(bytes(rest)?).ok()?),
        6 => Value::bytes(bytes(rest)?.to_vec()),
        7 => {
            let second = i64::from_le_bytes(array(rest)?);
            let nanos = i32::from_le_bytes(array(rest)?);
            Value::Time(jiff::Timestamp::new(second, nanos).ok()?)
        }
        8 => {
            let length = u64::from_le_bytes(array(rest)?);
            // The length is not trusted for the allocation.
            let items: Option<Vec<Value>> = (0..length).map(|_| value(rest, depth + 1)).collect();
            Value::array(items?)
        }
        9 => {
            let length = u64::from_le_bytes(array(rest)?);
            let mut map = Map::new();
            for _ in 0..length {
                let key = std::str::from_utf8(bytes(rest)?).ok()?;
                map.insert(key.into(), value(rest, depth + 1)?);
            }
            Value::map(map)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e300..1e300f64).prop_map(Value::Float),
            any::<String>().prop_map(Value::from),
            any::<Vec<u8>>().prop_map(Value::bytes),
            (-1_000_000_000_000i64..1_000_000_000_000).prop_map(Value::time_ms),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::array),
                proptest::collection::btree_map(any::<String>().prop_map(|key| key.into()), inner, 0..5)
                    .prop_map(Value::map),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_survive(value in any_value()) {
            let mut out = Vec::new();
            write(&value, &mut out);
            prop_assert_eq!(read(&out), Some(value));
            prop_assert_eq!(read(&out[..out.len() - 1]), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
