//! Strings: their raw bytes, their escapes, and the repair of odd ones.

use std::sync::Arc;

use super::{Cursor, JsonError, swar};

impl<'a> Cursor<'a> {
    /// Reads a string and answers the raw bytes between its quotes and whether they hold escapes.
    ///
    /// # Errors
    /// No string stands here, it does not end, or it holds a control character.
    #[inline]
    pub fn raw_string(&mut self) -> Result<(&'a [u8], bool), JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => return Err(JsonError::Text(self.at)),
                None => return Err(JsonError::End),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok((raw, escaped))
    }

    /// Moves to the next quote, backslash or control character, or to the end.
    #[inline(always)]
    fn plain(&mut self) {
        while let Some(word) = swar::word(self.text, self.at) {
            let special = swar::special(word);
            if special != 0 {
                self.at += swar::first(special);
                return;
            }
            self.at += swar::WIDTH;
        }
        // The end is filled up with zero bytes, which are control characters.
        self.at += swar::first(swar::special(swar::filled(self.text, self.at)));
    }

    /// Skips a string that holds neither escapes nor control characters; false changes nothing.
    #[inline(always)]
    pub(super) fn skip_plain_text(&mut self) -> bool {
        let start = self.at;
        self.at += 1;
        self.plain();
        let plain = self.peek() == Some(b'"');
        self.at = if plain { self.at + 1 } else { start };
        plain
    }

    /// Reads a string with its escapes resolved.
    ///
    /// # Errors
    /// No valid string stands here.
    pub fn string(&mut self) -> Result<Arc<str>, JsonError> {
        let at = self.at;
        let (raw, escaped) = self.raw_string()?;
        text_of(raw, escaped).ok_or(JsonError::Text(at))
    }
}

/// The text of a raw JSON string; none when it is not UTF-8 or an escape is broken.
pub(crate) fn text_of(raw: &[u8], escaped: bool) -> Option<Arc<str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if escaped { unescape(text).map(Arc::from) } else { Some(Arc::from(text)) }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1)?;
        let mut used = at + 2;
        match code {
            b'"' | b'\\' | b'/' => out.push(char::from(*code)),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let (char, taken) = unicode(&rest[at..])?;
                out.push(char);
                used = at + taken;
            }
            _ => return None,
        }
        rest = &rest[used..];
    }
    out.push_str(rest);
    Some(out)
}

/// Reads `\uXXXX` or a surrogate pair; a lone surrogate becomes U+FFFD as in Go.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())?
    };
    let high = unit(0)?;
    if (0xd800..0xdc00).contains(&high)
        && let Some(low) = unit(6).filter(|low| (0xdc00..0xe000).contains(low))
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(code).map(|char| (char, 12));
    }
    Some((char::from_u32(high).unwrap_or('\u{fffd}'), 6))
}

/// Doubles the backslash of unknown escapes and replaces invalid UTF-8.
pub(super) fn repair(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        out.push(char);
        if char != '\\' {
            continue;
        }
        let rest = &text[at..];
        match rest.as_bytes().get(1) {
            Some(b'u') if unicode(rest).is_some() => {}
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            _ => out.push('\\'),
        }
        if let Some((_, next)) = chars.next() {
            out.push(next);
        }
    }
    out
}
