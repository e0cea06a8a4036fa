//! The compiled tree. Literal text and constants are ranges of the source, kept for error contexts.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use edgeward_functions::Value;

use crate::exec::{self, Limits};
use crate::func::Function;
use crate::{Error, parse};

/// A parsed template, to be executed any number of times, from several threads at once.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) trees: HashMap<Arc<str>, Vec<Node>>,
    pub(crate) limits: Limits,
    /// Some function changes maps in place, so the data are copied first.
    pub(crate) mutates: bool,
}

impl Template {
    /// Parses `text`; `name` appears in error texts (eKuiper's is `sink`).
    ///
    /// # Errors
    /// Go's text of what is wrong, or nesting beyond the limit.
    pub fn parse(name: &str, text: &str) -> Result<Template, Error> {
        parse::parse(name, text)
    }

    /// The same template with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Template {
        self.limits = limits;
        self
    }

    /// Appends the result for `data` to `out`. On an error `out` holds what was written before it, as in Go.
    ///
    /// # Errors
    /// Go's text of what failed, or the limit that was exceeded.
    pub fn execute(&self, data: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        exec::execute(self, data, out)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(Range<usize>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template(Call),
    Break,
    Continue,
}

#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) pos: usize,
    pub(crate) name: Arc<str>,
    pub(crate) pipe: Option<Pipe>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    pub(crate) assign: bool,
    pub(crate) declared: Vec<Box<str>>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) args: Vec<Arg>,
}

#[derive(Debug, Clone)]
pub(crate) struct Arg {
    pub(crate) pos: usize,
    /// The text of the token, for constants.
    pub(crate) end: usize,
    pub(crate) kind: ArgKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ArgKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Str(Arc<str>),
    Field(Vec<Box<str>>),
    Variable(Box<str>, Vec<Box<str>>),
    Function(Function),
    Pipe(Box<Pipe>),
    Chain(Box<Arg>, Vec<Box<str>>),
}

/// A numeric constant: what it is as each kind of number, as far as it is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) float: f64,
    /// Written with a point or exponent.
    pub(crate) is_float: bool,
}

/// A node an error is reported at.
#[derive(Clone, Copy)]
pub(crate) enum At<'t> {
    Pipe(&'t Pipe),
    Command(&'t Command),
    Arg(&'t Arg),
    Call(&'t Call),
}

impl At<'_> {
    pub(crate) fn pos(&self) -> usize {
        match self {
            At::Pipe(pipe) => pipe.pos,
            At::Command(command) => command.pos,
            At::Arg(arg) => arg.pos,
            At::Call(call) => call.pos,
        }
    }

    pub(crate) fn show(&self, source: &str) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = match self {
            At::Pipe(pipe) => show_pipe(pipe, source, &mut out),
            At::Command(command) => show_command(command, source, &mut out),
            At::Arg(arg) => show_arg(arg, source, &mut out),
            At::Call(call) => show_call(call, source, &mut out),
        };
        out
    }
}

fn show_call(call: &Call, source: &str, out: &mut String) -> fmt::Result {
    write!(out, "{{{{template {}", crate::gofmt::quoted(&call.name))?;
    if let Some(pipe) = &call.pipe {
        out.push(' ');
        show_pipe(pipe, source, out)?;
    }
    out.write_str("}}")
}

fn show_pipe(pipe: &Pipe, source: &str, out: &mut String) -> fmt::Result {
    if !pipe.declared.is_empty() {
        out.write_str(&pipe.declared.join(", "))?;
        out.write_str(if pipe.assign { " = " } else { " := " })?;
    }
    for (index, command) in pipe.commands.iter().enumerate() {
        if index > 0 {
            out.write_str(" | ")?;
        }
        show_command(command, source, out)?;
    }
    Ok(())
}

fn show_command(command: &Command, source: &str, out: &mut String) -> fmt::Result {
    for (index, arg) in command.args.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        if let ArgKind::Pipe(pipe) = &arg.kind {
            out.push('(');
            show_pipe(pipe, source, out)?;
            out.push(')');
        } else {
            show_arg(arg, source, out)?;
        }
    }
    Ok(())
}

/// Text of one operand without parentheses.
pub(crate) fn show_arg(arg: &Arg, source: &str, out: &mut String) -> fmt::Result {
    match &arg.kind {
        ArgKind::Dot => out.write_str("."),
        ArgKind::Nil => out.write_str("nil"),
        ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::Str(_) => out.write_str(&source[arg.pos..arg.end]),
        ArgKind::Field(fields) => show_fields(fields, out),
        ArgKind::Variable(name, fields) => {
            out.write_str(name)?;
            show_fields(fields, out)
        }
        ArgKind::Function(function) => out.write_str(function.name),
        ArgKind::Pipe(pipe) => show_pipe(pipe, source, out),
        ArgKind::Chain(inner, fields) => {
            let parens = matches!(inner.kind, ArgKind::Pipe(_));
            out.write_str(if parens { "(" } else { "" })?;
            show_arg(inner, source, out)?;
            out.write_str(if parens { ")" } else { "" })?;
            show_fields(fields, out)
        }
    }
}

fn show_fields(fields: &[Box<str>], out: &mut String) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(out, ".{field}"))
}
