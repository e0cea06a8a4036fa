//! Records packed with gzip, snappy, lz4 or zstd. The checksum of the batch has been checked before, so those inside are
//! not.

use std::io::Read;

use bytes::{Buf, Bytes};

/// Most bytes of a batch once it is unpacked.
const MAX_UNPACKED: usize = 64 << 20;
/// What Java's snappy writes before its chunks.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// What a frame of lz4 begins with.
const LZ4: u32 = 0x184d_2204;

/// Unpacks by the number in the batch's attributes.
///
/// # Errors
/// The text says what is wrong.
pub(super) fn unpack(kind: i16, bytes: Bytes) -> Result<Bytes, String> {
    match kind {
        0 => Ok(bytes),
        1 => read(flate2::read::MultiGzDecoder::new(bytes.reader())),
        2 => snappy(bytes).map(Bytes::from).ok_or_else(|| broken("snappy")),
        3 => lz4(bytes).map(Bytes::from).ok_or_else(|| broken("lz4")),
        4 => read(zstd::stream::read::Decoder::new(bytes.reader()).map_err(|error| format!("a batch: {error}"))?),
        other => Err(format!("a batch is packed in the unknown way {other}")),
    }
}

fn broken(kind: &str) -> String {
    format!("a batch is no {kind}, or unpacks to more than {MAX_UNPACKED} bytes")
}

fn read(reader: impl Read) -> Result<Bytes, String> {
    let mut out = Vec::new();
    reader.take(MAX_UNPACKED as u64 + 1).read_to_end(&mut out).map_err(|error| format!("a batch: {error}"))?;
    if out.len() > MAX_UNPACKED { Err(broken("such text")) } else { Ok(out.into()) }
}

/// What is unpacked so far; all that grows it checks the limit.
struct Unpacked(Vec<u8>);

impl Unpacked {
    fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        if self.0.len() + bytes.len() > MAX_UNPACKED {
            return None;
        }
        self.0.extend_from_slice(bytes);
        Some(())
    }

    /// Repeats what was written `offset` bytes ago; it may reach into what it writes.
    fn repeat(&mut self, offset: usize, length: usize) -> Option<()> {
        let start = self.0.len().checked_sub(offset).filter(|_| offset > 0)?;
        if self.0.len() + length > MAX_UNPACKED {
            return None;
        }
        for at in start..start + length {
            self.0.push(self.0[at]);
        }
        Some(())
    }
}

fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

/// One text, or the chunks of Java's framing.
fn snappy(mut bytes: Bytes) -> Option<Vec<u8>> {
    let mut out = Unpacked(Vec::new());
    if !bytes.starts_with(XERIAL) {
        snappy_text(bytes, &mut out)?;
        return Some(out.0);
    }
    // Two version numbers follow.
    take(&mut bytes, XERIAL.len() + 8)?;
    while !bytes.is_empty() {
        let length = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
        snappy_text(take(&mut bytes, length)?, &mut out)?;
    }
    Some(out.0)
}

fn snappy_text(mut bytes: Bytes, out: &mut Unpacked) -> Option<()> {
    // The length of the whole: it is found out anyway.
    while bytes.try_get_u8().ok()? & 0x80 != 0 {}
    while let Ok(tag) = bytes.try_get_u8() {
        let (high, length) = (usize::from(tag >> 2), usize::from(tag >> 2) + 1);
        match tag & 3 {
            0 => {
                let length = match high {
                    60..=63 => {
                        usize::try_from(take(&mut bytes, high - 59)?.get_uint_le(high - 59)).ok()?.checked_add(1)?
                    }
                    _ => length,
                };
                out.literal(&take(&mut bytes, length)?)?;
            }
            1 => out.repeat(usize::from(tag >> 5) << 8 | usize::from(bytes.try_get_u8().ok()?), (high & 7) + 4)?,
            2 => out.repeat(bytes.try_get_u16_le().ok()?.into(), length)?,
            _ => out.repeat(usize::try_from(bytes.try_get_u32_le().ok()?).ok()?, length)?,
        }
    }
    Some(())
}

