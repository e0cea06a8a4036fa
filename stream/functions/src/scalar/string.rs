//! The 20 text functions.

use edgeward_sql::ast::Expr;

use super::{amount, int, number, text};
use crate::Value;
use crate::error::{Error, Result};
use crate::format::decimals;
use crate::regexp::pattern;
use crate::registry::Type::{Any, Int, Number, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("concat", (1, MANY), &[Str], concat).miscounted("The arguments should be at least one."),
    Function::scalar("endswith", (2, 2), &[Str], |args, _| Ok(Value::Bool(text(args, 0).ends_with(&*text(args, 1)))))
        .nulls(Nulls::False),
    Function::scalar("startswith", (2, 2), &[Str], |args, _| {
        Ok(Value::Bool(text(args, 0).starts_with(&*text(args, 1))))
    })
    .nulls(Nulls::False),
    Function::scalar("indexof", (2, 2), &[Str], |args, _| {
        Ok(Value::Int(text(args, 0).find(&*text(args, 1)).map_or(-1, |at| at as i64)))
    })
    .nulls(Nulls::MinusOne),
    Function::scalar("length", (1, 1), &[Any], length).nulls(Nulls::Zero),
    Function::scalar("lower", (1, 1), &[Str], |args, _| {
        Ok(Value::str(text(args, 0).chars().map(lower).collect::<String>()))
    }),
    Function::scalar("upper", (1, 1), &[Str], |args, _| {
        Ok(Value::str(text(args, 0).chars().map(upper).collect::<String>()))
    }),
    Function::scalar("lpad", (2, 2), &[Str, Int], |args, _| {
        Ok(Value::str(" ".repeat(amount(args, 1)?) + &text(args, 0)))
    }),
    Function::scalar("rpad", (2, 2), &[Str, Int], |args, _| {
        Ok(Value::str(text(args, 0).into_owned() + &" ".repeat(amount(args, 1)?)))
    }),
    Function::scalar("ltrim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim_start()))),
    Function::scalar("rtrim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim_end()))),
    Function::scalar("trim", (1, 1), &[Str], |args, _| Ok(Value::str(text(args, 0).trim()))),
    Function::scalar("numbytes", (1, 1), &[Str], |args, _| Ok(Value::Int(text(args, 0).len() as i64)))
        .nulls(Nulls::Zero),
    Function::scalar("regexp_matches", (2, 2), &[Str], |args, _| {
        Ok(Value::Bool(pattern(&text(args, 1))?.is_match(&text(args, 0))))
    })
    .nulls(Nulls::False),
    Function::scalar("regexp_replace", (3, 3), &[Str], |args, _| {
        Ok(Value::str(pattern(&text(args, 1))?.replace_all(&text(args, 0), &*text(args, 2))))
    }),
    Function::scalar("regexp_substr", (2, 2), &[Str], |args, _| {
        Ok(Value::str(pattern(&text(args, 1))?.find(&text(args, 0)).map_or("", |found| found.as_str())))
    }),
    Function::scalar("reverse", (1, 1), &[Str], |args, _| {
        Ok(Value::str(text(args, 0).chars().rev().collect::<String>()))
    }),
    Function::scalar("substring", (2, 3), &[Str, Int], substring)
        .miscounted("the arguments should be 2 or 3.")
        .literals(|args| match (args.get(1), args.get(2)) {
            (Some(Expr::Int(start)), _) if *start < 0 => Err("The start index should not be a nagtive integer."),
            (Some(Expr::Int(start)), Some(Expr::Int(end))) if end < start => {
                Err("The end index should be larger than start index.")
            }
            _ => Ok(()),
        }),
    Function::scalar("split_value", (3, 3), &[Str, Str, Int], split_value).literals(|args| match args.get(2) {
        Some(Expr::Int(index)) if *index < 0 => Err("The index should not be a nagtive integer."),
        _ => Ok(()),
    }),
    Function::scalar("format", (2, 3), &[Number, Int, Str], format).miscounted("the arguments should be 2 or 3."),
];

/// Upper case, one character for one: Go leaves `ß` as it is.
fn upper(char: char) -> char {
    let mut mapped = char.to_uppercase();
    if mapped.len() == 1 { mapped.next().unwrap_or(char) } else { char }
}

/// Lower case, one character for one.
fn lower(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

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

fn length(args: &Args<'_>, _: &Context) -> Result<Value> {
    Ok(Value::Int(match &*args[0] {
        Value::Array(items) => items.len() as i64,
        Value::Map(map) => map.len() as i64,
        Value::Bytes(bytes) => bytes.len() as i64,
        _ => text(args, 0).chars().count() as i64,
    }))
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
            end.min(bytes.len())
        }
    };
    let part = bytes.get(start..end).ok_or_else(|| Error::call("start index must be smaller than end index"))?;
    Ok(Value::str(String::from_utf8_lossy(part)))
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
    // Fewer than none means as many as needed.
    let digits = usize::try_from(int(args, 1)?.min(1000)).ok();
    let plain = decimals(number(args, 0)?, digits);
    if args.len() < 3 {
        return Ok(Value::str(plain));
    }
    let locale = text(args, 2).replace('_', "-").to_ascii_lowercase();
    let (group, point) = separators(&locale);
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // The last three digits are a group everywhere; before them Indian groups have two.
    let size = if is_indian(&locale) { 2 } else { 3 };
    let mut out = sign.to_string();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && digit.is_ascii_digit() && left >= 3 && (left - 3).is_multiple_of(size) {
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

/// Separators of groups and of the fraction, as CLDR 32 (Go's tables) has them.
fn separators(locale: &str) -> (&'static str, &'static str) {
    match locale {
        "de-ch" | "de-li" | "it-ch" => return ("\u{2019}", "."),
        "de-at" => return ("\u{a0}", ","),
        "pt-pt" => return ("\u{a0}", ","),
        "es-mx" | "es-us" => return (",", "."),
        _ => {}
    }
    match locale.split('-').next().unwrap_or_default() {
        "de" | "es" | "it" | "nl" | "pt" | "id" | "tr" | "da" | "el" | "ca" | "ro" | "hr" | "sr" | "sl" | "vi"
        | "is" => (".", ","),
        "fr" | "nb" | "no" | "nn" | "ru" | "pl" | "cs" | "sv" | "fi" | "uk" | "hu" | "bg" | "sk" | "lt" | "lv"
        | "et" | "af" => ("\u{a0}", ","),
        _ => (",", "."),
    }
}

fn is_indian(locale: &str) -> bool {
    let language = locale.split('-').next().unwrap_or_default();
    locale == "en-in" || matches!(language, "hi" | "bn" | "gu" | "kn" | "ml" | "mr" | "pa" | "ta" | "te")
}
