//! Registers to values and back.
//!
//! KubeEdge's rules (mappers-go, Modbus driver): registers are big-endian bytes; `isRegisterSwap` reverses the order of
//! registers, `isSwap` the bytes in each. Whole numbers are unsigned unless the visitor says `isSigned`. Added here:
//! floats in a single register are scaled whole numbers, and doubles take four registers.

use edgeward_twin::ValueType;

use super::config::Point;
use crate::report::Scalar;

/// A value of a point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    Number(f64),
    /// A whole number beyond what a double holds exactly stays exact.
    Whole(i128),
    Flag(bool),
    Text(String),
}

impl Reading {
    /// The twin's text.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl<'a> From<&'a Reading> for Scalar<'a> {
    fn from(reading: &'a Reading) -> Self {
        match reading {
            Reading::Number(number) => Self::Number(*number),
            Reading::Whole(whole) => Self::Whole(*whole),
            Reading::Flag(flag) => Self::Flag(*flag),
            Reading::Text(text) => Self::Text(text),
        }
    }
}

/// The value of coils or discrete inputs: the first one for booleans, a bit field for numbers.
pub(crate) fn decode_bits(point: &Point, bits: &[bool]) -> Result<Reading, String> {
    match point.value_type {
        ValueType::Boolean => Ok(Reading::Flag(bits.first().copied().unwrap_or_default())),
        _ if bits.len() > 63 => Err(format!("{} coils do not fit a number; 63 are the limit", bits.len())),
        _ => {
            let whole = bits.iter().rev().fold(0i64, |whole, bit| whole << 1 | i64::from(*bit));
            Ok(scaled(point, i128::from(whole)))
        }
    }
}

/// The value of registers.
pub(crate) fn decode_registers(point: &Point, registers: &[u16]) -> Result<Reading, String> {
    let bytes = ordered(point, registers);
    match (point.value_type, registers.len()) {
        (ValueType::Boolean, _) => Ok(Reading::Flag(bytes.iter().any(|byte| *byte != 0))),
        (ValueType::String | ValueType::Bytes | ValueType::Stream, _) => Ok(Reading::Text(text(&bytes))),
        (ValueType::Float | ValueType::Double, 2) => {
            let float = f32::from_be_bytes(fixed(&bytes));
            // The shortest text of the single, not the longer one of the double it becomes.
            let number = if point.scale == 1.0 { shortest(float) } else { tidy(f64::from(float) * point.scale) };
            Ok(Reading::Number(number))
        }
        (ValueType::Float | ValueType::Double, 4) => {
            Ok(Reading::Number(tidy(f64::from_be_bytes(fixed(&bytes)) * point.scale)))
        }
        (_, 1 | 2 | 4) => Ok(scaled(point, whole(point, &bytes))),
        (_, count) => Err(format!("{count} registers are no {:?}; set limit to 1, 2 or 4", point.value_type)),
    }
}

/// The registers that mean `value`.
pub(crate) fn encode_registers(point: &Point, value: &str) -> Result<Vec<u16>, String> {
    let width = usize::from(point.limit) * 2;
    let bytes = match (point.value_type, point.limit) {
        (ValueType::Boolean, _) => {
            let mut bytes = vec![0; width];
            if let Some(last) = bytes.last_mut() {
                *last = u8::from(parse_flag(value)?);
            }
            bytes
        }
        (ValueType::String | ValueType::Bytes | ValueType::Stream, _) => {
            if value.len() > width {
                return Err(format!("the text has {} bytes, {} registers hold {width}", value.len(), point.limit));
            }
            let mut bytes = value.as_bytes().to_vec();
            bytes.resize(width, 0);
            bytes
        }
        (ValueType::Float | ValueType::Double, 2) => {
            ((parse_number(value)? / point.scale) as f32).to_be_bytes().to_vec()
        }
        (ValueType::Float | ValueType::Double, 4) => (parse_number(value)? / point.scale).to_be_bytes().to_vec(),
        (_, 1 | 2 | 4) => whole_bytes(point, value, width)?,
        (_, limit) => return Err(format!("{limit} registers are no {:?}; set limit to 1, 2 or 4", point.value_type)),
    };
    let registers: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    Ok(swapped(point, registers))
}

/// The coils that mean `value`.
pub(crate) fn encode_bits(point: &Point, value: &str) -> Result<Vec<bool>, String> {
    if point.value_type == ValueType::Boolean {
        return Ok(vec![parse_flag(value)?; usize::from(point.limit)]);
    }
    let whole = parse_number(value)? / point.scale;
    let limit = u32::from(point.limit.min(53));
    if whole.fract() != 0.0 || whole < 0.0 || whole >= 2f64.powi(limit as i32) {
        return Err(format!("{value} does not fit {limit} coils"));
    }
    Ok((0..point.limit).map(|bit| bit < 53 && (whole as u64) >> bit & 1 == 1).collect())
}

fn parse_flag(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{value:?} is no boolean; use true or false")),
    }
}

fn parse_number(value: &str) -> Result<f64, String> {
    value.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| format!("{value:?} is no number"))
}

/// A whole number of `width` bytes, scaled back and checked against what fits.
fn whole_bytes(point: &Point, value: &str, width: usize) -> Result<Vec<u8>, String> {
    let whole = match value.parse::<i128>() {
        Ok(whole) if point.scale == 1.0 => whole,
        _ => (parse_number(value)? / point.scale).round() as i128,
    };
    let bits = width * 8;
    let (lowest, highest) =
        if point.signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
    if whole < lowest || whole > highest {
        return Err(format!("{value} does not fit {} registers", point.limit));
    }
    Ok(whole.to_be_bytes()[16 - width..].to_vec())
}

