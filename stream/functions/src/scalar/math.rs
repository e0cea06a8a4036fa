//! The 33 mathematical functions.

use edgeward_sql::ast::Expr;

use super::{inconvertible, int, number, text};
use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::gomath;
use crate::registry::Type::{Any, Int, Number, Str};
use crate::registry::{Args, Context, Function};

/// A function of one number that is a float whatever it gets.
macro_rules! float {
    ($name:literal, $run:expr) => {
        Function::scalar($name, (1, 1), &[Number], |args, _| number(args, 0).map(|x| Value::Float(($run)(x))))
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("abs", (1, 1), &[Number], abs),
    float!("acos", gomath::acos),
    float!("asin", gomath::asin),
    float!("atan", gomath::atan),
    Function::scalar("atan2", (2, 2), &[Number], |args, _| {
        Ok(Value::Float(gomath::atan2(number(args, 0)?, number(args, 1)?)))
    }),
    Function::scalar("bitand", (2, 2), &[Int], |args, _| bits(args, |a, b| a & b)),
    Function::scalar("bitor", (2, 2), &[Int], |args, _| bits(args, |a, b| a | b)),
    Function::scalar("bitxor", (2, 2), &[Int], |args, _| bits(args, |a, b| a ^ b)),
    Function::scalar("bitnot", (1, 1), &[Int], |args, _| Ok(Value::Int(!bit_operand(args, 0, "operand")?))),
    float!("ceil", f64::ceil),
    float!("cos", gomath::cos),
    float!("cosh", gomath::cosh),
    float!("cot", |x: f64| 1.0 / gomath::tan(x)),
    Function::scalar("conv", (3, 3), &[Any, Int, Int], conv),
    float!("degrees", f64::to_degrees),
    float!("exp", gomath::exp),
    float!("floor", f64::floor),
    Function::scalar("ln", (1, 1), &[Number], |args, _| Ok(real(gomath::log(number(args, 0)?)))),
    Function::scalar("log", (1, 2), &[Number], log).miscounted("Expect 1 or 2 arguments only"),
    Function::scalar("mod", (2, 2), &[Number], |args, _| Ok(Value::Float(number(args, 0)? % number(args, 1)?))),
    Function::scalar("pi", (0, 0), &[], |_, _| Ok(Value::Float(std::f64::consts::PI))),
    Function::scalar("power", (2, 2), &[Number], |args, _| {
        Ok(Value::Float(gomath::pow(number(args, 0)?, number(args, 1)?)))
    }),
    float!("radians", f64::to_radians),
    Function::scalar("rand", (0, 0), &[], |_, _| Ok(Value::Float(rand::random()))),
    Function::scalar("round", (1, 2), &[Number, Int], round).miscounted("Expect 1 or 2 arguments only"),
    Function::scalar("sign", (1, 1), &[Number], |args, _| {
        let x = number(args, 0)?;
        Ok(Value::Int(i64::from(x > 0.0) - i64::from(x < 0.0)))
    }),
    float!("sin", gomath::sin),
    float!("sinh", gomath::sinh),
    Function::scalar("sqrt", (1, 1), &[Number], |args, _| Ok(real(number(args, 0)?.sqrt()))),
    float!("tan", gomath::tan),
    float!("tanh", gomath::tanh),
    Function::scalar("hex2dec", (1, 1), &[Str], hex2dec),
    Function::scalar("dec2hex", (1, 1), &[Int], |args, _| {
        let int = int(args, 0)?;
        Ok(Value::str(format!("0x{}{:x}", if int < 0 { "-" } else { "" }, int.unsigned_abs())))
    }),
    Function::scalar("trunc", (2, 2), &[Any, Int], trunc).literals(|args| match args.first() {
        // A text literal passes here and fails at run time.
        Some(Expr::Bool(_)) => Err("Expect number - float or int type for parameter 1"),
        _ => Ok(()),
    }),
];

/// NaN, as outside a function's domain, is nil.
fn real(float: f64) -> Value {
    if float.is_nan() { Value::Nil } else { Value::Float(float) }
}

fn bit_operand(args: &Args<'_>, index: usize, which: &str) -> Result<i64> {
    let value = &args[index];
    value.as_i64().ok_or_else(|| {
        Error::call(format!("Expect int type for {which} but got {}({})", value.type_name(), GoText(value)))
    })
}

fn bits(args: &Args<'_>, combine: fn(i64, i64) -> i64) -> Result<Value> {
    let (a, b) = (bit_operand(args, 0, "the first operand")?, bit_operand(args, 1, "the second operand")?);
    Ok(Value::Int(combine(a, b)))
}

/// What `abs` and `round` say of anything but a number.
const NO_NUMBER: &str = "only float64 & int type are supported";

fn abs(args: &Args<'_>, _: &Context) -> Result<Value> {
    match &*args[0] {
        Value::Int(int) => Ok(Value::Int(int.wrapping_abs())),
        Value::Float(float) => Ok(Value::Float(float.abs())),
        _ => Err(Error::call(NO_NUMBER)),
    }
}

/// `log(x)` to base 10, `log(b, x)` to base b.
fn log(args: &Args<'_>, _: &Context) -> Result<Value> {
    let first = number(args, 0)?;
    Ok(real(match args.len() {
        1 => gomath::log10(first),
        _ => gomath::log(number(args, 1)?) / gomath::log(first),
    }))
}

/// Half away from zero; an int stays an int.
fn round(args: &Args<'_>, _: &Context) -> Result<Value> {
    let digits = if args.len() == 2 { int(args, 1)? } else { 0 };
    let x = args[0].as_f64().ok_or_else(|| Error::call(NO_NUMBER))?;
    if digits == 0 {
        return Ok(match &*args[0] {
            Value::Int(int) => Value::Int(*int),
            _ => Value::Float(x.round()),
        });
    }
    let scale = 10f64.powi(i32::try_from(digits.clamp(-300, 300)).unwrap_or(0));
    let rounded = (x * scale).round() / scale;
    Ok(Value::Float(if rounded.is_finite() { rounded } else { x }))
}

/// `trunc(x, digits)`. Its name notwithstanding it rounds, half away from zero.
fn trunc(args: &Args<'_>, _: &Context) -> Result<Value> {
    let x = args[0].as_f64().ok_or_else(|| Error::call("Only int and float type can be truncated."))?;
    let digits = args[1].as_i64().ok_or_else(|| Error::call("The 2nd parameter must be int value."))?;
    let scale = gomath::pow(10.0, digits as f64);
    let scaled = x * scale;
    let rounded = (scaled + 0.5f64.copysign(scaled)).trunc() / scale;
    Ok(Value::Float(if rounded.is_finite() { rounded } else { x }))
}

fn hex2dec(args: &Args<'_>, _: &Context) -> Result<Value> {
    let text = args[0]
        .as_str()
        .ok_or_else(|| Error::call(format!("invalid input type: {} please input hex string", GoText(&args[0]))))?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let number = i64::from_str_radix(digits, 16).map(Value::Int);
    number.map_err(|_| Error::call(format!("invalid hexadecimal value: {digits}")))
}

/// `conv(n, from, to)`: text of a number in another base, as MySQL has it: what is not a digit ends the number, a negative `from`
/// base reads signed numbers, a negative `to` base shows a sign. Bases outside 2..36 make nil.
fn conv(args: &Args<'_>, _: &Context) -> Result<Value> {
    if matches!(&*args[0], Value::Array(_) | Value::Map(_)) {
        return Err(inconvertible(&args[0], "string"));
    }
    let (from, to) = (int(args, 1)?, int(args, 2)?);
    let base = |base: i64| u32::try_from(base.unsigned_abs()).ok().filter(|base| (2..=36).contains(base));
    let (Some(from_base), Some(to_base)) = (base(from), base(to)) else { return Ok(Value::Nil) };
    let text = text(args, 0);
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let valid = digits.find(|char: char| !char.is_digit(from_base)).map_or(digits, |end| &digits[..end]);
    let mut magnitude = if valid.is_empty() {
        0
    } else {
        u64::from_str_radix(valid, from_base)
            .map_err(|_| Error::call(format!("strconv.ParseUint: parsing {valid:?}: value out of range")))?
    };
    if from < 0 {
        magnitude = magnitude.min(if negative { i64::MIN.unsigned_abs() } else { i64::MAX.unsigned_abs() });
    }
    let bits = if negative { magnitude.wrapping_neg() } else { magnitude };
    let signed = to < 0 && (bits as i64) < 0;
    let shown = in_base(if signed { (bits as i64).unsigned_abs() } else { bits }, to_base);
    Ok(Value::str(if signed { format!("-{shown}") } else { shown }))
}

fn in_base(mut number: u64, base: u32) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % u64::from(base)).unwrap_or(0);
        digits.push(char::from_digit(digit, base).unwrap_or('0').to_ascii_uppercase());
        number /= u64::from(base);
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}
