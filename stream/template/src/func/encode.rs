//! JSON, base64, hashes and random text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edgeward_functions::json::{self, Numbers, Printer};
use rand::RngExt as _;
use sha2::Digest as _;

use super::{Function, Ty, function, int, text};
use crate::gofmt;
use crate::runtime::Runtime;
use crate::value::{Outcome, Val};

const A: Ty = Ty::Any;
const S: Ty = Ty::Str;

pub(super) const FUNCTIONS: &[Function] = &[
    function("json", &[A], |run, a| to_json(run, &a[0], |text| text)),
    function("toJson", &[A], |run, a| to_json(run, &a[0], |text| text)),
    function("toRawJson", &[A], |run, a| to_json(run, &a[0], raw)),
    function("toPrettyJson", &[A], |run, a| to_json(run, &a[0], |text| pretty(&text))),
    function("fromJson", &[S], |run, a| {
        run.charge(text(a, 0).len().saturating_mul(8))?;
        Ok(json::parse(text(a, 0).as_bytes(), Numbers::Float).map_or(Val::Nil, |value| Val::from(&value)))
            .and_then(|value| run.deep_copy(&value, 0))
    }),
    function("mustToJson", &[A], |run, a| must_to_json(run, &a[0], |text| text)),
    function("mustToRawJson", &[A], |run, a| must_to_json(run, &a[0], raw)),
    function("mustToPrettyJson", &[A], |run, a| must_to_json(run, &a[0], |text| pretty(&text))),
    function("mustFromJson", &[S], |run, a| {
        let source = text(a, 0).as_bytes();
        run.charge(source.len().saturating_mul(8))?;
        let value = json::parse(source, Numbers::Float)
            .map_err(|error| json::complaint(source).unwrap_or_else(|| error.to_string()))?;
        run.deep_copy(&Val::from(&value), 0)
    }),
    function("base64", &[A], |run, a| {
        let encoded = base64_text(&a[0])?;
        run.text(encoded)
    }),
    function("b64enc", &[S], |run, a| run.text(STANDARD.encode(text(a, 0)))),
    function("b64dec", &[S], |run, a| match STANDARD.decode(text(a, 0)) {
        Ok(bytes) => run.text(String::from_utf8_lossy(&bytes).into_owned()),
        Err(base64::DecodeError::InvalidByte(at, _)) => Ok(Val::str(format!("illegal base64 data at input byte {at}"))),
        Err(_) => Ok(Val::str(format!("illegal base64 data at input byte {}", text(a, 0).len() / 4 * 4))),
    }),
    function("b32enc", &[S], |run, a| run.text(base32(text(a, 0).as_bytes()))),
    function("b32dec", &[S], |run, a| match base32_bytes(text(a, 0)) {
        Ok(bytes) => run.text(String::from_utf8_lossy(&bytes).into_owned()),
        Err(at) => Ok(Val::str(format!("illegal base32 data at input byte {at}"))),
    }),
    function("adler32sum", &[S], |_, a| Ok(Val::str(adler32(text(a, 0).as_bytes()).to_string()))),
    function("sha256sum", &[S], |run, a| run.text(hex(&sha2::Sha256::digest(text(a, 0))))),
    function("sha512sum", &[S], |run, a| run.text(hex(&sha2::Sha512::digest(text(a, 0))))),
    function("sha1sum", &[S], |run, a| run.text(hex(&sha1::Sha1::digest(text(a, 0))))),
    function("md5sum", &[S], |run, a| run.text(hex(&md5::Md5::digest(text(a, 0))))),
    function("uuidv4", &[], |run, _| run.text(uuid::Uuid::new_v4().to_string())),
    function("randAlphaNum", &[Ty::Int], |run, a| {
        random(run, int(a, 0), b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    }),
    function("randAlpha", &[Ty::Int], |run, a| {
        random(run, int(a, 0), b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    }),
    function("randAscii", &[Ty::Int], |run, a| random(run, int(a, 0), &(b' '..=b'~').collect::<Vec<u8>>())),
    function("randBytes", &[Ty::Int], |run, a| {
        let count = usize::try_from(int(a, 0)).unwrap_or(0);
        run.charge(count.saturating_mul(2))?;
        let mut bytes = vec![0; count];
        rand::rng().fill(&mut bytes[..]);
        run.text(STANDARD.encode(bytes))
    }),
    function("randNumeric", &[Ty::Int], |run, a| random(run, int(a, 0), b"0123456789")),
];

/// Values JSON cannot express give an empty text, as sprig drops the error.
fn to_json(run: &mut Runtime, value: &Val, finish: fn(String) -> String) -> Outcome<Val> {
    let value = value.to_value(0)?;
    let text = Printer::default().text(&value).unwrap_or_default();
    run.text(finish(text))
}

fn must_to_json(run: &mut Runtime, value: &Val, finish: fn(String) -> String) -> Outcome<Val> {
    let text = Printer::default().text(&value.to_value(0)?).map_err(|error| error.to_string())?;
    run.text(finish(text))
}

/// Undoes the escapes that keep JSON safe inside HTML.
fn raw(text: String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (char, len) = match rest.get(at..at + 6) {
            Some("\\u003c") => ("<", 6),
            Some("\\u003e") => (">", 6),
            Some("\\u0026") => ("&", 6),
            _ => (&rest[at..at + 2], 2),
        };
        out.push_str(char);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    out
}

/// `json.MarshalIndent` with two spaces.
fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut quoted = false;
    let mut escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if quoted {
            out.push(char);
            quoted = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            '{' | '[' => {
                out.push(char);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = char == '"';
                out.push(char);
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// eKuiper's `base64`: text as it is, numbers and booleans as text, lists and maps as JSON.
fn base64_text(value: &Val) -> Outcome<String> {
    Ok(match value {
        Val::Missing | Val::Nil => return Err("based64 error for nil".into()),
        Val::Str(text) => STANDARD.encode(text.as_bytes()),
        Val::Bytes(bytes) => STANDARD.encode(bytes.as_ref()),
        Val::Float(float) => STANDARD.encode(format!("{float}")),
        Val::Bool(_) | Val::Int(..) => STANDARD.encode(gofmt::text(value, 64)?),
        other => STANDARD.encode(Printer::default().text(&other.to_value(0)?).unwrap_or_default()),
    })
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The bytes of padded base32, or where it is wrong.
fn base32_bytes(text: &str) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let digits = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    if !text.len().is_multiple_of(8) || text.len() - digits > 6 {
        return Err(digits / 8 * 8);
    }
    if let Some(at) = text[digits..].iter().position(|byte| *byte != b'=') {
        return Err(digits + at);
    }
    let (mut out, mut bits, mut count) = (Vec::new(), 0u64, 0);
    for (at, byte) in text[..digits].iter().enumerate() {
        let digit = BASE32.iter().position(|letter| letter == byte).ok_or(at)?;
        bits = bits << 5 | digit as u64;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Ok(out)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    b << 16 | a
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let shown = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let letter = BASE32[(bits >> (35 - 5 * index) & 31) as usize] as char;
            out.push(if index < shown { letter } else { '=' });
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random(run: &mut Runtime, count: i64, letters: &[u8]) -> Outcome<Val> {
    let count = usize::try_from(count).unwrap_or(0);
    run.charge(count)?;
    let mut rng = rand::rng();
    run.text((0..count).map(|_| letters[rng.random_range(0..letters.len())] as char).collect())
}
