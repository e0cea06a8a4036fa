//! `compression` and `encryption` of payloads.

use std::io::Write;

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptionContext, EncryptingKey, UnboundCipherKey};
use edgeward_engine::SinkError;
use flate2::Compression as Level;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::{ConnectError, Hosts, Props};

/// What is done to a payload before it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packing {
    compression: Option<(Compression, i32)>,
    key: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zlib,
    /// Deflate without a header.
    Flate,
    Zstd,
}

#[derive(Clone)]
struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key")
    }
}

impl Packing {
    /// Reads `compression`, `compressionProps`, `encryption` and `encProps`.
    pub(super) fn read(props: &Props, hosts: &Hosts) -> Result<Packing, ConnectError> {
        let invalid = |key, reason: String| ConnectError::Invalid { key, reason };
        let compression = match props.text("compression")? {
            None => None,
            Some("gzip") => Some(Compression::Gzip),
            Some("zlib") => Some(Compression::Zlib),
            Some("flate" | "deflate") => Some(Compression::Flate),
            Some("zstd") => Some(Compression::Zstd),
            Some(other) => {
                let reason = format!("unsupported compressor: {other}; use gzip, zlib, flate or zstd");
                return Err(invalid("compression", reason));
            }
        };
        let level = match props.get("compressionProps").map(|props| props.get("level").cloned().unwrap_or_default()) {
            None | Some(serde_json::Value::Null) => None,
            Some(level) => Some(
                level
                    .as_i64()
                    .and_then(|level| i32::try_from(level).ok())
                    .ok_or_else(|| invalid("compressionProps", format!("level {level} is no whole number")))?,
            ),
        };
        let best = if compression == Some(Compression::Zstd) { 22 } else { 9 };
        if let Some(level) = level.filter(|level| !(-1..=best).contains(level)) {
            return Err(invalid("compressionProps", format!("level {level} is not in -1..={best}")));
        }
        let key = match props.text("encryption")? {
            None => None,
            Some("aes") => Some(key(hosts)?),
            Some(other) => return Err(invalid("encryption", format!("unsupported encryptor: {other}; use aes"))),
        };
        if key.is_some() {
            props.refuse(&["encProps"])?;
        }
        Ok(Packing { compression: compression.map(|compression| (compression, level.unwrap_or(-1))), key })
    }

    pub(crate) fn does_nothing(&self) -> bool {
        self.compression.is_none() && self.key.is_none()
    }

    /// The payload as it is sent. An encrypted one begins with the 16 bytes of its initial vector (AES in CFB mode, as
    /// eKuiper writes and reads it).
    pub(crate) fn pack(&self, payload: &[u8]) -> Result<Vec<u8>, SinkError> {
        let failed = |reason: String| SinkError::Rejected(format!("payload cannot be packed: {reason}"));
        let packed = match self.compression {
            None => payload.to_vec(),
            Some((compression, level)) => {
                compress(compression, level, payload).map_err(|error| failed(error.to_string()))?
            }
        };
        match &self.key {
            None => Ok(packed),
            Some(key) => encrypt(&key.0, packed).map_err(|_| failed("it cannot be encrypted".to_owned())),
        }
    }
}

fn key(hosts: &Hosts) -> Result<Key, ConnectError> {
    let reason = |text: &str| ConnectError::Invalid { key: "encryption", reason: text.to_owned() };
    let key = hosts.aes_key.as_ref().ok_or_else(|| reason("aes needs a key; set basic.aesKey in the configuration"))?;
    match key.len() {
        16 | 24 | 32 => Ok(Key(key.clone())),
        _ => Err(reason("basic.aesKey must be 16, 24 or 32 bytes in base64")),
    }
}

