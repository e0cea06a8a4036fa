//! `%[flags][width][.precision]verb`.

use std::fmt::Write as _;

use super::Printer;
use crate::value::{Outcome, Val};

/// What is left of a format.
pub(super) type Format<'a> = std::iter::Peekable<std::str::Chars<'a>>;

impl Printer {
    /// One `%…`; false at the end of the format.
    pub(super) fn directive(
        &mut self,
        rest: &mut Format<'_>,
        args: &[Val],
        used: &mut usize,
        reordered: &mut bool,
    ) -> Outcome<bool> {
        while let Some(flag) = rest.peek() {
            match flag {
                '+' => self.flags.plus = true,
                '-' => self.flags.minus = true,
                '#' => self.flags.sharp = true,
                ' ' => self.flags.space = true,
                '0' => self.flags.zero = true,
                _ => break,
            }
            rest.next();
        }
        let mut good = index(rest, args.len(), used, reordered);
        if rest.next_if_eq(&'*').is_some() {
            match star(args, used) {
                Some(width) => {
                    self.flags.minus |= width < 0;
                    self.flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            self.flags.width = digits(rest);
        }
        if rest.next_if_eq(&'.').is_some() {
            good &= index(rest, args.len(), used, reordered);
            if rest.next_if_eq(&'*').is_some() {
                match star(args, used) {
                    Some(precision) if precision >= 0 => self.flags.precision = Some(precision as usize),
                    Some(_) => {}
                    None => self.out.push_str("%!(BADPREC)"),
                }
            } else {
                self.flags.precision = Some(digits(rest).unwrap_or(0));
            }
        }
        good &= index(rest, args.len(), used, reordered);
        let Some(verb) = rest.next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(false);
        };
        if verb == '%' {
            self.out.push('%');
        } else if !good {
            let _ = write!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(arg) = args.get(*used) {
            *used += 1;
            self.argument(arg, verb)?;
        } else {
            let _ = write!(self.out, "%!{verb}(MISSING)");
        }
        Ok(true)
    }
}

/// `[n]` before a width, a precision or a verb; false when it is malformed or out of range.
fn index(rest: &mut Format<'_>, count: usize, used: &mut usize, reordered: &mut bool) -> bool {
    if rest.next_if_eq(&'[').is_none() {
        return true;
    }
    *reordered = true;
    let number = digits(rest);
    let closed = rest.next_if_eq(&']').is_some();
    match number {
        Some(number) if closed && (1..=count).contains(&number) => {
            *used = number - 1;
            true
        }
        _ => false,
    }
}

/// A width or precision from an argument, at most a million either way.
fn star(args: &[Val], used: &mut usize) -> Option<i64> {
    let arg = args.get(*used)?;
    *used += 1;
    match arg {
        Val::Int(int, _) if int.unsigned_abs() <= 1_000_000 => Some(*int),
        _ => None,
    }
}

fn digits(rest: &mut Format<'_>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|char| char.to_digit(10)) {
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(1_000_001));
        rest.next();
    }
    number.filter(|number| *number <= 1_000_000)
}
