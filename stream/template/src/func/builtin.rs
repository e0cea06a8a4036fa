//! Go's own functions.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::{Function, TEXT_LIMIT, Ty, function, variadic};
use crate::gofmt;
use crate::value::{IntKind, Outcome, Val};

const R: Ty = Ty::Reflect;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { short_circuit: Some(false), ..variadic("and", &[R], R, |_, _| Ok(Val::Missing)) },
    Function { short_circuit: Some(true), ..variadic("or", &[R], R, |_, _| Ok(Val::Missing)) },
    function("not", &[R], |_, args| Ok(Val::Bool(!args[0].truth()))),
    function("len", &[R], |_, args| len(&args[0])),
    variadic("index", &[R], R, |_, args| index(args)),
    variadic("print", &[], Ty::Any, |run, args| run.text(gofmt::sprint(args, TEXT_LIMIT)?)),
    variadic("println", &[], Ty::Any, |run, args| run.text(gofmt::sprintln(args, TEXT_LIMIT)?)),
    variadic("printf", &[Ty::Str], Ty::Any, |run, args| {
        run.text(gofmt::sprintf(super::text(args, 0), &args[1..], TEXT_LIMIT)?)
    }),
    variadic("html", &[], Ty::Any, |run, args| run.text(html(&escapable(args)?))),
    variadic("js", &[], Ty::Any, |run, args| run.text(js(&escapable(args)?))),
    variadic("urlquery", &[], Ty::Any, |run, args| run.text(url_query(&escapable(args)?))),
    variadic("eq", &[R], R, |_, args| eq(args).map(Val::Bool)),
    function("ne", &[R, R], |_, args| eq(args).map(|equal| Val::Bool(!equal))),
    function("lt", &[R, R], |_, args| less(args).map(Val::Bool)),
    function("le", &[R, R], |_, args| Ok(Val::Bool(less(args)? || eq(args)?))),
    function("gt", &[R, R], |_, args| Ok(Val::Bool(!(less(args)? || eq(args)?)))),
    function("ge", &[R, R], |_, args| less(args).map(|less| Val::Bool(!less))),
    variadic("call", &[R], R, |_, args| match &args[0] {
        Val::Missing => Err("call of nil".into()),
        other => Err(format!("non-function of type {}", other.type_name())),
    }),
];

fn len(value: &Val) -> Outcome<Val> {
    match value.len() {
        Some(len) => Ok(Val::int(len as i64)),
        None if value.is_nil() => Err("reflect: call of reflect.Value.Type on zero Value".into()),
        None => Err(format!("len of type {}", value.type_name())),
    }
}

fn index(args: &[Val]) -> Outcome<Val> {
    let mut item = args[0].clone();
    if item.is_nil() {
        return Err("index of untyped nil".into());
    }
    for key in &args[1..] {
        if item.is_nil() {
            return Err("index of nil pointer".into());
        }
        item = if item.is_map() {
            match key {
                Val::Str(key) => item.member(key).unwrap_or(if item.holds_any() { Val::Nil } else { Val::str("") }),
                key if key.is_nil() => return Err("value is nil; should be of type string".into()),
                key => return Err(format!("value has type {}; should be string", key.type_name())),
            }
        } else if let (Some(len), true) = (item.len(), item.is_list() || matches!(item, Val::Str(_))) {
            element(&item, position(key, len)?)?
        } else {
            return Err(format!("can't index item of type {}", item.type_name()));
        };
    }
    Ok(item)
}

fn position(key: &Val, len: usize) -> Outcome<usize> {
    match key {
        Val::Int(int, _) => {
            usize::try_from(*int).ok().filter(|index| *index <= len).ok_or_else(|| format!("index out of range: {int}"))
        }
        key if key.is_nil() => Err("cannot index slice/array with nil".into()),
        key => Err(format!("cannot index slice/array with type {}", key.type_name())),
    }
}

fn element(item: &Val, index: usize) -> Outcome<Val> {
    if let Val::Str(text) = item {
        let byte = text.as_bytes().get(index).ok_or("reflect: string index out of range")?;
        return Ok(Val::Int(i64::from(*byte), IntKind::Uint8));
    }
    item.item(index).ok_or_else(|| "reflect: slice index out of range".into())
}

/// The basic kind of a value for comparisons.
fn basic(value: &Val) -> &'static str {
    match value {
        Val::Bool(_) => "bool",
        Val::Int(..) => "int",
        Val::Float(_) => "float",
        Val::Str(_) => "string",
        _ => "invalid",
    }
}

fn eq(args: &[Val]) -> Outcome<bool> {
    let first = &args[0];
    if args.len() < 2 {
        return Err("missing argument for comparison".into());
    }
    for other in &args[1..] {
        let equal = match (first, other) {
            (Val::Int(a, _), Val::Int(b, _)) => a == b,
            (Val::Float(a), Val::Float(b)) => a == b,
            (Val::Str(a), Val::Str(b)) => a == b,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Time(a), Val::Time(b)) => a == b,
            (a, b) if a.is_nil() || b.is_nil() => a.is_nil() && b.is_nil(),
            (a, b) if basic(a) != basic(b) => return Err("incompatible types for comparison".into()),
            (a, _) => {
                let shown = gofmt::text(a, 1 << 16)?;
                return Err(format!("non-comparable type {shown}: {}", a.type_name()));
            }
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn less(args: &[Val]) -> Outcome<bool> {
    let (a, b) = (&args[0], &args[1]);
    if basic(a) == "invalid" || basic(b) == "invalid" {
        return Err("invalid type for comparison".into());
    }
    match (a, b) {
        (Val::Int(a, _), Val::Int(b, _)) => Ok(a < b),
        (Val::Float(a), Val::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Less)),
        (Val::Str(a), Val::Str(b)) => Ok(a < b),
        (Val::Bool(_), Val::Bool(_)) => Err("invalid type for comparison".into()),
        _ => Err("incompatible types for comparison".into()),
    }
}

/// What `html`, `js` and `urlquery` escape: one text as it is, else everything printed.
fn escapable(args: &[Val]) -> Outcome<String> {
    if let [Val::Str(text)] = args {
        return Ok(text.to_string());
    }
    let shown: Vec<Val> =
        args.iter().map(|arg| if arg.is_nil() { Val::str("<no value>") } else { arg.clone() }).collect();
    gofmt::sprint(&shown, TEXT_LIMIT)
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(char),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(char);
            }
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04X}", char as u32);
            }
            _ if char.is_ascii() || gofmt::printable(char) => out.push(char),
            _ => {
                let _ = write!(out, "\\u{:04X}", char as u32);
            }
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
