//! Go's regular expressions on top of the `regex` crate.
//!
//! Both are RE2 dialects with leftmost-first matching and `$1` in replacements; a pattern is translated where they differ: Go's `\d`,
//! `\w`, `\s` and `\b` know ASCII only, `\Q…\E` quotes, and brackets, `&&`, `--` and `~~` inside a class stand for themselves.

use std::cell::RefCell;
use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Compiled size and nesting a pattern may have.
const MAX_SIZE: usize = 1 << 20;
const MAX_NESTING: u32 = 64;

/// A compiled pattern; the last few of a thread are kept, because nearly all patterns are literals.
///
/// # Errors
/// `error parsing regexp: …`
pub(crate) fn pattern(source: &str) -> Result<Regex> {
    thread_local! {
        static RECENT: RefCell<Vec<(String, Regex)>> = const { RefCell::new(Vec::new()) };
    }
    RECENT.with_borrow_mut(|recent| {
        if let Some((_, regex)) = recent.iter().find(|(known, _)| known == source) {
            return Ok(regex.clone());
        }
        let regex = compile(source).map_err(Error::call)?;
        if recent.len() >= 16 {
            recent.remove(0);
        }
        recent.push((source.to_string(), regex.clone()));
        Ok(regex)
    })
}

/// Compiles a pattern in Go's dialect.
///
/// # Errors
/// The pattern is wrong or too large: `error parsing regexp: …` in Go's words where the reason is a common one.
pub fn compile(source: &str) -> std::result::Result<Regex, String> {
    let built = RegexBuilder::new(&translate(source))
        .size_limit(MAX_SIZE)
        .dfa_size_limit(MAX_SIZE)
        .nest_limit(MAX_NESTING)
        .build();
    built.map_err(|_| format!("error parsing regexp: {}", complaint(source)))
}

/// The pattern in the crate's dialect.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    let mut class = false;
    // A bracket right after the opening one (or its `^`) stands for itself.
    let mut class_starts = false;
    while let Some(char) = chars.next() {
        let starts = std::mem::take(&mut class_starts);
        match char {
            '\\' => match chars.next() {
                Some('Q') => {
                    let rest: String = chars.by_ref().collect();
                    let (quoted, after) = rest.split_once("\\E").unwrap_or((&rest, ""));
                    out.push_str(&regex::escape(quoted));
                    // What follows the quotation is translated on its own: quotations do not stand in classes.
                    out.push_str(&translate(after));
                    return out;
                }
                Some(escaped) => escape(escaped, class, &mut out),
                None => out.push('\\'),
            },
            '[' if class => match named(chars.clone()) {
                0 => out.push_str("\\["),
                length => {
                    out.push('[');
                    out.extend(chars.by_ref().take(length));
                }
            },
            '[' => {
                class = true;
                class_starts = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if class && starts => out.push_str("\\]"),
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(char);
            }
            '-' if class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            _ => out.push(char),
        }
    }
    out
}

/// Characters of a `:name:]` that comes next, none if another text does: `[[:]` is a class of a bracket and a colon.
fn named(rest: impl Iterator<Item = char>) -> usize {
    let name: String = rest.take_while(|char| *char != ']').take(16).collect();
    let inner = name.strip_prefix(':').and_then(|name| name.strip_suffix(':'));
    let letters = inner.map(|name| name.strip_prefix('^').unwrap_or(name));
    let known = letters.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()));
    if known { name.len() + 1 } else { 0 }
}

fn escape(char: char, class: bool, out: &mut String) {
    let range = match char.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        _ if matches!(char, '<' | '>') => return out.push(char),
        _ if char == 'b' && !class => return out.push_str("(?-u:\\b)"),
        _ => {
            out.push('\\');
            return out.push(char);
        }
    };
    // Writing to a string cannot fail.
    let _ = match (char.is_ascii_uppercase(), class) {
        (true, _) => write!(out, "[^{range}]"),
        (false, true) => write!(out, "{range}"),
        (false, false) => write!(out, "[{range}]"),
    };
}

/// What Go says of a pattern that cannot be compiled.
fn complaint(source: &str) -> String {
    let (mut open, mut class, mut escaped) = (0i32, None, false);
    let mut before = None;
    for (at, char) in source.char_indices() {
        if std::mem::take(&mut escaped) {
            before = Some(char);
            continue;
        }
        match char {
            '\\' => escaped = true,
            '[' if class.is_none() => class = Some(at),
            ']' if class.is_some_and(|from| at > from + 1) => class = None,
            _ if class.is_some() => {}
            '(' => open += 1,
            ')' => open -= 1,
            // `(?` begins a group with flags or a name.
            '?' if before == Some('(') => {}
            '*' | '+' | '?' if matches!(before, None | Some('(' | '|')) => {
                return format!("missing argument to repetition operator: `{char}`");
            }
            _ => {}
        }
        if open < 0 {
            return format!("unexpected ): `{source}`");
        }
        before = Some(char);
    }
    match class {
        _ if escaped => "trailing backslash at end of expression: ``".to_string(),
        Some(from) => format!("missing closing ]: `{}`", &source[from..]),
        None if open > 0 => format!("missing closing ): `{source}`"),
        None => format!("invalid or unsupported Perl syntax: `{source}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_gos_dialect() {
        for (source, text, expect) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "ä", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^[^\d]$", "1", false),
            (r"^[\D]$", "x", true),
            (r"\bä\b", "ä", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^\s$", "\u{b}", false),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]]$", "]", false),
            (r"^[[:alpha:]&&]+$", "a&", true),
            (r"^[[:^digit:]]$", "1", false),
            (r"^[[:]$", ":", true),
            (r"^[[:]$", "[", true),
            (r"^[[:a]+$", "a:[", true),
            (r"^[[:alpha:][:digit:]]+$", "a1", true),
            (r"^\Qa.b\E\d$", "a.b1", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^\<a\>$", "<a>", true),
            (r"a/b", "a/b", true),
            (r"^.$", "ü", true),
            (r"(?i)ABC", "xabcx", true),
            ("", "", true),
        ] {
            assert_eq!(compile(source).unwrap().is_match(text), expect, "{source} {text}");
        }
    }

    #[test]
    fn complains_as_go_does() {
        for (source, expect) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("x[a", "missing closing ]: `[a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a|+", "missing argument to repetition operator: `+`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ] {
            assert_eq!(compile(source).unwrap_err(), format!("error parsing regexp: {expect}"), "{source}");
        }
    }
}
