//! Go's `fmt`: `%v` of values and `Printf` with its flags, widths and complaints.

mod directive;
mod number;

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

impl Printer {
    fn new(limit: usize) -> Printer {
        Printer { out: String::new(), flags: Flags::default(), limit }
    }

    fn check(&self) -> Outcome<()> {
        if self.out.len() > self.limit { Err("printed text is longer than the limit".into()) } else { Ok(()) }
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
