//! Go's `fmt`: `%v` of values and `Printf` with its flags, widths and complaints.

use std::fmt::Write as _;

use edgeward_functions::format::FloatText;
pub(crate) use edgeward_functions::quote::{printable, push_quoted, quoted};

use crate::value::{MAX_DEPTH, Outcome, Val, too_deep};

/// `%v` of a float.
pub(crate) fn float_v(float: f64) -> String {
    FloatText::percent_v(float).as_str().to_owned()
}

/// `%v` of a value, at most `limit` bytes.
pub(crate) fn text(value: &Val, limit: usize) -> Outcome<String> {
    let mut printer = Printer::new(limit);
    printer.value(value, 'v', 0)?;
    Ok(printer.out)
}

/// `fmt.Sprint`: a space between operands when neither is text.
pub(crate) fn sprint(args: &[Val], limit: usize) -> Outcome<String> {
    let mut printer = Printer::new(limit);
    let is_text = |value: &Val| matches!(value, Val::Str(_));
    for (index, arg) in args.iter().enumerate() {
        if index > 0 && !is_text(arg) && !is_text(&args[index - 1]) {
            printer.out.push(' ');
        }
        printer.value(arg, 'v', 0)?;
    }
    Ok(printer.out)
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(args: &[Val], limit: usize) -> Outcome<String> {
    let mut printer = Printer::new(limit);
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            printer.out.push(' ');
        }
        printer.value(arg, 'v', 0)?;
    }
    printer.out.push('\n');
    Ok(printer.out)
}

/// `fmt.Sprintf`, at most `limit` bytes.
pub(crate) fn sprintf(format: &str, args: &[Val], limit: usize) -> Outcome<String> {
    let mut printer = Printer::new(limit);
    let mut used = 0;
    let mut reordered = false;
    let mut rest = format.chars().peekable();
    while let Some(char) = rest.next() {
        if char != '%' {
            printer.out.push(char);
            continue;
        }
        printer.flags = Flags::default();
        if !printer.directive(&mut rest, args, &mut used, &mut reordered)? {
            break;
        }
        printer.check()?;
    }
    if !reordered && used < args.len() {
        printer.flags = Flags::default();
        printer.out.push_str("%!(EXTRA ");
        for (index, arg) in args[used..].iter().enumerate() {
            if index > 0 {
                printer.out.push_str(", ");
            }
            if arg.is_nil() {
                printer.out.push_str("<nil>");
            } else {
                printer.out.push_str(arg.type_name());
                printer.out.push('=');
                printer.value(arg, 'v', 0)?;
            }
        }
        printer.out.push(')');
    }
    Ok(printer.out)
}

#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer {
    out: String,
    flags: Flags,
    limit: usize,
}

type Format<'a> = std::iter::Peekable<std::str::Chars<'a>>;

impl Printer {
    fn new(limit: usize) -> Printer {
        Printer { out: String::new(), flags: Flags::default(), limit }
    }

    fn check(&self) -> Outcome<()> {
        if self.out.len() > self.limit { Err("printed text is longer than the limit".into()) } else { Ok(()) }
    }

    /// One `%…`; false at the end of the format.
    fn directive(
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

    fn argument(&mut self, arg: &Val, verb: char) -> Outcome<()> {
        match verb {
            'T' => self.pad_text(arg.type_name()),
            'p' => self.bad(arg, verb)?,
            _ if arg.is_nil() && verb == 'v' => self.pad("<nil>"),
            _ => self.value(arg, verb, 0)?,
        }
        Ok(())
    }

    fn bad(&mut self, value: &Val, verb: char) -> Outcome<()> {
        let _ = write!(self.out, "%!{verb}(");
        if value.is_nil() {
            self.out.push_str("<nil>");
        } else {
            self.out.push_str(value.type_name());
            self.out.push('=');
            self.value(value, 'v', 0)?;
        }
        self.out.push(')');
        Ok(())
    }

    fn value(&mut self, value: &Val, verb: char, depth: usize) -> Outcome<()> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.check()?;
        match value {
            Val::Missing | Val::Nil if depth > 0 => {
                self.out.push_str(if verb == 'v' && self.flags.sharp { "interface {}(nil)" } else { "<nil>" });
            }
            Val::Missing | Val::Nil if verb == 'v' => self.out.push_str("<nil>"),
            Val::Missing | Val::Nil => self.bad(value, verb)?,
            Val::Bool(bool) if matches!(verb, 't' | 'v') => self.pad(if *bool { "true" } else { "false" }),
            Val::Int(int, _) => return self.int(*int, verb, value),
            Val::Float(float) => return self.float(*float, verb, value),
            Val::Str(text) => return self.string(text.as_bytes(), text, verb, value),
            Val::Bytes(bytes) if matches!(verb, 's' | 'x' | 'X' | 'q') => {
                let text = String::from_utf8_lossy(bytes);
                return self.string(bytes, &text, verb, value);
            }
            Val::Time(time) => {
                let text = crate::func::time_text(*time);
                return self.string(text.as_bytes(), &text, verb, value);
            }
            Val::Array(_) | Val::List(_) | Val::Bytes(_) => return self.items(value, verb, depth),
            Val::Map(_) | Val::Dict(_) => return self.members(value, verb, depth),
            Val::Bool(_) => self.bad(value, verb)?,
        }
        Ok(())
    }

