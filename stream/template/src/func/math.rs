//! Sprig's arithmetic and conversions.

use super::{Function, Ty, function, int, text, variadic};
use crate::runtime::Runtime;
use crate::unquote;
use crate::value::{Elem, Outcome, Val};

const A: Ty = Ty::Any;
const I: Ty = Ty::Int;

pub(super) const FUNCTIONS: &[Function] = &[
    function("add1", &[A], |_, a| Ok(Val::int64(to_int(&a[0]).wrapping_add(1)))),
    variadic("add", &[], A, |_, a| Ok(Val::int64(a.iter().fold(0, |sum: i64, item| sum.wrapping_add(to_int(item)))))),
    function("sub", &[A, A], |_, a| Ok(Val::int64(to_int(&a[0]).wrapping_sub(to_int(&a[1]))))),
    variadic("mul", &[A], A, |_, a| Ok(Val::int64(a.iter().fold(1, |all: i64, item| all.wrapping_mul(to_int(item)))))),
    function("div", &[A, A], |_, a| Ok(Val::int64(to_int(&a[0]).wrapping_div(divisor(&a[1])?)))),
    function("mod", &[A, A], |_, a| Ok(Val::int64(to_int(&a[0]).wrapping_rem(divisor(&a[1])?)))),
    variadic("max", &[A], A, |_, a| Ok(Val::int64(a.iter().map(to_int).max().unwrap_or(0)))),
    variadic("biggest", &[A], A, |_, a| Ok(Val::int64(a.iter().map(to_int).max().unwrap_or(0)))),
    variadic("min", &[A], A, |_, a| Ok(Val::int64(a.iter().map(to_int).min().unwrap_or(0)))),
    variadic("maxf", &[A], A, |_, a| Ok(Val::Float(fold(a, f64::max)))),
    variadic("minf", &[A], A, |_, a| Ok(Val::Float(fold(a, f64::min)))),
    function("add1f", &[A], |_, a| Ok(Val::Float(decimal(to_float(&a[0]) + 1.0)))),
    variadic("addf", &[], A, |_, a| Ok(Val::Float(a.iter().map(to_float).fold(0.0, |sum, item| decimal(sum + item))))),
    variadic("subf", &[A], A, |_, a| Ok(Val::Float(fold(a, |sum, item| decimal(sum - item))))),
    variadic("mulf", &[A], A, |_, a| Ok(Val::Float(fold(a, |sum, item| decimal(sum * item))))),
    variadic("divf", &[A], A, |_, a| {
        if a[1..].iter().any(|item| to_float(item) == 0.0) {
            return Err("decimal division by 0".into());
        }
        Ok(Val::Float(fold(a, |sum, item| sum / item)))
    }),
    function("floor", &[A], |_, a| Ok(Val::Float(to_float(&a[0]).floor()))),
    function("ceil", &[A], |_, a| Ok(Val::Float(to_float(&a[0]).ceil()))),
    variadic("round", &[A, I], Ty::Float, |_, a| Ok(Val::Float(round(a)))),
    function("int", &[A], |_, a| Ok(Val::int(to_int(&a[0])))),
    function("int64", &[A], |_, a| Ok(Val::int64(to_int(&a[0])))),
    function("float64", &[A], |_, a| Ok(Val::Float(to_float(&a[0])))),
    function("atoi", &[Ty::Str], |_, a| Ok(Val::int(text(a, 0).parse().unwrap_or(0)))),
    function("toDecimal", &[A], |_, a| {
        let digits = super::strval(&a[0])?;
        Ok(Val::int64(i64::from_str_radix(&digits, 8).unwrap_or(0)))
    }),
    variadic("seq", &[], I, seq),
    function("until", &[I], |run, a| {
        let count = int(a, 0);
        numbers(run, until(0, count, if count < 0 { -1 } else { 1 }))
    }),
    function("untilStep", &[I, I, I], |run, a| numbers(run, until(int(a, 0), int(a, 1), int(a, 2)))),
    function("randInt", &[I, I], |_, a| {
        if int(a, 1) <= int(a, 0) {
            return Err("invalid argument to Intn".into());
        }
        Ok(Val::int(rand::random_range(int(a, 0)..int(a, 1))))
    }),
];

/// `cast.ToInt64`.
pub(super) fn to_int(value: &Val) -> i64 {
    match value {
        Val::Int(int, _) => *int,
        Val::Float(float) => *float as i64,
        Val::Bool(bool) => i64::from(*bool),
        Val::Str(text) => unquote::integer(whole(text)).unwrap_or(0),
        _ => 0,
    }
}

/// A text without a fraction of zeros.
fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    }
}

/// `cast.ToFloat64`.
fn to_float(value: &Val) -> f64 {
    match value {
        Val::Int(int, _) => *int as f64,
        Val::Float(float) => *float,
        Val::Bool(bool) => f64::from(u8::from(*bool)),
        Val::Str(text) => unquote::float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn divisor(value: &Val) -> Outcome<i64> {
    match to_int(value) {
        0 => Err("runtime error: integer divide by zero".into()),
        divisor => Ok(divisor),
    }
}

fn fold(args: &[Val], combine: fn(f64, f64) -> f64) -> f64 {
    let mut numbers = args.iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    numbers.fold(first, combine)
}

/// Sprig calculates in decimals: 0.1 + 0.2 is 0.3. Fifteen digits are what a float carries exactly.
fn decimal(float: f64) -> f64 {
    format!("{float:.14e}").parse().unwrap_or(float)
}

fn round(args: &[Val]) -> f64 {
    let on = if let Some(Val::Float(on)) = args.get(2) { *on } else { 0.5 };
    let power = 10f64.powf(int(args, 1) as f64);
    let digit = power * to_float(&args[0]);
    let rounded = if digit.fract() >= on { digit.ceil() } else { digit.floor() };
    rounded / power
}

/// First value, step and count of `untilStep`.
fn until(start: i64, stop: i64, step: i64) -> (i64, i64, u64) {
    let distance = stop.abs_diff(start);
    let runs = (stop < start && step < 0) || (stop >= start && step > 0);
    (start, step, if runs { distance.div_ceil(step.unsigned_abs()) } else { 0 })
}

fn numbers(run: &mut Runtime, (start, step, count): (i64, i64, u64)) -> Outcome<Val> {
    run.charge(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(size_of::<Val>()))?;
    let items = (0..count).map(|index| Val::int(start.wrapping_add(step.wrapping_mul(index as i64))));
    Val::list(Elem::Int, items.collect())
}

fn seq(run: &mut Runtime, args: &[Val]) -> Outcome<Val> {
    let (start, end, step) = match args {
        [_] => (1, int(args, 0), None),
        [_, _] => (int(args, 0), int(args, 1), None),
        [_, _, _] => (int(args, 0), int(args, 2), Some(int(args, 1))),
        _ => return Ok(Val::str("")),
    };
    let unit = if end < start { -1 } else { 1 };
    if end < start && step.is_some_and(|step| step > 0) {
        return Ok(Val::str(""));
    }
    let (start, step, count) = until(start, end.saturating_add(unit), step.unwrap_or(unit));
    run.charge(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(24))?;
    let texts = (0..count).map(|index| start.wrapping_add(step.wrapping_mul(index as i64)).to_string());
    run.text(texts.collect::<Vec<_>>().join(" "))
}
