use std::cmp::Ordering;
use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use thiserror::Error;

/// Why a text is not a quantity, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

/// An amount of a resource: `100m`, `128Mi`, `1.5`, `2e3`. Compared by value; prints in the notation it was written in.
///
/// Held in billionths, the finest Kubernetes knows; finer amounts are rounded away from zero, larger ones than 2^63-1 are
/// that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Notation {
    #[default]
    Decimal,
    Binary,
    Exponent,
}

const UNIT: i128 = 1_000_000_000;
const MAX: i128 = i64::MAX as i128 * UNIT;
/// Suffixes of powers of 1000, from billionths up.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Suffixes of powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// A whole amount.
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * UNIT, notation: Notation::Decimal }
    }

    /// An amount in thousandths, such as millicores.
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (UNIT / 1000), notation: Notation::Decimal }
    }

    /// The amount in whole units, rounded up: bytes of memory.
    pub fn units(self) -> i64 {
        ceil(self.nanos, UNIT)
    }

    /// The amount in thousandths, rounded up: millicores.
    pub fn millis(self) -> i64 {
        ceil(self.nanos, UNIT / 1000)
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The difference; negative if `other` is more.
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: clamp(self.nanos - other.nanos), notation: self.notation }
    }
}

fn ceil(nanos: i128, unit: i128) -> i64 {
    i64::try_from(-(-nanos).div_euclid(unit)).unwrap_or(i64::MAX)
}

fn clamp(nanos: i128) -> i128 {
    nanos.clamp(-MAX, MAX)
}

/// The sum, in the notation of the left side unless that is zero.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let notation = if self.is_zero() { other.notation } else { self.notation };
        Self { nanos: clamp(self.nanos + other.nanos), notation }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError);
        }
        let (scale, notation) = scale(suffix).ok_or(QuantityError)?;
        let nanos = clamp(amount(whole, fraction, scale));
        Ok(Self { nanos: if negative { -nanos } else { nanos }, notation })
    }
}

/// What one unit of the number means in billionths: `numerator * 10^exponent`.
#[derive(Clone, Copy)]
struct Scale {
    numerator: i128,
    exponent: i32,
}

fn scale(suffix: &str) -> Option<(Scale, Notation)> {
    if let Some(power) = BINARY.iter().position(|name| *name == suffix).filter(|power| *power > 0) {
        return Some((Scale { numerator: 1 << (10 * power), exponent: 9 }, Notation::Binary));
    }
    if let Some(power) = DECIMAL.iter().position(|name| *name == suffix) {
        return Some((Scale { numerator: 1, exponent: 3 * i32::try_from(power).ok()? }, Notation::Decimal));
    }
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Beyond these powers nothing is left between zero and the largest amount.
    let exponent = digits.parse::<i32>().unwrap_or(if digits.starts_with('-') { -99 } else { 99 }).clamp(-99, 99);
    Some((Scale { numerator: 1, exponent: exponent + 9 }, Notation::Exponent))
}

/// The amount in billionths, rounded up, capped somewhere above the largest amount.
fn amount(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let fraction = fraction.trim_end_matches('0');
    let mut exponent = scale.exponent - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let digits = whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0').collect::<Vec<_>>();
    // The largest amount has 28 digits; what is cut off on the right only decides about rounding up.
    let kept = digits.len().min(28);
    let mut lost = digits[kept..].iter().any(|byte| *byte != b'0');
    exponent = exponent.saturating_add(i32::try_from(digits.len() - kept).unwrap_or(i32::MAX));
    let mut value = digits[..kept].iter().fold(0_i128, |value, byte| value * 10 + i128::from(byte - b'0'));
    if value == 0 {
        return 0;
    }
    while value.checked_mul(scale.numerator).is_none() {
        lost |= value % 10 != 0;
        (value, exponent) = (value / 10, exponent + 1);
    }
    value *= scale.numerator;
    while exponent > 0 && value < MAX {
        value = value.saturating_mul(10);
        exponent -= 1;
    }
    while exponent < 0 && value > 0 {
        lost |= value % 10 != 0;
        value /= 10;
        exponent += 1;
    }
    value.saturating_add(i128::from(lost))
}

/// The canonical text: no fraction, the largest suffix that loses nothing.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // Small and broken amounts have no binary suffix.
        if self.notation == Notation::Binary && self.nanos.abs() >= 1024 * UNIT && self.nanos % UNIT == 0 {
            let (mut units, mut power) = (i128::from(self.units()), 0);
            while units % 1024 == 0 && power + 1 < BINARY.len() {
                (units, power) = (units / 1024, power + 1);
            }
            return write!(f, "{units}{}", BINARY[power]);
        }
        let (mut amount, mut power) = (self.nanos, 0);
        while amount % 1000 == 0 && power + 1 < DECIMAL.len() {
            (amount, power) = (amount / 1000, power + 1);
        }
        match (self.notation, power) {
            (Notation::Exponent, 3) => write!(f, "{amount}"),
            (Notation::Exponent, power) => write!(f, "{amount}e{}", 3 * (power as i32 - 3)),
            _ => write!(f, "{amount}{}", DECIMAL[power]),
        }
    }
}
