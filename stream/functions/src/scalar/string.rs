//! The 20 text functions.

use regex::Regex;

use super::{amount, int, number, text};
use crate::Value;
use crate::error::{Error, Result};
use crate::registry::Type::{Any, Int, Number, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("concat", (1, MANY), &[Any], concat),
    Function::scalar("endswith", (2, 2), &[Str], |args, _| yes(args, |s, t| s.ends_with(t))).nulls(Nulls::Seen),
    Function::scalar("startswith", (2, 2), &[Str], |args, _| yes(args, |s, t| s.starts_with(t))).nulls(Nulls::Seen),
    Function::scalar("indexof", (2, 2), &[Str], indexof).nulls(Nulls::Seen),
    Function::scalar("length", (1, 1), &[Any], length).nulls(Nulls::Seen),
    Function::scalar("lower", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).to_lowercase()))),
    Function::scalar("upper", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).to_uppercase()))),
    Function::scalar("lpad", (2, 2), &[Str, Int], |args, _| {
        Ok(Value::str(" ".repeat(amount(args, 1)?) + &text(args, 0)))
    }),
    Function::scalar("rpad", (2, 2), &[Str, Int], |args, _| {
        Ok(Value::str(text(args, 0).into_owned() + &" ".repeat(amount(args, 1)?)))
    }),
    Function::scalar("ltrim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim_start()))),
    Function::scalar("rtrim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim_end()))),
    Function::scalar("trim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim()))),
    Function::scalar("numbytes", (1, 1), &[Str], |args, _| {
        Ok(Value::Int(if args[0].is_nil() { 0 } else { text(args, 0).len() as i64 }))
    })
    .nulls(Nulls::Seen),
    Function::scalar("regexp_matches", (2, 2), &[Str], regexp_matches).nulls(Nulls::Seen),
    Function::scalar("regexp_replace", (3, 3), &[Str], |args, _| {
        Ok(Value::str(pattern(&text(args, 1))?.replace_all(&text(args, 0), &*text(args, 2))))
    }),
    Function::scalar("regexp_substr", (2, 2), &[Str], |args, _| {
        Ok(Value::str(pattern(&text(args, 1))?.find(&text(args, 0)).map_or("", |found| found.as_str())))
    }),
    Function::scalar("reverse", (1, 1), &[Str], |args, _| {
        Ok(Value::str(text(args, 0).chars().rev().collect::<String>()))
    }),
    Function::scalar("substring", (2, 3), &[Str, Int], substring),
    Function::scalar("split_value", (3, 3), &[Str, Str, Int], split_value),
    Function::scalar("format", (2, 3), &[Number, Int, Str], format),
];

fn concat(args: &Args<'_>, _: &Context) -> Result<Value> {
    if args[0].as_array().is_some() {
        let mut items = Vec::new();
        for index in 0..args.len() {
            items.extend_from_slice(super::array(args, index)?);
        }
        return Ok(Value::array(items));
    }
    Ok(Value::str((0..args.len()).map(|index| text(args, index)).collect::<String>()))
}

/// A yes-or-no question about two texts; nil says no.
fn yes(args: &Args<'_>, ask: impl Fn(&str, &str) -> bool) -> Result<Value> {
    Ok(Value::Bool(!args[0].is_nil() && !args[1].is_nil() && ask(&text(args, 0), &text(args, 1))))
}

fn indexof(args: &Args<'_>, _: &Context) -> Result<Value> {
    if args[0].is_nil() || args[1].is_nil() {
        return Ok(Value::Int(-1));
    }
    Ok(Value::Int(text(args, 0).find(&*text(args, 1)).map_or(-1, |at| at as i64)))
}

fn length(args: &Args<'_>, _: &Context) -> Result<Value> {
    Ok(Value::Int(match &*args[0] {
        Value::Nil => 0,
        Value::Array(items) => items.len() as i64,
        Value::Map(map) => map.len() as i64,
        Value::Bytes(bytes) => bytes.len() as i64,
        _ => text(args, 0).chars().count() as i64,
    }))
}

/// A pattern. Both Go and this crate speak RE2's syntax.
fn pattern(source: &str) -> Result<Regex> {
    use std::cell::RefCell;
    thread_local! {
        // Patterns are nearly always literals: the last few are kept compiled.
        static RECENT: RefCell<Vec<(String, Regex)>> = const { RefCell::new(Vec::new()) };
    }
    RECENT.with_borrow_mut(|recent| {
        if let Some((_, regex)) = recent.iter().find(|(known, _)| known == source) {
            return Ok(regex.clone());
        }
        let regex = Regex::new(source).map_err(|error| Error::call(format!("error parsing regexp: {error}")))?;
        if recent.len() >= 16 {
            recent.remove(0);
        }
        recent.push((source.to_string(), regex.clone()));
        Ok(regex)
    })
}

fn regexp_matches(args: &Args<'_>, _: &Context) -> Result<Value> {
    if args[0].is_nil() || args[1].is_nil() {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(pattern(&text(args, 1))?.is_match(&text(args, 0))))
}

/// `substring(s, start[, end])`: byte indexes, the end is exclusive and not a length.
fn substring(args: &Args<'_>, _: &Context) -> Result<Value> {
    let source = text(args, 0);
    let bytes = source.as_bytes();
    let start = usize::try_from(int(args, 1)?).map_err(|_| Error::call("start index must be a positive number"))?;
    if start > bytes.len() {
        return Ok(Value::str(""));
    }
    let end = match args.get(2) {
        None => bytes.len(),
        Some(_) => {
            let end = usize::try_from(int(args, 2)?).map_err(|_| Error::call("end index must be a positive number"))?;
            if end < start {
                return Err(Error::call("end index must be larger than start index"));
            }
            end.min(bytes.len())
        }
    };
    Ok(Value::str(String::from_utf8_lossy(&bytes[start..end])))
}

fn split_value(args: &Args<'_>, _: &Context) -> Result<Value> {
    let (source, separator, index) = (text(args, 0), text(args, 1), int(args, 2)?);
    // Go splits by an empty separator into characters.
    let parts: Vec<String> = if separator.is_empty() {
        source.chars().map(String::from).collect()
    } else {
        source.split(&*separator).map(String::from).collect()
    };
    let part = usize::try_from(index).ok().and_then(|index| parts.get(index));
    part.map(|part| Value::str(part.as_str()))
        .ok_or_else(|| Error::call(format!("{index} out of index array (size = {})", parts.len())))
}

/// `format(x, decimals[, locale])`: with a locale the digits are grouped.
fn format(args: &Args<'_>, _: &Context) -> Result<Value> {
    let decimals = usize::try_from(int(args, 1)?.clamp(0, 30)).unwrap_or(0);
    let plain = format!("{:.decimals$}", number(args, 0)?);
    let Some(_) = args.get(2) else { return Ok(Value::str(plain)) };
    let (group, point) = match text(args, 2).get(..2).unwrap_or("en") {
        "de" | "es" | "it" | "nl" | "pt" | "id" | "tr" | "da" | "el" => (".", ","),
        "fr" | "nb" | "no" | "nn" => ("\u{202f}", ","),
        "ru" | "pl" | "cs" | "sv" | "fi" | "uk" | "hu" | "bg" | "sk" => ("\u{a0}", ","),
        _ => (",", "."),
    };
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut out = sign.to_string();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push_str(group);
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push_str(point);
        out.push_str(fraction);
    }
    Ok(Value::str(out))
}
