//! Sprig's text functions.

use rand::seq::SliceRandom as _;

use super::words::{pascal, snake};
use super::{Function, Ty, function, int, strslice, strval, text, variadic};
use crate::gofmt;
use crate::runtime::Runtime;
use crate::value::{Elem, Outcome, Val};

const S: Ty = Ty::Str;
const I: Ty = Ty::Int;
const A: Ty = Ty::Any;

pub(super) const FUNCTIONS: &[Function] = &[
    function("trim", &[S], |_, a| Ok(Val::str(text(a, 0).trim()))),
    function("trimAll", &[S, S], |_, a| Ok(Val::str(text(a, 1).trim_matches(|char| text(a, 0).contains(char))))),
    function("trimall", &[S, S], |_, a| Ok(Val::str(text(a, 1).trim_matches(|char| text(a, 0).contains(char))))),
    function("trimSuffix", &[S, S], |_, a| Ok(Val::str(text(a, 1).strip_suffix(text(a, 0)).unwrap_or(text(a, 1))))),
    function("trimPrefix", &[S, S], |_, a| Ok(Val::str(text(a, 1).strip_prefix(text(a, 0)).unwrap_or(text(a, 1))))),
    function("upper", &[S], |run, a| run.text(each(text(a, 0), upper))),
    function("lower", &[S], |run, a| run.text(each(text(a, 0), lower))),
    function("title", &[S], |run, a| run.text(title(text(a, 0)))),
    function("untitle", &[S], |run, a| run.text(untitle(text(a, 0)))),
    function("swapcase", &[S], |run, a| run.text(swap_case(text(a, 0)))),
    function("repeat", &[I, S], |run, a| repeat(run, int(a, 0), text(a, 1))),
    function("substr", &[I, I, S], |_, a| substring(int(a, 0), int(a, 1), text(a, 2))),
    function("trunc", &[I, S], |_, a| Ok(trunc(int(a, 0), text(a, 1)))),
    function("abbrev", &[I, S], |_, a| {
        let (width, text) = (int(a, 0), text(a, 1));
        let cut = width >= 4 && text.len() as i64 > width;
        Ok(if cut { Val::str(format!("{}...", bytes(text, 0, width as usize - 3))) } else { Val::str(text) })
    }),
    function("nospace", &[S], |run, a| run.text(text(a, 0).chars().filter(|char| !char.is_whitespace()).collect())),
    function("initials", &[S], |run, a| {
        run.text(text(a, 0).split_whitespace().filter_map(|word| word.chars().next()).collect())
    }),
    function("contains", &[S, S], |_, a| Ok(Val::Bool(text(a, 1).contains(text(a, 0))))),
    function("hasPrefix", &[S, S], |_, a| Ok(Val::Bool(text(a, 1).starts_with(text(a, 0))))),
    function("hasSuffix", &[S, S], |_, a| Ok(Val::Bool(text(a, 1).ends_with(text(a, 0))))),
    variadic("quote", &[], A, |run, a| each_value(run, a, |text| gofmt::quoted(&text))),
    variadic("squote", &[], A, |run, a| {
        let shown = a.iter().filter(|value| !value.is_nil()).map(|value| gofmt::text(value, super::TEXT_LIMIT));
        let shown: Vec<String> = shown.map(|text| Ok(format!("'{}'", text?))).collect::<Outcome<_>>()?;
        run.text(shown.join(" "))
    }),
    variadic("cat", &[], A, |run, a| {
        let shown = a.iter().filter(|value| !value.is_nil()).map(|value| gofmt::text(value, super::TEXT_LIMIT));
        let shown: Vec<String> = shown.collect::<Outcome<_>>()?;
        run.text(shown.join(" "))
    }),
    function("indent", &[I, S], |run, a| indent(run, "", int(a, 0), text(a, 1))),
    function("nindent", &[I, S], |run, a| indent(run, "\n", int(a, 0), text(a, 1))),
    function("wrap", &[I, S], |run, a| wrap(run, int(a, 0), "\n", text(a, 1), false)),
    function("wrapWith", &[I, S, S], |run, a| {
        wrap(run, int(a, 0), if text(a, 1).is_empty() { "\n" } else { text(a, 1) }, text(a, 2), true)
    }),
    function("shuffle", &[S], |run, a| {
        let mut chars: Vec<char> = text(a, 0).chars().collect();
        chars.shuffle(&mut rand::rng());
        run.text(chars.into_iter().collect())
    }),
    function("replace", &[S, S, S], |run, a| replace(run, text(a, 0), text(a, 1), text(a, 2))),
    function("plural", &[S, S, I], |_, a| Ok(a[if int(a, 2) == 1 { 0 } else { 1 }].clone())),
    function("snakecase", &[S], |run, a| run.text(snake(text(a, 0), '_'))),
    function("kebabcase", &[S], |run, a| run.text(snake(text(a, 0), '-'))),
    function("camelcase", &[S], |run, a| run.text(pascal(text(a, 0)))),
    function("toString", &[A], |run, a| run.text(strval(&a[0])?)),
    function("toStrings", &[A], |run, a| texts(run, strslice(&a[0])?)),
    function("join", &[S, A], |run, a| {
        let items = strslice(&a[1])?;
        run.charge(items.len().saturating_mul(text(a, 0).len()))?;
        run.text(items.join(text(a, 0)))
    }),
    function("split", &[S, S], |run, a| split(run, text(a, 0), -1, text(a, 1))),
    function("splitn", &[S, I, S], |run, a| split(run, text(a, 0), int(a, 1), text(a, 2))),
    function("splitList", &[S, S], |run, a| texts(run, pieces(text(a, 1), text(a, 0), -1))),
    function("sortAlpha", &[A], |run, a| {
        let mut items = if a[0].is_list() { strslice(&a[0])? } else { vec![strval(&a[0])?] };
        items.sort();
        texts(run, items)
    }),
    function("hello", &[], |_, _| Ok(Val::str("Hello!"))),
];

