//! Sprig's regular expressions, in Go's dialect.

use regex::Regex;

use super::{Function, Ty, function, int, text};
use crate::runtime::Runtime;
use crate::value::{Elem, Outcome, Val};

const S: Ty = Ty::Str;
const I: Ty = Ty::Int;

pub(super) const FUNCTIONS: &[Function] = &[
    function("regexMatch", &[S, S], |run, a| {
        Ok(Val::Bool(compile(run, text(a, 0)).is_ok_and(|regex| regex.is_match(text(a, 1)))))
    }),
    function("mustRegexMatch", &[S, S], |run, a| Ok(Val::Bool(must(run, text(a, 0))?.is_match(text(a, 1))))),
    function("mustRegexFind", &[S, S], |run, a| {
        Ok(Val::str(must(run, text(a, 0))?.find(text(a, 1)).map_or("", |found| found.as_str())))
    }),
    function("regexFind", &[S, S], |run, a| {
        Ok(Val::str(compile(run, text(a, 0))?.find(text(a, 1)).map_or("", |found| found.as_str())))
    }),
    function("regexFindAll", &[S, S, I], |run, a| {
        let regex = compile(run, text(a, 0))?;
        let limit = usize::try_from(int(a, 2)).unwrap_or(usize::MAX);
        let found = regex.find_iter(text(a, 1)).take(limit).map(|found| Val::str(found.as_str())).collect();
        run.list(Elem::Str, found)
    }),
    function("regexReplaceAll", &[S, S, S], |run, a| {
        charge(run, text(a, 1), text(a, 2))?;
        let regex = compile(run, text(a, 0))?;
        run.text(regex.replace_all(text(a, 1), text(a, 2)).into_owned())
    }),
    function("regexReplaceAllLiteral", &[S, S, S], |run, a| {
        charge(run, text(a, 1), text(a, 2))?;
        let regex = compile(run, text(a, 0))?;
        run.text(regex.replace_all(text(a, 1), regex::NoExpand(text(a, 2))).into_owned())
    }),
    function("regexSplit", &[S, S, I], |run, a| split(run, text(a, 0), text(a, 1), int(a, 2))),
    function("regexQuoteMeta", &[S], |run, a| run.text(quote_meta(text(a, 0)))),
];

/// Compiling costs much more than the text of the expression.
fn compile(run: &mut Runtime, pattern: &str) -> Outcome<Regex> {
    run.charge(4096)?;
    edgeward_functions::regexp::compile(pattern).map_err(|error| format!("regexp: Compile(`{pattern}`): {error}"))
}

/// As [`compile`] for sprig's `must…` functions, which hand the error on instead of panicking with it.
fn must(run: &mut Runtime, pattern: &str) -> Outcome<Regex> {
    run.charge(4096)?;
    edgeward_functions::regexp::compile(pattern)
}

/// A replacement may hold the whole text again in each of its references.
fn charge(run: &mut Runtime, text: &str, replacement: &str) -> Outcome<()> {
    let references = replacement.bytes().filter(|byte| *byte == b'$').count();
    run.charge((text.len() + 1).saturating_mul(replacement.len() + references))
}

/// `Regexp.Split`.
fn split(run: &mut Runtime, pattern: &str, text: &str, count: i64) -> Outcome<Val> {
    let regex = compile(run, pattern)?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if !pattern.is_empty() && text.is_empty() && limit > 0 {
        parts.push(Val::str(""));
        return run.list(Elem::Str, parts);
    }
    let (mut from, mut end) = (0, 0);
    for found in regex.find_iter(text) {
        if parts.len() + 1 >= limit {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(Val::str(&text[from..end]));
        }
        from = found.end();
    }
    if limit > 0 && end != text.len() {
        parts.push(Val::str(&text[from..]));
    }
    run.list(Elem::Str, parts)
}

fn quote_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if r"\.+*?()|[]{}^$".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}
