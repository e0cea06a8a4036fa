//! The functions of templates: Go's own, sprig's and eKuiper's, one table a subject.

mod builtin;
mod collection;
mod date;
mod encode;
mod math;
mod paths;
mod regexp;
mod strings;
mod words;

use crate::runtime::Runtime;
use crate::value::{Outcome, Val};

pub(crate) use date::{method, time_text};

/// The Go type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    /// `interface{}`.
    Any,
    /// `reflect.Value`: the function sees whether there is a value.
    Reflect,
    Str,
    Int,
    Float,
    Bool,
    /// `map[string]interface{}`.
    Map,
    Time,
}

impl Ty {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ty::Any => "interface {}",
            Ty::Reflect => "reflect.Value",
            Ty::Str => "string",
            Ty::Int => "int",
            Ty::Float => "float64",
            Ty::Bool => "bool",
            Ty::Map => "map[string]interface {}",
            Ty::Time => "time.Time",
        }
    }

    pub(crate) fn can_be_nil(self) -> bool {
        matches!(self, Ty::Any | Ty::Reflect | Ty::Map)
    }
}

type Run = fn(&mut Runtime, &[Val]) -> Outcome<Val>;

/// A function: its Go signature and what it does. Arguments have been checked against the signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Ty],
    pub(crate) variadic: Option<Ty>,
    /// It changes a map in place.
    pub(crate) mutates: bool,
    /// `and` stops at the first false value, `or` at the first true one.
    pub(crate) short_circuit: Option<bool>,
    pub(crate) run: Run,
}

const fn function(name: &'static str, params: &'static [Ty], run: Run) -> Function {
    Function { name, params, variadic: None, mutates: false, short_circuit: None, run }
}

const fn variadic(name: &'static str, params: &'static [Ty], rest: Ty, run: Run) -> Function {
    Function { name, params, variadic: Some(rest), mutates: false, short_circuit: None, run }
}

/// Second names: sprig's `must…` variants of what fails here too instead of panicking, and old spellings.
const ALIASES: &[(&str, &str)] = &[
    ("mustAppend", "append"),
    ("mustChunk", "chunk"),
    ("mustCompact", "compact"),
    ("mustDeepCopy", "deepCopy"),
    ("mustFirst", "first"),
    ("mustHas", "has"),
    ("mustInitial", "initial"),
    ("mustLast", "last"),
    ("mustMerge", "merge"),
    ("mustMergeOverwrite", "mergeOverwrite"),
    ("mustPrepend", "prepend"),
    ("mustPush", "append"),
    ("mustRegexFindAll", "regexFindAll"),
    ("mustRegexReplaceAll", "regexReplaceAll"),
    ("mustRegexReplaceAllLiteral", "regexReplaceAllLiteral"),
    ("mustRegexSplit", "regexSplit"),
    ("mustRest", "rest"),
    ("mustReverse", "reverse"),
    ("mustSlice", "slice"),
    ("mustUniq", "uniq"),
    ("mustWithout", "without"),
    ("must_date_modify", "mustDateModify"),
    ("osBase", "base"),
    ("osClean", "clean"),
    ("osDir", "dir"),
    ("osExt", "ext"),
    ("osIsAbs", "isAbs"),
    ("push", "append"),
];

/// Finds a function. Sprig's come first, as eKuiper registers them over Go's own.
pub(crate) fn lookup(name: &str) -> Option<Function> {
    if let Some((alias, of)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return lookup(of).map(|function| Function { name: alias, ..function });
    }
    [
        strings::FUNCTIONS,
        math::FUNCTIONS,
        collection::FUNCTIONS,
        encode::FUNCTIONS,
        date::FUNCTIONS,
        paths::FUNCTIONS,
        regexp::FUNCTIONS,
        builtin::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .find(|function| function.name == name)
    .copied()
}

/// A text argument; the signature has made sure it is one.
fn text(args: &[Val], index: usize) -> &str {
    match args.get(index) {
        Some(Val::Str(text)) => text,
        _ => "",
    }
}

/// A whole-number argument.
fn int(args: &[Val], index: usize) -> i64 {
    match args.get(index) {
        Some(Val::Int(int, _)) => *int,
        _ => 0,
    }
}

/// The longest text a value may print as inside a function.
const TEXT_LIMIT: usize = 16 << 20;

/// Sprig's `strval`.
fn strval(value: &Val) -> Outcome<String> {
    match value {
        Val::Str(text) => Ok(text.to_string()),
        Val::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        other => crate::gofmt::text(other, TEXT_LIMIT),
    }
}

/// Sprig's `strslice`: the texts of a list without its nils, or of one value.
fn strslice(value: &Val) -> Outcome<Vec<String>> {
    if value.is_list() {
        value.items().iter().filter(|item| !item.is_nil()).map(strval).collect()
    } else if value.is_nil() {
        Ok(Vec::new())
    } else {
        Ok(vec![strval(value)?])
    }
}