fn texts(run: &mut Runtime, items: Vec<String>) -> Outcome<Val> {
    run.charge(items.iter().map(|item| item.len() + 16).sum())?;
    run.list(Elem::Str, items.into_iter().map(Val::str).collect())
}

fn each_value(run: &mut Runtime, args: &[Val], show: fn(String) -> String) -> Outcome<Val> {
    let shown = args.iter().filter(|value| !value.is_nil()).map(|value| strval(value).map(show));
    run.text(shown.collect::<Outcome<Vec<String>>>()?.join(" "))
}

fn each(text: &str, map: fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

/// Go maps one character to one; `ß` stays itself.
fn upper(char: char) -> char {
    let mut upper = char.to_uppercase();
    if upper.len() == 1 { upper.next().unwrap_or(char) } else { char }
}

fn lower(char: char) -> char {
    let mut lower = char.to_lowercase();
    if lower.len() == 1 { lower.next().unwrap_or(char) } else { 'i' }
}

/// `strings.Title`.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut map = |char: char| {
        let separator = match before {
            '_' => false,
            _ if before.is_ascii() => !before.is_ascii_alphanumeric(),
            _ => before.is_whitespace(),
        };
        before = char;
        if separator { upper(char) } else { char }
    };
    text.chars().map(&mut map).collect()
}

fn untitle(text: &str) -> String {
    let mut start = true;
    let mut map = |char: char| {
        let result = if start && !char.is_whitespace() { lower(char) } else { char };
        start = char.is_whitespace();
        result
    };
    text.chars().map(&mut map).collect()
}

fn swap_case(text: &str) -> String {
    each(text, |char| {
        if char.is_uppercase() {
            lower(char)
        } else if char.is_lowercase() {
            upper(char)
        } else {
            char
        }
    })
}

fn repeat(run: &mut Runtime, count: i64, text: &str) -> Outcome<Val> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count")?;
    run.charge(text.len().saturating_mul(count))?;
    Ok(Val::str(text.repeat(if text.is_empty() { 0 } else { count })))
}

/// Bytes `from..to`; what Go would cut inside a character becomes the replacement character.
fn bytes(text: &str, from: usize, to: usize) -> String {
    String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned()
}

fn substring(start: i64, end: i64, text: &str) -> Outcome<Val> {
    let len = text.len() as i64;
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > len {
        (start, len)
    } else {
        (start, end)
    };
    if to < 0 {
        return Err(format!("runtime error: slice bounds out of range [:{to}]"));
    }
    if to > len {
        return Err(format!("runtime error: slice bounds out of range [:{to}] with length {len}"));
    }
    if from > to {
        return Err(format!("runtime error: slice bounds out of range [{from}:{to}]"));
    }
    Ok(Val::str(bytes(text, from as usize, to as usize)))
}

fn trunc(count: i64, text: &str) -> Val {
    let len = text.len();
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= len {
        Val::str(text)
    } else if count < 0 {
        Val::str(bytes(text, len - size, len))
    } else {
        Val::str(bytes(text, 0, size))
    }
}

fn indent(run: &mut Runtime, before: &str, spaces: i64, text: &str) -> Outcome<Val> {
    let spaces = usize::try_from(spaces).map_err(|_| "strings: negative Repeat count")?;
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    run.charge(lines.saturating_mul(spaces))?;
    let pad = " ".repeat(spaces);
    run.text(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

/// Lines of at most `width` bytes; a longer word is cut only if `cut` says so.
fn wrap(run: &mut Runtime, width: i64, newline: &str, text: &str, cut: bool) -> Outcome<Val> {
    let width = usize::try_from(width).unwrap_or(0).max(1);
    run.charge((text.len() / width + 1).saturating_mul(newline.len()))?;
    let text = text.as_bytes();
    let space = |part: &[u8]| part.iter().position(|byte| *byte == b' ');
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while text.len() - at > width {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let fitting = text[at..=at + width].iter().rposition(|byte| *byte == b' ').map(|length| (length, 1));
        let (length, skip) = match fitting {
            Some(found) => found,
            None if cut => (width, 0),
            None => match space(&text[at + width..]) {
                Some(more) => (width + more, 1),
                None => break,
            },
        };
        out.extend_from_slice(&text[at..at + length]);
        out.extend_from_slice(newline.as_bytes());
        at += length + skip;
    }
    out.extend_from_slice(&text[at..]);
    run.text(String::from_utf8_lossy(&out).into_owned())
}

fn replace(run: &mut Runtime, old: &str, new: &str, text: &str) -> Outcome<Val> {
    run.charge((text.len() / old.len().max(1) + 1).saturating_mul(new.len()))?;
    run.text(text.replace(old, new))
}

/// `strings.SplitN`.
fn pieces(text: &str, separator: &str, count: i64) -> Vec<String> {
    if count == 0 {
        return Vec::new();
    }
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    if separator.is_empty() {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        if parts.len() > limit {
            let last = parts.split_off(limit - 1).concat();
            parts.push(last);
        }
        return parts;
    }
    text.splitn(limit, separator).map(String::from).collect()
}

fn split(run: &mut Runtime, separator: &str, count: i64, text: &str) -> Outcome<Val> {
    let parts = pieces(text, separator, count);
    run.charge(parts.iter().map(|part| part.len() + 96).sum())?;
    let members = parts.into_iter().enumerate().map(|(index, part)| (format!("_{index}").into(), Val::str(part)));
    run.dict(Elem::Str, members)
}