    fn items(&mut self, value: &Val, verb: char, depth: usize) -> Outcome<()> {
        let sharp = verb == 'v' && self.flags.sharp;
        if sharp {
            self.out.push_str(value.type_name());
        }
        self.out.push(if sharp { '{' } else { '[' });
        for index in 0..value.len().unwrap_or(0) {
            if index > 0 {
                self.out.push_str(if sharp { ", " } else { " " });
            }
            self.value(&value.item(index).unwrap_or(Val::Nil), verb, depth + 1)?;
        }
        self.out.push(if sharp { '}' } else { ']' });
        Ok(())
    }

    fn members(&mut self, value: &Val, verb: char, depth: usize) -> Outcome<()> {
        let sharp = verb == 'v' && self.flags.sharp;
        self.out.push_str(if sharp { value.type_name() } else { "map" });
        self.out.push(if sharp { '{' } else { '[' });
        for (index, (key, item)) in value.members().into_iter().enumerate() {
            if index > 0 {
                self.out.push_str(if sharp { ", " } else { " " });
            }
            self.value(&Val::Str(key), verb, depth + 1)?;
            self.out.push(':');
            self.value(&item, verb, depth + 1)?;
        }
        self.out.push(if sharp { '}' } else { ']' });
        Ok(())
    }

    fn int(&mut self, int: i64, verb: char, value: &Val) -> Outcome<()> {
        let radix = match verb {
            'v' | 'd' => 10,
            'b' => 2,
            'o' | 'O' => 8,
            'x' | 'X' => 16,
            'c' | 'q' | 'U' => {
                let char = u32::try_from(int).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                match verb {
                    'c' => self.pad(char.encode_utf8(&mut [0; 4])),
                    'q' => {
                        let mut text = String::from("'");
                        push_quoted(char, '\'', self.flags.plus, &mut text);
                        text.push('\'');
                        self.pad(&text);
                    }
                    _ => {
                        let mut text = format!("U+{:01$X}", int, self.flags.precision.unwrap_or(4).max(4));
                        if self.flags.sharp && printable(char) {
                            let _ = write!(text, " '{char}'");
                        }
                        let zero = std::mem::take(&mut self.flags.zero);
                        self.pad(&text);
                        self.flags.zero = zero;
                    }
                }
                return Ok(());
            }
            _ => return self.bad(value, verb),
        };
        self.integer(int, radix, verb);
        Ok(())
    }

