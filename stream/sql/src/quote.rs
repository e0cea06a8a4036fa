//! Text in double quotes with Go's escapes, as errors show it and statements are printed.

use std::fmt::{self, Display, Formatter};

/// Text as Go's `%q` prints it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\u{7}' => out.write_str("\\a")?,
                '\u{8}' => out.write_str("\\b")?,
                '\u{c}' => out.write_str("\\f")?,
                '\n' => out.write_str("\\n")?,
                '\r' => out.write_str("\\r")?,
                '\t' => out.write_str("\\t")?,
                '\u{b}' => out.write_str("\\v")?,
                char if char.is_ascii_control() => write!(out, "\\x{:02x}", char as u32)?,
                char if char.is_control() => write!(out, "\\u{:04x}", char as u32)?,
                char => write!(out, "{char}")?,
            }
        }
        out.write_str("\"")
    }
}
