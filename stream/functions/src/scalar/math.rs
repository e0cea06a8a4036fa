//! The 33 mathematical functions.

use super::{int, number};
use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
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
    float!("acos", f64::acos),
    float!("asin", f64::asin),
    float!("atan", f64::atan),
    Function::scalar("atan2", (2, 2), &[Number], |args, _| Ok(Value::Float(number(args, 0)?.atan2(number(args, 1)?)))),
    Function::scalar("bitand", (2, 2), &[Int], |args, _| Ok(Value::Int(int(args, 0)? & int(args, 1)?))),
    Function::scalar("bitor", (2, 2), &[Int], |args, _| Ok(Value::Int(int(args, 0)? | int(args, 1)?))),
    Function::scalar("bitxor", (2, 2), &[Int], |args, _| Ok(Value::Int(int(args, 0)? ^ int(args, 1)?))),
    Function::scalar("bitnot", (1, 1), &[Int], |args, _| Ok(Value::Int(!int(args, 0)?))),
    float!("ceil", f64::ceil),
    float!("cos", f64::cos),
    float!("cosh", f64::cosh),
    float!("cot", |x: f64| 1.0 / x.tan()),
    Function::scalar("conv", (3, 3), &[Any, Int, Int], conv),
    float!("degrees", f64::to_degrees),
    float!("exp", f64::exp),
    float!("floor", f64::floor),
    Function::scalar("ln", (1, 1), &[Number], |args, _| Ok(real(number(args, 0)?.ln()))),
    Function::scalar("log", (1, 2), &[Number], log),
    Function::scalar("mod", (2, 2), &[Number], |args, _| Ok(Value::Float(number(args, 0)? % number(args, 1)?))),
    Function::scalar("pi", (0, 0), &[Any], |_, _| Ok(Value::Float(std::f64::consts::PI))),
    Function::scalar("power", (2, 2), &[Number], |args, _| Ok(Value::Float(number(args, 0)?.powf(number(args, 1)?)))),
    float!("radians", f64::to_radians),
    Function::scalar("rand", (0, 0), &[Any], |_, _| Ok(Value::Float(rand::random()))),
    Function::scalar("round", (1, 2), &[Number, Int], round),
    Function::scalar("sign", (1, 1), &[Number], |args, _| {
        let x = number(args, 0)?;
        Ok(Value::Int(i64::from(x > 0.0) - i64::from(x < 0.0)))
    }),
    float!("sin", f64::sin),
    float!("sinh", f64::sinh),
    Function::scalar("sqrt", (1, 1), &[Number], |args, _| Ok(real(number(args, 0)?.sqrt()))),
    float!("tan", f64::tan),
    float!("tanh", f64::tanh),
    Function::scalar("hex2dec", (1, 1), &[Str], hex2dec),
    Function::scalar("dec2hex", (1, 1), &[Int], |args, _| {
        int(args, 0).map(|int| Value::str(format!("{}0x{:x}", if int < 0 { "-" } else { "" }, int.unsigned_abs())))
    }),
    Function::scalar("trunc", (2, 2), &[Number, Int], |args, _| {
        let scale = 10f64.powi(i32::try_from(int(args, 1)?).unwrap_or(300));
        let truncated = (number(args, 0)? * scale).trunc() / scale;
        Ok(Value::Float(if truncated.is_finite() { truncated } else { number(args, 0)? }))
    }),
];

/// NaN, as outside a function's domain, is nil.
fn real(float: f64) -> Value {
    if float.is_nan() { Value::Nil } else { Value::Float(float) }
}

fn abs(args: &Args<'_>, _: &Context) -> Result<Value> {
    Ok(match &*args[0] {
        Value::Int(int) => Value::Int(int.wrapping_abs()),
        _ => Value::Float(number(args, 0)?.abs()),
    })
}

/// `log(x)` to base 10, `log(b, x)` to base b.
fn log(args: &Args<'_>, _: &Context) -> Result<Value> {
    let first = number(args, 0)?;
    Ok(real(if args.len() == 1 { first.log10() } else { number(args, 1)?.log(first) }))
}

/// Half away from zero; an int stays an int.
fn round(args: &Args<'_>, _: &Context) -> Result<Value> {
    let digits = if args.len() == 2 { int(args, 1)? } else { 0 };
    let x = number(args, 0)?;
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

fn hex2dec(args: &Args<'_>, _: &Context) -> Result<Value> {
    let text = args[0].as_str().ok_or_else(|| Error::call("invalid input type: hex2dec expects string"))?;
    let digits = text.trim_start_matches("0x").trim_start_matches("0X");
    i64::from_str_radix(digits, 16)
        .map(Value::Int)
        .map_err(|_| Error::call(format!("invalid hexadecimal value: {text}")))
}

/// `conv(n, from, to)`: text of a number in another base; a negative base means signed.
fn conv(args: &Args<'_>, _: &Context) -> Result<Value> {
    let (from, to) = (int(args, 1)?, int(args, 2)?);
    let base = |base: i64| u32::try_from(base.unsigned_abs()).ok().filter(|base| (2..=36).contains(base));
    let (Some(from_base), Some(to_base)) = (base(from), base(to)) else { return Ok(Value::Nil) };
    let text = GoText(&args[0]).to_string();
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    // As MySQL: what is not a digit of the base ends the number.
    let valid = digits.find(|char: char| !char.is_digit(from_base)).map_or(digits, |end| &digits[..end]);
    let magnitude = if valid.is_empty() { 0 } else { u64::from_str_radix(valid, from_base).unwrap_or(u64::MAX) };
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
