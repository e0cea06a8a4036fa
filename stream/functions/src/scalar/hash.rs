//! Digests, encodings and compression.

use std::io::{Read, Write};

use base64::Engine as _;
use flate2::Compression;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::registry::Type::{Any, Str};
use crate::registry::{Args, Context, Function};

/// Most bytes a text may decompress to.
const MAX_DECOMPRESSED: u64 = 64 << 20;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("md5", (1, 1), &[Any], |args, _| Ok(hex(&Md5::digest(bytes(args))))),
    Function::scalar("sha1", (1, 1), &[Any], |args, _| Ok(hex(&Sha1::digest(bytes(args))))),
    Function::scalar("sha256", (1, 1), &[Any], |args, _| Ok(hex(&Sha256::digest(bytes(args))))),
    Function::scalar("sha384", (1, 1), &[Any], |args, _| Ok(hex(&Sha384::digest(bytes(args))))),
    Function::scalar("sha512", (1, 1), &[Any], |args, _| Ok(hex(&Sha512::digest(bytes(args))))),
    Function::scalar("crc32", (1, 1), &[Any], |args, _| {
        Ok(Value::str(format!("{:08x}", crc32fast::hash(&bytes(args)))))
    }),
    Function::scalar("encode", (2, 2), &[Any, Str], |args, _| {
        only_base64(args)?;
        Ok(Value::str(base64::engine::general_purpose::STANDARD.encode(bytes(args))))
    }),
    Function::scalar("decode", (2, 2), &[Any, Str], |args, _| {
        only_base64(args)?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(bytes(args));
        decoded.map(Value::bytes).map_err(|error| Error::call(format!("illegal base64 data: {error}")))
    }),
    Function::scalar("compress", (2, 2), &[Any, Str], compress),
    Function::scalar("decompress", (2, 2), &[Any, Str], decompress),
];

fn bytes(args: &Args<'_>) -> Vec<u8> {
    match &*args[0] {
        Value::Bytes(bytes) => bytes.to_vec(),
        _ => text(args, 0).as_bytes().to_vec(),
    }
}

fn hex(digest: &[u8]) -> Value {
    Value::str(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn only_base64(args: &Args<'_>) -> Result<()> {
    if text(args, 1).eq_ignore_ascii_case("base64") {
        Ok(())
    } else {
        Err(Error::call("Only base64 encoding is supported."))
    }
}

fn compress(args: &Args<'_>, _: &Context) -> Result<Value> {
    let failed = |error: std::io::Error| Error::call(format!("compress failed with error {error}"));
    let input = bytes(args);
    let level = Compression::default();
    let output = match &*text(args, 1) {
        "zlib" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(&input).and_then(|()| encoder.finish())
        }
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&input).and_then(|()| encoder.finish())
        }
        "flate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(&input).and_then(|()| encoder.finish())
        }
        "zstd" => zstd::encode_all(input.as_slice(), 0),
        other => return Err(unsupported(other)),
    };
    output.map(Value::bytes).map_err(failed)
}

fn decompress(args: &Args<'_>, _: &Context) -> Result<Value> {
    let failed = |error: std::io::Error| Error::call(format!("decompress failed with error {error}"));
    let input = bytes(args);
    let reader: Box<dyn Read + '_> = match &*text(args, 1) {
        "zlib" => Box::new(flate2::read::ZlibDecoder::new(input.as_slice())),
        "gzip" => Box::new(flate2::read::GzDecoder::new(input.as_slice())),
        "flate" => Box::new(flate2::read::DeflateDecoder::new(input.as_slice())),
        "zstd" => Box::new(zstd::Decoder::new(input.as_slice()).map_err(failed)?),
        other => return Err(unsupported(other)),
    };
    let mut output = Vec::new();
    reader.take(MAX_DECOMPRESSED + 1).read_to_end(&mut output).map_err(failed)?;
    if output.len() as u64 > MAX_DECOMPRESSED {
        return Err(Error::call(format!("decompress gives more than {MAX_DECOMPRESSED} bytes")));
    }
    Ok(Value::bytes(output))
}

fn unsupported(algorithm: &str) -> Error {
    Error::call(format!("unsupported compression method {algorithm}"))
}