fn compress(compression: Compression, level: i32, payload: &[u8]) -> std::io::Result<Vec<u8>> {
    let flate = u32::try_from(level).map_or_else(|_| Level::default(), Level::new);
    let out = Vec::with_capacity(payload.len() / 2);
    match compression {
        Compression::Gzip => write_all(GzEncoder::new(out, flate), payload, GzEncoder::finish),
        Compression::Zlib => write_all(ZlibEncoder::new(out, flate), payload, ZlibEncoder::finish),
        Compression::Flate => write_all(DeflateEncoder::new(out, flate), payload, DeflateEncoder::finish),
        Compression::Zstd => zstd::bulk::compress(payload, level.max(0)),
    }
}

fn write_all<W: Write>(
    mut writer: W,
    payload: &[u8],
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Vec<u8>> {
    writer.write_all(payload)?;
    finish(writer)
}

fn encrypt(key: &[u8], mut payload: Vec<u8>) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let key = EncryptingKey::cfb128(UnboundCipherKey::new(algorithm, key)?)?;
    let DecryptionContext::Iv128(vector) = key.encrypt(&mut payload)? else {
        return Err(aws_lc_rs::error::Unspecified);
    };
    let mut packed = vector.as_ref().to_vec();
    packed.append(&mut payload);
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use aws_lc_rs::cipher::DecryptingKey;
    use aws_lc_rs::iv::FixedLength;
    use serde_json::json;

    use super::*;
    use crate::testing::props;

    fn hosts(key: Option<usize>) -> Hosts {
        Hosts { aes_key: key.map(|length| vec![7; length]), ..Hosts::default() }
    }

    fn packed(properties: &serde_json::Value, key: Option<usize>) -> Vec<u8> {
        Packing::read(&props(properties), &hosts(key)).unwrap().pack(b"hello hello hello").unwrap()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let unpack = |mut reader: Box<dyn Read>| {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        };
        for level in [json!({}), json!({"level": 9})] {
            let of = |kind: &str| {
                std::io::Cursor::new(packed(&json!({"compression": kind, "compressionProps": level}), None))
            };
            let readers: [Box<dyn Read>; 4] = [
                Box::new(flate2::read::GzDecoder::new(of("gzip"))),
                Box::new(flate2::read::ZlibDecoder::new(of("zlib"))),
                Box::new(flate2::read::DeflateDecoder::new(of("flate"))),
                Box::new(zstd::Decoder::new(of("zstd")).unwrap()),
            ];
            for reader in readers {
                assert_eq!(unpack(reader), "hello hello hello");
            }
        }
    }

    #[test]
    fn what_is_encrypted_begins_with_its_vector() {
        for (length, algorithm) in [(16, &AES_128), (24, &AES_192), (32, &AES_256)] {
            let sent = packed(&json!({"encryption": "aes"}), Some(length));
            let (vector, body) = sent.split_at(16);
            let key = UnboundCipherKey::new(algorithm, &vec![7; length]).unwrap();
            let context = DecryptionContext::Iv128(FixedLength::from(<[u8; 16]>::try_from(vector).unwrap()));
            let mut body = body.to_vec();
            let clear = DecryptingKey::cfb128(key).unwrap().decrypt(&mut body, context).unwrap();
            assert_eq!(clear, b"hello hello hello");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (properties, key, expect) in [
            (json!({"compression": "rar"}), None, "unsupported compressor: rar"),
            (json!({"compression": "gzip", "compressionProps": {"level": 10}}), None, "level 10 is not in -1..=9"),
            (json!({"compression": "gzip", "compressionProps": {"level": "x"}}), None, "is no whole number"),
            (json!({"encryption": "rot13"}), None, "unsupported encryptor: rot13"),
            (json!({"encryption": "aes"}), None, "set basic.aesKey"),
            (json!({"encryption": "aes"}), Some(5), "16, 24 or 32 bytes"),
            (json!({"encryption": "aes", "encProps": {"mode": "gcm"}}), Some(16), "encProps"),
        ] {
            let error = Packing::read(&props(&properties), &hosts(key)).unwrap_err().to_string();
            assert!(error.contains(expect), "{properties}: {error}");
        }
    }
}
