//! Go's string, character and number constants.

use crate::node::Number;

/// `strconv.Unquote` of a `"…"` or raw string token.
pub(crate) fn string(token: &str) -> Result<String, String> {
    let inner = &token[1..token.len() - 1];
    if token.starts_with('`') {
        return Ok(inner.replace('\r', ""));
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(char) = rest.next() {
        if char == '\\' {
            escape(&mut rest, '"', &mut out).ok_or("invalid syntax")?;
        } else {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(match String::from_utf8(out) {
        Ok(text) => text,
        // `\xff` makes text that is no UTF-8; our values are, so it becomes the replacement character.
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Reads what follows a backslash.
fn escape(rest: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let simple = match rest.next()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' => b'\\',
        char if char == quote => char as u8,
        'x' => digits(rest, 2, 16)? as u8,
        'u' => return push(char::from_u32(digits(rest, 4, 16)?)?, out),
        'U' => return push(char::from_u32(digits(rest, 8, 16)?)?, out),
        first @ '0'..='7' => {
            let value = first.to_digit(8)? * 64 + digits(rest, 2, 8)?;
            u8::try_from(value).ok()?
        }
        _ => return None,
    };
    out.push(simple);
    Some(())
}

fn push(char: char, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0, |sum: u32, _| Some(sum.wrapping_mul(radix).wrapping_add(rest.next()?.to_digit(radix)?)))
}

/// A character constant, quotes included.
pub(crate) fn character(token: &str) -> Result<Number, String> {
    let inner = &token[1..token.len() - 1];
    let mut rest = inner.chars();
    let code = match rest.next() {
        Some('\\') => {
            let mut out = Vec::new();
            escape(&mut rest, '\'', &mut out).ok_or("invalid syntax")?;
            let wide = std::str::from_utf8(&out).ok().and_then(|text| text.chars().next());
            wide.map_or_else(|| out.first().map_or(0, |byte| u32::from(*byte)), |char| char as u32)
        }
        Some(char) => char as u32,
        None => return Err("invalid syntax".into()),
    };
    if rest.next().is_some() {
        return Err(format!("malformed character constant: {token}"));
    }
    Ok(Number { int: Some(i64::from(code)), float: f64::from(code), is_float: false })
}

/// A number token, by the rules of `parse.newNumber`.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    if let Some(int) = integer(text) {
        return Ok(Number { int: Some(int), float: int as f64, is_float: false });
    }
    if unsigned(text.strip_prefix('+').unwrap_or(text)).is_some() && !text.starts_with(['+', '-']) {
        return Ok(Number { int: None, float: unsigned(text).unwrap_or_default() as f64, is_float: false });
    }
    let quoted = crate::gofmt::quoted(text);
    let float = float(text).ok_or_else(|| format!("illegal number syntax: {quoted}"))?;
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {quoted}"));
    }
    let whole = float.trunc() == float && float.abs() < 9.2e18;
    Ok(Number { int: whole.then_some(float as i64), float, is_float: true })
}

/// `strconv.ParseInt(text, 0, 64)`.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = i128::from(unsigned(digits)?);
    i64::try_from(if negative { -value } else { value }).ok()
}

fn unsigned(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // An underscore stands between digits or after a base prefix.
    let prefixed = digits.len() < lower.len();
    if digits.contains("__") || digits.ends_with('_') || (digits.starts_with('_') && !prefixed) {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

/// `strconv.ParseFloat` for what the lexer lets through.
pub(crate) fn float(text: &str) -> Option<f64> {
    if text.contains(['x', 'X']) {
        return hex_float(text);
    }
    if text.contains('_') || text.is_empty() {
        return None;
    }
    let float: f64 = text.parse().ok()?;
    (float.is_finite() || text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with(['i', 'n']))
        .then_some(float)
}

fn hex_float(text: &str) -> Option<f64> {
    let (sign, rest) =
        text.strip_prefix('-').map_or((1.0, text.strip_prefix('+').unwrap_or(text)), |rest| (-1.0, rest));
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, exponent) = rest.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > 13 {
        return None;
    }
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    Some(sign * bits as f64 * 2f64.powi(exponent.checked_sub(4 * fraction.len() as i32)?))
        .filter(|float| float.is_finite())
}