    fn integer(&mut self, int: i64, radix: u32, verb: char) {
        let flags = self.flags;
        let magnitude = int.unsigned_abs();
        if flags.precision == Some(0) && magnitude == 0 {
            self.out.extend(std::iter::repeat_n(' ', flags.width.unwrap_or(0)));
            return;
        }
        let signed = int < 0 || flags.plus || flags.space;
        let mut text = match (radix, verb) {
            (2, _) => format!("{magnitude:b}"),
            (8, _) => format!("{magnitude:o}"),
            (16, 'x') => format!("{magnitude:x}"),
            (16, _) => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let least = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        if text.len() < least {
            text.insert_str(0, &"0".repeat(least - text.len()));
        }
        if flags.sharp {
            match radix {
                2 => text.insert_str(0, "0b"),
                8 if !text.starts_with('0') => text.insert(0, '0'),
                16 => text.insert_str(0, if verb == 'x' { "0x" } else { "0X" }),
                _ => {}
            }
        }
        if verb == 'O' {
            text.insert_str(0, "0o");
        }
        if signed {
            text.insert(
                0,
                if int < 0 {
                    '-'
                } else if flags.plus {
                    '+'
                } else {
                    ' '
                },
            );
        }
        self.flags.zero = false;
        self.pad(&text);
        self.flags.zero = flags.zero;
    }

    fn float(&mut self, float: f64, verb: char, value: &Val) -> Outcome<()> {
        let flags = self.flags;
        let precision = flags.precision;
        if precision.is_some_and(|precision| precision > 1000) {
            return Err("precision above 1000 digits; use fewer".into());
        }
        let magnitude = float.abs();
        let digits = if !float.is_finite() {
            if float.is_nan() { "NaN".into() } else { "Inf".into() }
        } else {
            match verb {
                'v' | 'g' | 'G' if precision.is_none() => float_v(magnitude),
                'v' | 'g' | 'G' => general(magnitude, precision.unwrap_or(6)),
                'f' | 'F' => format!("{magnitude:.*}", precision.unwrap_or(6)),
                'e' | 'E' => exponent(magnitude, precision.unwrap_or(6)),
                _ => return self.bad(value, verb),
            }
        };
        if !matches!(verb, 'v' | 'g' | 'G' | 'f' | 'F' | 'e' | 'E') {
            return self.bad(value, verb);
        }
        let digits = if matches!(verb, 'G' | 'E') { digits.replace('e', "E") } else { digits };
        let negative = float.is_sign_negative() && !float.is_nan();
        let sign = match (negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            // Infinity always shows its sign.
            _ if float.is_infinite() => "+",
            _ => "",
        };
        let width = flags.width.unwrap_or(0);
        if flags.zero && !flags.minus && float.is_finite() {
            self.out.push_str(sign);
            self.out.extend(std::iter::repeat_n('0', width.saturating_sub(sign.len() + digits.len())));
            self.out.push_str(&digits);
            return Ok(());
        }
        self.flags.zero = false;
        self.pad(&format!("{sign}{digits}"));
        self.flags.zero = flags.zero;
        Ok(())
    }

    fn string(&mut self, bytes: &[u8], text: &str, verb: char, value: &Val) -> Outcome<()> {
        match verb {
            'v' if self.flags.sharp && matches!(value, Val::Str(_)) => self.pad(&quoted(text)),
            'v' | 's' => self.pad_text(text),
            'q' => {
                let cut = self.cut(text);
                let mut shown = String::from("\"");
                if self.flags.sharp && !cut.contains('`') && cut.chars().all(|char| printable(char) || char == '\t') {
                    shown = format!("`{cut}`");
                } else {
                    cut.chars().for_each(|char| push_quoted(char, '"', self.flags.plus, &mut shown));
                    shown.push('"');
                }
                self.pad(&shown);
            }
            'x' | 'X' if bytes.is_empty() => self.pad(""),
            'x' | 'X' => {
                let count = self.flags.precision.map_or(bytes.len(), |precision| precision.min(bytes.len()));
                let prefix = if verb == 'x' { "0x" } else { "0X" };
                let mut shown = String::new();
                for (index, byte) in bytes[..count].iter().enumerate() {
                    if index > 0 && self.flags.space {
                        shown.push(' ');
                    }
                    if self.flags.sharp && (index == 0 || self.flags.space) {
                        shown.push_str(prefix);
                    }
                    let _ = if verb == 'x' { write!(shown, "{byte:02x}") } else { write!(shown, "{byte:02X}") };
                }
                self.pad(&shown);
            }
            _ => return self.bad(value, verb),
        }
        Ok(())
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        let Some(precision) = self.flags.precision else { return text };
        text.char_indices().nth(precision).map_or(text, |(end, _)| &text[..end])
    }

    fn pad_text(&mut self, text: &str) {
        let cut = self.cut(text);
        self.pad(cut);
    }

    fn pad(&mut self, text: &str) {
        let fill = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text);
            self.out.extend(std::iter::repeat_n(' ', fill));
        } else {
            self.out.extend(std::iter::repeat_n(if self.flags.zero { '0' } else { ' ' }, fill));
            self.out.push_str(text);
        }
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

fn exponent(float: f64, precision: usize) -> String {
    let text = format!("{float:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// `%.Ng`: N significant digits without trailing zeros.
fn general(float: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let rounded = exponent(float, precision - 1);
    let (mantissa, power) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let shown = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    // Few digits let a whole number keep its plain form only up to the precision.
    let limit = if precision as i32 > shown && shown > power { shown } else { precision as i32 };
    if power < -4 || power >= limit {
        return format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    let text = format!("{float:.*}", (precision as i32 - 1 - power).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
