//! The operators between values, by section 1.9 of eKuiper's rules.

use std::cmp::Ordering;

use edgeward_sql::ast::BinaryOp;

use crate::error::{Error, Result};
use crate::{Value, time};

/// Applies an infix operator other than AND and OR, which need to see their operands lazily.
///
/// # Errors
/// The types do not go together, or a division by zero.
#[inline]
pub fn apply(op: BinaryOp, left: &Value, right: &Value) -> Result<Value> {
    match op {
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
            compare(op, left, right).map(Value::Bool)
        }
        _ => arithmetic(op, left, right),
    }
}

/// A comparison; false as soon as one side is nil, for `!=` too.
///
/// # Errors
/// The types cannot be compared.
#[inline]
pub fn compare(op: BinaryOp, left: &Value, right: &Value) -> Result<bool> {
    let order = match (left, right) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Nil, _) | (_, Value::Nil) => return Ok(false),
        _ => return compare_rare(op, left, right),
    };
    Ok(holds(op, order))
}

/// Whether an ordering satisfies a comparison; NaN satisfies only `!=`.
fn holds(op: BinaryOp, order: Option<Ordering>) -> bool {
    match op {
        BinaryOp::Eq => order == Some(Ordering::Equal),
        BinaryOp::Ne => order != Some(Ordering::Equal),
        BinaryOp::Lt => order == Some(Ordering::Less),
        BinaryOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Gt => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

#[cold]
fn compare_rare(op: BinaryOp, left: &Value, right: &Value) -> Result<bool> {
    let invalid = || Error::operation(left, op.symbol(), right);
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
            Ok((a == b) == (op == BinaryOp::Eq))
        }
        (Value::Time(a), other) => {
            let b = time::to_timestamp(other, &jiff::tz::TimeZone::UTC).map_err(|_| invalid())?;
            Ok(holds(op, Some(a.cmp(&b))))
        }
        _ => Err(invalid()),
    }
}

fn arithmetic(op: BinaryOp, left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(Value::Nil),
        (Value::Int(a), Value::Int(b)) => ints(op, *a, *b).ok_or_else(|| Error::operation(left, op.symbol(), right))?,
        (Value::Bool(a), Value::Bool(b)) => match op {
            BinaryOp::BitAnd => Ok(Value::Bool(a & b)),
            BinaryOp::BitOr => Ok(Value::Bool(a | b)),
            BinaryOp::BitXor => Ok(Value::Bool(a ^ b)),
            _ => Err(Error::operation(left, op.symbol(), right)),
        },
        _ => match (left.as_f64(), right.as_f64()) {
            (Some(a), Some(b)) => floats(op, a, b).ok_or_else(|| Error::operation(left, op.symbol(), right))?,
            _ => Err(Error::operation(left, op.symbol(), right)),
        },
    }
}

/// None: the operator is not defined for integers.
fn ints(op: BinaryOp, a: i64, b: i64) -> Option<Result<Value>> {
    Some(Ok(Value::Int(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div | BinaryOp::Mod if b == 0 => return Some(Err(Error::DividedByZero)),
        BinaryOp::Div => a.wrapping_div(b),
        BinaryOp::Mod => a.wrapping_rem(b),
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        _ => return None,
    })))
}

/// None: the operator is not defined for floats.
fn floats(op: BinaryOp, a: f64, b: f64) -> Option<Result<Value>> {
    Some(Ok(Value::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div | BinaryOp::Mod if b == 0.0 => return Some(Err(Error::DividedByZero)),
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        _ => return None,
    })))
}

/// `text LIKE pattern`: `%` is any run, `_` one character, and the whole text must match.
pub fn like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // Where to resume after the last `%`: one more character goes to it each time.
    let mut resume: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (before_text, before_pattern) = (text.clone(), pattern.clone());
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('%'), _) => {
                text = before_text;
                resume = Some((text.clone(), pattern.clone()));
            }
            (Some('_'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let _ = before_pattern;
                let Some((mut at, after)) = resume.take() else { return false };
                if at.next().is_none() {
                    return false;
                }
                text = at.clone();
                pattern = after.clone();
                resume = Some((at, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: Value, op: BinaryOp, right: Value, expect: &str) {
        let got = match apply(op, &left, &right) {
            Ok(value) => format!("{}({})", value.type_name(), crate::format::GoText(&value)),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn arithmetic_and_comparison() {
        use BinaryOp::*;
        check(7.into(), Div, 2.into(), "int64(3)");
        check((-7).into(), Mod, 2.into(), "int64(-1)");
        check(7.into(), Div, 2.0.into(), "float64(3.5)");
        check(1.into(), Div, 0.into(), "divided by zero");
        check(1.5.into(), Mod, 0.into(), "divided by zero");
        check(Value::Nil, Add, 1.into(), "<nil>(<nil>)");
        check("a".into(), Add, "b".into(), "invalid operation string(a) + string(b)");
        check(i64::MAX.into(), Add, 1.into(), "int64(-9223372036854775808)");
        check(i64::MIN.into(), Div, (-1).into(), "int64(-9223372036854775808)");
        check(1.5.into(), BitAnd, 1.into(), "invalid operation float64(1.5) & int64(1)");
        check(true.into(), BitXor, true.into(), "bool(false)");
        check(Value::Nil, Ne, 1.into(), "bool(false)");
        check(1.into(), Ne, Value::Nil, "bool(false)");
        check(1.into(), Eq, 1.0.into(), "bool(true)");
        check("a".into(), Lt, "b".into(), "bool(true)");
        check("1".into(), Eq, 1.into(), "invalid operation string(1) = int64(1)");
        check(true.into(), Lt, false.into(), "invalid operation bool(true) < bool(false)");
        check(Value::time_ms(1000), Gt, 999.into(), "bool(true)");
        check(
            999.into(),
            Lt,
            Value::time_ms(1000),
            "invalid operation int64(999) < time.Time(1970-01-01 00:00:01 +0000 UTC)",
        );
        check(Value::time_ms(0), Eq, "1970-01-01T00:00:00Z".into(), "bool(true)");
    }

    #[test]
    fn like_patterns() {
        for (text, pattern, expect) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("abc", "_b", false),
            ("aXbXc", "%X%X%", true),
            ("aaa", "%a", true),
            ("ab", "%a", false),
            ("müde", "m_de", true),
            ("a.c", "a.c", true),
            ("abc", "a.c", false),
            ("abab", "%ab", true),
            ("x", "%%x%%", true),
        ] {
            assert_eq!(like(text, pattern), expect, "{text} like {pattern}");
        }
    }
}
