//! Numbers: their grammar, and how they become integers and floats.

use super::{Cursor, JsonError, swar};
use crate::Value;

/// What a JSON number becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbers {
    /// Always a float, eKuiper's default without a schema.
    #[default]
    Float,
    /// Whole numbers become integers (`useInt64ForWholeNumber`).
    WholeAsInt,
}

impl<'a> Cursor<'a> {
    /// Reads a number's text.
    ///
    /// # Errors
    /// It does not follow JSON's number grammar.
    #[inline]
    pub fn raw_number(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        self.eat(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected()),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    #[inline]
    fn digits(&mut self) {
        while let Some(word) = swar::word(self.text, self.at) {
            let other = swar::non_digits(word);
            if other != 0 {
                self.at += swar::first(other);
                return;
            }
            self.at += swar::WIDTH;
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    /// Skips a number of few digits without an exponent, as a member of an object; false changes nothing.
    #[inline(always)]
    pub(super) fn skip_plain_number(&mut self) -> bool {
        let start = self.at + usize::from(self.peek() == Some(b'-'));
        let digits = swar::run(self.text, start);
        let leading_zero = digits > 1 && self.text.get(start) == Some(&b'0');
        if digits == 0 || digits == 2 * swar::WIDTH || leading_zero {
            return false;
        }
        let mut end = start + digits;
        if self.text.get(end) == Some(&b'.') {
            let decimals = swar::run(self.text, end + 1);
            if decimals == 0 {
                return false;
            }
            end += 1 + decimals;
        }
        // What else follows, more digits among it, is not for here.
        let ends = matches!(self.text.get(end), Some(b',' | b'}'));
        self.at = if ends { end } else { self.at };
        ends
    }

    /// Reads a number of at most 15 digits without exponent: exact by one division (Clinger's fast path). What else stands
    /// here, a number or not, is left to [`Cursor::value`].
    #[inline(always)]
    pub fn short_float(&mut self) -> Option<f64> {
        let negative = self.peek() == Some(b'-');
        let start = self.at + usize::from(negative);
        let (mantissa, digits, decimals) = match swar::decimal(self.text, start) {
            Some(short) => short,
            None => self.long_decimal(start)?,
        };
        let end = start + digits + if decimals == 0 { 0 } else { 1 + decimals };
        let leading_zero = digits > 1 && self.text.get(start) == Some(&b'0');
        let dot = decimals == 0 && self.text.get(end) == Some(&b'.');
        if digits == 0 || leading_zero || dot || matches!(self.text.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at = end;
        let float = if decimals == 0 { mantissa as f64 } else { mantissa as f64 / POWERS[decimals] };
        Some(if negative { -float } else { float })
    }

    /// The digits at `start` without their point, and how many stand before and behind it; none of more than 15.
    fn long_decimal(&self, start: usize) -> Option<(u64, usize, usize)> {
        let (whole, digits) = swar::number(self.text, start);
        if digits > 15 {
            return None;
        }
        if self.text.get(start + digits) != Some(&b'.') {
            return Some((whole, digits, 0));
        }
        let (fraction, decimals) = swar::number(self.text, start + digits + 1);
        (digits + decimals <= 15).then(|| (whole * POWERS[decimals] as u64 + fraction, digits, decimals))
    }

    /// Reads a number.
    ///
    /// # Errors
    /// No valid number stands here, or it is too large for a float.
    #[inline]
    pub fn number(&mut self, numbers: Numbers) -> Result<Value, JsonError> {
        if numbers == Numbers::Float
            && let Some(float) = self.short_float()
        {
            return Ok(Value::Float(float));
        }
        let at = self.at;
        let raw = self.raw_number()?;
        if numbers == Numbers::WholeAsInt
            && let Some(int) = int_of(raw)
        {
            return Ok(Value::Int(int));
        }
        float_of(raw).map(Value::Float).ok_or(JsonError::Number(at))
    }
}

/// An integer literal without fraction and exponent that fits 64 bits.
pub(crate) fn int_of(raw: &[u8]) -> Option<i64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// The float of a JSON number of any length.
pub(crate) fn float_of(raw: &[u8]) -> Option<f64> {
    let float: f64 = std::str::from_utf8(raw).ok()?.parse().ok()?;
    float.is_finite().then_some(float)
}

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
