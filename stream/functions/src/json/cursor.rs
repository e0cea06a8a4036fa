//! A position that moves through a JSON text. Skipping a value costs no allocation, which is what the row scanner lives on.

use super::{JsonError, swar};
use crate::Value;

/// Deepest nesting that is read; deeper input is an error, not a stack overflow.
pub const MAX_DEPTH: u32 = 300;

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte, if any.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space.
    #[inline]
    pub fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes the next byte if it is `byte`.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    /// Takes `byte` or fails.
    ///
    /// # Errors
    /// Another byte or the end stands here.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// Something else follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Tail(self.at)) }
    }

    /// The error for what stands here.
    pub fn unexpected(&self) -> JsonError {
        self.peek().map_or(JsonError::End, |byte| JsonError::Unexpected(self.at, byte))
    }

    /// Enters an object; then call [`Cursor::next_key`] before each value.
    ///
    /// # Errors
    /// No object starts here.
    #[inline]
    pub fn members(&mut self) -> Result<bool, JsonError> {
        self.expect(b'{')?;
        Ok(true)
    }

    /// The next key of an object as raw bytes with its escape flag, positioned at its value; none at the end of the object.
    ///
    /// # Errors
    /// The object is not JSON.
    #[inline]
    pub fn next_key(&mut self, first: &mut bool) -> Result<Option<(&'a [u8], bool)>, JsonError> {
        self.blank();
        if self.eat(b'}') {
            // `{"a":1,}` is not JSON: a closing brace may follow the opening one or a value, never a comma.
            return Ok(None);
        }
        if !*first {
            self.expect(b',')?;
            self.blank();
        }
        *first = false;
        let key = self.raw_string()?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(Some(key))
    }

    /// Takes these bytes if they stand here: what led to a value in a text much like this one. False changes nothing.
    #[inline(always)]
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        let hit = self.text.get(self.at..).is_some_and(|rest| swar::starts_with(rest, bytes));
        self.at += if hit { bytes.len() } else { 0 };
        hit
    }

    /// The bytes from `start` to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Moves to the next item of an array; false at its end.
    ///
    /// # Errors
    /// The array is not JSON.
    pub fn next_item(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.blank();
        if self.eat(b']') {
            return Ok(false);
        }
        if !*first {
            self.expect(b',')?;
            self.blank();
        }
        *first = false;
        Ok(true)
    }

    /// Skips a text without escapes or a short number inside an object: what most values are. False changes nothing, and
    /// says nothing about the value.
    #[inline(always)]
    pub fn skip_flat(&mut self) -> bool {
        match self.peek() {
            Some(b'"') => self.skip_plain_text(),
            _ => self.skip_plain_number(),
        }
    }

    /// Skips one value of any kind.
    ///
    /// # Errors
    /// The value is not JSON or nested too deeply.
    #[inline]
    pub fn skip(&mut self, depth: u32) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.raw_number().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(depth),
            _ => self.word().map(|_| ()),
        }
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        if self.peek() == Some(b'{') {
            let mut members = self.members()?;
            while let Some(_key) = self.next_key(&mut members)? {
                self.skip(depth + 1)?;
            }
        } else {
            let mut first = true;
            self.at += 1;
            while self.next_item(&mut first)? {
                self.skip(depth + 1)?;
            }
        }
        Ok(())
    }

    /// Reads `true`, `false` or `null`.
    ///
    /// # Errors
    /// Another word stands here.
    pub fn word(&mut self) -> Result<Value, JsonError> {
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Nil)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected())
    }
}
