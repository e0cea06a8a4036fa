//! Go's quoted text, `%q`.

use std::fmt::Write as _;

/// Text in Go's double quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|char| push_quoted(char, '"', false, &mut out));
    out.push('"');
    out
}

/// Adds a character as it stands between quotes of the kind `quote`; with `ascii` everything else is escaped.
pub fn push_quoted(char: char, quote: char, ascii: bool, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match char {
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        '\\' => out.write_str("\\\\"),
        _ if char == quote => write!(out, "\\{char}"),
        _ if printable(char) && (!ascii || char.is_ascii()) => out.write_char(char),
        '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", char as u32),
        '\u{80}'..='\u{ffff}' => write!(out, "\\u{:04x}", char as u32),
        _ => write!(out, "\\U{:08x}", char as u32),
    };
}

/// `unicode.IsPrint`, as near as the standard library knows.
pub fn printable(char: char) -> bool {
    if char.is_ascii() {
        return matches!(char, ' '..='~');
    }
    let shown: String = char.escape_debug().collect();
    // Combining marks are escaped by `escape_debug`, but Go prints them.
    !char.is_whitespace() && (!shown.starts_with('\\') || char.is_alphanumeric())
}