/// The blocks of a frame.
fn lz4(mut bytes: Bytes) -> Option<Vec<u8>> {
    let mut out = Unpacked(Vec::new());
    if bytes.try_get_u32_le().ok()? != LZ4 {
        return None;
    }
    let (flags, _) = (bytes.try_get_u8().ok()?, bytes.try_get_u8().ok()?);
    let has = |bit: u8, size: usize| if flags & bit != 0 { size } else { 0 };
    // Length of the whole, number of a dictionary, checksum of the head.
    take(&mut bytes, has(8, 8) + has(1, 4) + 1)?;
    loop {
        let size = bytes.try_get_u32_le().ok()?;
        if size == 0 {
            return Some(out.0);
        }
        let block = take(&mut bytes, usize::try_from(size & 0x7fff_ffff).ok()?)?;
        match size & 0x8000_0000 {
            0 => lz4_block(block, &mut out)?,
            _ => out.literal(&block)?,
        }
        take(&mut bytes, has(16, 4))?;
    }
}

fn lz4_block(mut bytes: Bytes, out: &mut Unpacked) -> Option<()> {
    loop {
        let token = bytes.try_get_u8().ok()?;
        let length = lz4_length(token >> 4, &mut bytes)?;
        out.literal(&take(&mut bytes, length)?)?;
        if bytes.is_empty() {
            return Some(());
        }
        let offset = bytes.try_get_u16_le().ok()?;
        let length = lz4_length(token & 15, &mut bytes)?.checked_add(4)?;
        out.repeat(offset.into(), length)?;
    }
}

fn lz4_length(nibble: u8, bytes: &mut Bytes) -> Option<usize> {
    let mut length = usize::from(nibble);
    if nibble == 15 {
        loop {
            let more = bytes.try_get_u8().ok()?;
            length = length.checked_add(more.into())?;
            if more < 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: i16, packed: &[u8], expect: Option<&[u8]>) {
        let got = unpack(kind, Bytes::copy_from_slice(packed)).ok();
        assert_eq!(got.as_deref(), expect, "{kind} {packed:?}");
    }

    /// Whole texts of both come from real clients in the tests of the connector.
    #[test]
    fn unpacks_by_hand() {
        check(0, b"abc", Some(b"abc"));
        check(2, b"\x09\x08abc\x09\x03", Some(b"abcabcabc"));
        check(2, b"\x03\xf0\x02abc", Some(b"abc"));
        check(2, &[XERIAL, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5], b"\x03\x08abc"].concat(), Some(b"abc"));
        check(2, b"\x03\x09\x03", None);
        check(2, b"\x03\x08ab", None);
        let head = [&LZ4.to_le_bytes()[..], &[0x60, 0x40, 0]].concat();
        let frame = |block: &[u8]| [&head[..], &(block.len() as u32).to_le_bytes(), block, &[0; 4]].concat();
        check(3, &frame(b"\x32abc\x03\0\x10d"), Some(b"abcabcabcd"));
        check(3, &frame(b"\x32abc\x04\0\x10d"), None);
        check(3, &frame(b"\xf0\x00"), None);
        check(3, &head, None);
        check(5, b"", None);
    }

    #[test]
    fn nothing_grows_beyond_the_limit() {
        let bomb = [&b"\x32abc\x01\0"[..], &b"\x0f\x01\0".repeat(3)].concat();
        let head = [&LZ4.to_le_bytes()[..], &[0x60, 0x40, 0]].concat();
        let long = [&b"\x1fa\x01\0"[..], &[255; 300_000], &[0]].concat();
        for block in [bomb, long] {
            check(3, &[&head[..], &(block.len() as u32).to_le_bytes(), &block, &[0; 4]].concat(), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_unpack_or_not(kind in 1i16..5, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpack(kind, bytes.clone().into());
            let mut out = Unpacked(Vec::new());
            let _ = snappy_text(bytes.clone().into(), &mut out);
            let _ = lz4_block(bytes.into(), &mut out);
        }
    }
}
