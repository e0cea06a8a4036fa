//! Record batches of version 2: bytes only, no socket.

use bytes::{Buf, BufMut, Bytes};

use super::unpack::unpack;

/// Bytes of a batch before its records, without offset and length.
const HEAD: usize = 49;

/// One record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
    pub(super) headers: Vec<(String, Bytes)>,
}

/// Records as one batch; their offsets are for the server to give.
pub(super) fn write(records: &[Record]) -> Vec<u8> {
    let first = records.first().map_or(0, |record| record.at);
    let newest = records.iter().map(|record| record.at).max().unwrap_or(first);
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut body = Vec::new();
    // Attributes, last offset, first and newest time, no producer, number of records.
    body.put_i16(0);
    body.put_i32(count - 1);
    body.put_i64(first);
    body.put_i64(newest);
    body.put_i64(-1);
    body.put_i16(-1);
    body.put_i32(-1);
    body.put_i32(count);
    for (index, record) in records.iter().enumerate() {
        let mut text = vec![0];
        put_varint(record.at - first, &mut text);
        put_varint(index as i64, &mut text);
        put_bytes(record.key.as_deref(), &mut text);
        put_bytes(Some(&record.value), &mut text);
        put_varint(record.headers.len() as i64, &mut text);
        for (name, value) in &record.headers {
            put_bytes(Some(name.as_bytes()), &mut text);
            put_bytes(Some(value), &mut text);
        }
        put_varint(text.len() as i64, &mut body);
        body.extend_from_slice(&text);
    }
    let mut out = Vec::with_capacity(body.len() + 21);
    out.put_i64(0);
    out.put_i32(i32::try_from(body.len() + 9).unwrap_or(i32::MAX));
    out.put_i32(-1);
    out.put_i8(2);
    out.put_u32(crc32c(&body));
    out.extend_from_slice(&body);
    out
}

/// The records of the batches in an answer from `offset` on, and the offset to go on with. The last batch may be cut off:
/// it comes again.
///
/// # Errors
/// A batch is broken, or of an old version.
pub(super) fn read(mut bytes: Bytes, offset: i64) -> Result<(Vec<Record>, i64), String> {
    let (mut records, mut next) = (Vec::new(), offset);
    while bytes.len() >= 12 {
        let base = bytes.get_i64();
        let length = usize::try_from(bytes.get_i32()).map_err(|_| "a batch has no length".to_owned())?;
        if bytes.len() < length {
            break;
        }
        next = next.max(batch(base, bytes.split_to(length), offset, &mut records)?);
    }
    Ok((records, next))
}

fn batch(base: i64, mut bytes: Bytes, from: i64, out: &mut Vec<Record>) -> Result<i64, String> {
    if bytes.len() < HEAD {
        return Err("a batch is too short".to_owned());
    }
    bytes.advance(4);
    let version = bytes.get_i8();
    if version != 2 {
        return Err(format!("records of version {version} are not supported; Kafka 0.11 and later write version 2"));
    }
    if bytes.get_u32() != crc32c(&bytes) {
        return Err("a batch is damaged: its checksum is wrong".to_owned());
    }
    let (attributes, last) = (bytes.get_i16(), bytes.get_i32());
    let first = bytes.get_i64();
    bytes.advance(22);
    let count = bytes.get_i32();
    let next = base.checked_add(i64::from(last) + 1).ok_or("an offset is out of range")?;
    // Control batches mark the ends of transactions and hold nothing for us.
    if attributes & 0x20 != 0 {
        return Ok(next);
    }
    let mut body = unpack(attributes & 7, bytes)?;
    for _ in 0..count {
        let record = record(base, first, &mut body).ok_or("a record is cut off")?;
        if record.offset >= from {
            out.push(record);
        }
    }
    Ok(next)
}

fn record(base: i64, first: i64, body: &mut Bytes) -> Option<Record> {
    let length = usize::try_from(varint(body)?).ok()?;
    if body.len() < length {
        return None;
    }
    let mut body = body.split_to(length);
    body.try_get_i8().ok()?;
    let at = first.wrapping_add(varint(&mut body)?);
    let offset = base.checked_add(varint(&mut body)?)?;
    let key = get_bytes(&mut body)?;
    let value = get_bytes(&mut body)?.unwrap_or_default();
    let mut headers = Vec::new();
    for _ in 0..varint(&mut body)? {
        let name = get_bytes(&mut body)?.unwrap_or_default();
        headers.push((String::from_utf8_lossy(&name).into_owned(), get_bytes(&mut body)?.unwrap_or_default()));
    }
    Some(Record { offset, at, key, value, headers })
}

fn put_varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    put_varint(bytes.map_or(-1, |bytes| bytes.len() as i64), out);
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn varint(body: &mut Bytes) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = body.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[allow(clippy::option_option)] // the outer one: cut off; the inner one: null
fn get_bytes(body: &mut Bytes) -> Option<Option<Bytes>> {
    match varint(body)? {
        -1 => Some(None),
        length => {
            let length = usize::try_from(length).ok().filter(|length| *length <= body.len())?;
            Some(Some(body.split_to(length)))
        }
    }
}

/// CRC-32C (Castagnoli), which Kafka uses instead of the common one.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0_u32, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const fn table() -> [u32; 256] {
    let (mut table, mut index) = ([0; 256], 0);
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let headers = prop::collection::vec(("[a-z]{0,4}", bytes()), 0..3);
        let record = (0i64..1 << 40, prop::option::of(bytes()), bytes(), headers);
        prop::collection::vec(record, 1..6).prop_map(|records| {
            let number = |(offset, (at, key, value, headers)): (usize, _)| Record {
                offset: offset as i64,
                at,
                key,
                value,
                headers,
            };
            records.into_iter().enumerate().map(number).collect()
        })
    }

    proptest! {
        #[test]
        fn batches_come_back(records in records(), skip in 0usize..6, cut in 0usize..8) {
            let whole = write(&records);
            let skip = skip.min(records.len());
            let (got, next) = read(whole.clone().into(), skip as i64).unwrap();
            prop_assert_eq!(&got[..], &records[skip..]);
            prop_assert_eq!(next, records.len() as i64);
            // A batch that is cut off is left for the next answer.
            let part = [&whole[..], &whole[..whole.len() - 1 - cut]].concat();
            let (got, _) = read(part.into(), 0).unwrap();
            prop_assert_eq!(got, records);
        }

        #[test]
        fn any_bytes_are_records_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..80) {
            let mut whole = write(&[Record { value: bytes.clone().into(), ..Record::default() }]);
            if let Some(byte) = whole.get_mut(at) {
                *byte ^= 0x15;
            }
            let _ = read(whole.into(), 0);
            let _ = read(bytes.clone().into(), 0);
            let _ = record(0, 0, &mut bytes.into());
        }
    }
}
