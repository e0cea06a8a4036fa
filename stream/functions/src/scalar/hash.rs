//! Digests, encodings and compression.

use std::io::{Read, Write};

use base64::Engine as _;
use flate2::Compression;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use edgeward_sql::ast::Expr;

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::registry::Type::{Any, Str, StrLiteral};
use crate::registry::{Args, Context, Function};

/// Most bytes a text may decompress to.
const MAX_DECOMPRESSED: u64 = 64 << 20;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("md5", (1, 1), &[Str], |args, _| Ok(hex(&Md5::digest(bytes(args))))),
    Function::scalar("sha1", (1, 1), &[Str], |args, _| Ok(hex(&Sha1::digest(bytes(args))))),
    Function::scalar("sha256", (1, 1), &[Str], |args, _| Ok(hex(&Sha256::digest(bytes(args))))),
    Function::scalar("sha384", (1, 1), &[Str], |args, _| Ok(hex(&Sha384::digest(bytes(args))))),
    Function::scalar("sha512", (1, 1), &[Str], |args, _| Ok(hex(&Sha512::digest(bytes(args))))),
    Function::scalar("crc32", (1, 1), &[Str], |args, _| {
        Ok(Value::str(format!("{:08x}", crc32fast::hash(&bytes(args)))))
    }),
    Function::scalar("encode", (2, 2), &[Str, StrLiteral], |args, _| {
        let text = encoding_argument(args, "Only string type can be encoded.")?;
        Ok(Value::str(base64::engine::general_purpose::STANDARD.encode(text)))
    })
    .literals(base64_literal),
    Function::scalar("decode", (2, 2), &[Str, StrLiteral], |args, _| {
        decode_base64(encoding_argument(args, "Only string type can be decoded.")?).map(Value::bytes)
    })
    .literals(base64_literal),
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

fn base64_literal(args: &[Expr]) -> std::result::Result<(), &'static str> {
    match args.get(1) {
        Some(Expr::Str(name)) if name == "base64" => Ok(()),
        _ => Err("Only base64 is supported for the 2nd parameter."),
    }
}

fn encoding_argument<'a>(args: &'a Args<'_>, otherwise: &str) -> Result<&'a str> {
    if !text(args, 1).eq_ignore_ascii_case("base64") {
        return Err(Error::call("Only base64 encoding is supported."));
    }
    args[0].as_str().ok_or_else(|| Error::call(otherwise))
}

/// Standard base64 with padding; line ends are passed over, as Go does.
fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let lines: String = text.chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
    base64::engine::general_purpose::STANDARD.decode(&lines).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            // Go names the byte after the last whole group.
            _ => lines.trim_end_matches('=').len() / 4 * 4,
        };
        Error::call(format!("illegal base64 data at input byte {at}"))
    })
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
