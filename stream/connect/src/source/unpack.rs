//! `decompression` of payloads.

use std::io::{self, Read};

use edgeward_engine::{Body, Message, Step};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::{ConnectError, Props};

/// Largest payload after decompression, in bytes.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// How payloads are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpack {
    Gzip,
    Zlib,
    Flate,
    Zstd,
}

impl Unpack {
    /// Reads `decompression`.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn read(props: &Props) -> Result<Option<Unpack>, ConnectError> {
        Ok(Some(match props.text("decompression")? {
            None => return Ok(None),
            Some("gzip") => Unpack::Gzip,
            Some("zlib") => Unpack::Zlib,
            Some("flate" | "deflate") => Unpack::Flate,
            Some("zstd") => Unpack::Zstd,
            Some(other) => {
                let reason = format!("unsupported decompressor: {other}; use gzip, zlib, flate or zstd");
                return Err(ConnectError::Invalid { key: "decompression", reason });
            }
        }))
    }

    /// A reader of what another one reads compressed.
    ///
    /// # Errors
    /// zstd has no memory.
    pub(crate) fn reader<'a>(self, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Unpack::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Unpack::Zlib => Box::new(ZlibDecoder::new(packed)),
            Unpack::Flate => Box::new(DeflateDecoder::new(packed)),
            Unpack::Zstd => Box::new(zstd::Decoder::new(packed)?),
        })
    }

    /// The unpacked bytes, at most `limit`.
    pub(super) fn unpack(self, packed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
        let failed = |error: io::Error| format!("decompress error: {error}");
        let mut out = Vec::new();
        self.reader(packed).map_err(failed)?.take(limit + 1).read_to_end(&mut out).map_err(failed)?;
        match out.len() as u64 > limit {
            true => Err(format!("a payload is larger than {limit} bytes after decompression")),
            false => Ok(out),
        }
    }
}

impl Step for Unpack {
    fn pass(&self, mut message: Message, out: &mut Vec<Message>) -> Result<(), String> {
        if let Body::Payload(payload) = &message.body {
            message.body = Body::Payload(self.unpack(payload, MAX_BYTES)?.into());
        }
        out.push(message);
        Ok(())
    }
}