fn whole(point: &Point, bytes: &[u8]) -> i128 {
    let unsigned = bytes.iter().fold(0i128, |whole, byte| whole << 8 | i128::from(*byte));
    let negative = point.signed && bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    if negative { unsigned - (1i128 << (bytes.len() * 8)) } else { unsigned }
}

fn scaled(point: &Point, whole: i128) -> Reading {
    match point.value_type {
        ValueType::Int if point.scale == 1.0 => Reading::Whole(whole),
        ValueType::Int => Reading::Whole((whole as f64 * point.scale).round() as i128),
        _ => Reading::Number(tidy(whole as f64 * point.scale)),
    }
}

/// Text up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

/// Takes the noise of a binary scale out: 213 × 0.1 is 21.3, not 21.300000000000004.
fn tidy(number: f64) -> f64 {
    format!("{number:.12e}").parse().unwrap_or(number)
}

/// The double whose shortest text is that of the single.
fn shortest(float: f32) -> f64 {
    float.to_string().parse().unwrap_or(f64::from(float))
}

fn ordered(point: &Point, registers: &[u16]) -> Vec<u8> {
    swapped(point, registers.to_vec()).iter().flat_map(|register| register.to_be_bytes()).collect()
}

/// The same both ways.
fn swapped(point: &Point, mut registers: Vec<u16>) -> Vec<u16> {
    if point.register_swap {
        registers.reverse();
    }
    if point.swap {
        registers.iter_mut().for_each(|register| *register = register.swap_bytes());
    }
    registers
}

/// The bytes of a number; callers match the length first.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::config::Table;
    use super::*;

    fn point(value_type: ValueType, limit: u16, scale: f64) -> Point {
        Point {
            name: "p".into(),
            table: Table::HoldingRegister,
            offset: 0,
            limit,
            scale,
            swap: false,
            register_swap: false,
            signed: false,
            value_type,
            desired: None,
            cycle: Duration::from_secs(1),
            report_cycle: Duration::ZERO,
        }
    }

    #[test]
    fn registers_are_read() {
        let check = |point: Point, registers: &[u16], expect: &str| {
            let got = decode_registers(&point, registers).map_or_else(|error| error, |reading| reading.to_text());
            assert_eq!(got, expect, "{registers:?}");
        };
        use ValueType::*;
        check(point(Int, 1, 1.0), &[42], "42");
        check(point(Int, 1, 1.0), &[0xffff], "65535");
        check(Point { signed: true, ..point(Int, 1, 1.0) }, &[0xffff], "-1");
        check(point(Int, 2, 1.0), &[1, 2], "65538");
        check(Point { register_swap: true, ..point(Int, 2, 1.0) }, &[2, 1], "65538");
        check(Point { swap: true, ..point(Int, 1, 1.0) }, &[0x2a00], "42");
        check(point(Int, 4, 1.0), &[0xffff; 4], "18446744073709551615");
        check(point(Int, 1, 0.5), &[43], "22");
        check(point(Float, 1, 0.1), &[213], "21.3");
        check(point(Float, 2, 1.0), &[0x41aa, 0x6666], "21.3");
        check(point(Double, 4, 1.0), &[0x4035, 0x4ccc, 0xcccc, 0xcccd], "21.3");
        check(point(Boolean, 1, 1.0), &[0], "false");
        check(point(Boolean, 1, 1.0), &[256], "true");
        check(point(String, 3, 1.0), &[0x6162, 0x6300, 0], "abc");
        check(point(Int, 3, 1.0), &[0; 3], "3 registers are no Int; set limit to 1, 2 or 4");
    }

    #[test]
    fn coils_are_read() {
        let check = |value_type, bits: &[bool], expect: &str| {
            let point = point(value_type, bits.len() as u16, 1.0);
            assert_eq!(decode_bits(&point, bits).unwrap().to_text(), expect);
        };
        check(ValueType::Boolean, &[true], "true");
        check(ValueType::Int, &[true, false, true], "5");
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let check = |point: Point, value: &str, expect: &str| {
            let error = encode_registers(&point, value).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check(point(ValueType::Int, 1, 1.0), "65536", "does not fit");
        check(point(ValueType::Int, 1, 1.0), "-1", "does not fit");
        check(point(ValueType::Int, 1, 1.0), "warm", "no number");
        check(point(ValueType::Boolean, 1, 1.0), "perhaps", "no boolean");
        check(point(ValueType::String, 1, 1.0), "abc", "3 bytes");
        check(point(ValueType::Int, 3, 1.0), "1", "set limit");
    }

    fn any_point() -> impl Strategy<Value = Point> {
        let types = prop_oneof![
            Just(ValueType::Int),
            Just(ValueType::Float),
            Just(ValueType::Double),
            Just(ValueType::Boolean),
            Just(ValueType::String)
        ];
        (types, 1u16..6, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(value_type, limit, swap, register_swap, signed)| Point {
                swap,
                register_swap,
                signed,
                ..point(value_type, limit, 1.0)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(point in any_point(), registers in prop::collection::vec(any::<u16>(), 5)) {
            let registers = &registers[..usize::from(point.limit)];
            if let Ok(reading) = decode_registers(&point, registers)
                && let Ok(written) = encode_registers(&point, &reading.to_text())
            {
                let again = decode_registers(&point, &written).unwrap();
                prop_assert_eq!(again.to_text(), reading.to_text());
            }
        }

        #[test]
        fn any_text_is_encoded_or_refused(point in any_point(), value in ".{0,12}") {
            let _either = (encode_registers(&point, &value), encode_bits(&point, &value));
        }
    }
}
