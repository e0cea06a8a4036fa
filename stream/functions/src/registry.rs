//! The catalogue of functions: names, kinds, argument checks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use edgeward_sql::ast::Expr;
use jiff::tz::TimeZone;

use crate::aggregate::Aggregate;
use crate::error::{Error, Result};
use crate::{Value, aggregate, scalar};

/// Evaluated arguments.
pub type Args<'a> = [Cow<'a, Value>];

/// What scalar functions may know of the world.
#[derive(Debug, Clone)]
pub struct Context {
    /// The clock, in ms since 1970.
    pub now: i64,
    /// `basic.timezone`.
    pub zone: TimeZone,
    /// Id of the rule.
    pub rule_id: Arc<str>,
    /// When the rule was started, in ms since 1970.
    pub rule_start: i64,
    /// How often an aggregate rule has emitted, and when it last did, in ms since 1970.
    pub agg_hits: (i64, i64),
    /// `delay` may really sleep: the rule has a thread of its own and time is real.
    pub sleeps: bool,
}

impl Default for Context {
    fn default() -> Context {
        Context { now: 0, zone: TimeZone::UTC, rule_id: "".into(), rule_start: 0, agg_hits: (0, 0), sleeps: false }
    }
}

/// How a function is run.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Pure: arguments to value.
    Scalar(fn(&Args<'_>, &Context) -> Result<Value>),
    /// Over the rows of a group.
    Aggregate(fn() -> Box<dyn Aggregate>),
    /// With state per call site and partition; the engine runs it.
    Analytic(Analytic),
    /// Several rows from one; the engine runs it.
    Rows(Srf),
    /// Answered by the engine from the row's, window's or rule's surroundings.
    Engine(Engine),
}

/// The analytic functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Analytic {
    Lag,
    Latest,
    ChangedCol,
    ChangedCols,
    HadChanged,
    AccSum,
    AccMax,
    AccMin,
    AccCount,
    AccAvg,
    LastHitCount,
    LastHitTime,
}

/// The set-returning functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Srf {
    Unnest,
    Extract,
}

/// Functions of the engine's surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Engine {
    Meta,
    Mqtt,
    WindowStart,
    WindowEnd,
    WindowTrigger,
    EventTime,
    RowNumber,
}

/// What nil arguments do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// One nil makes the result nil.
    Nil,
    /// As `Nil`, and an empty array or map counts as nil.
    Empty,
    /// One nil makes the result false.
    False,
    /// One nil makes the result 0.
    Zero,
    /// One nil makes the result -1.
    MinusOne,
    /// The function looks at them itself.
    Seen,
}

/// Literal types an argument may have; checked only for literals, when planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Any,
    Number,
    Int,
    Str,
    Bool,
    /// As `Bool`, but errors call it boolean.
    Boolean,
    /// Must be `true` or `false`: no expression will do.
    BoolLiteral,
    /// No literal can be one.
    Array,
    /// No literal can be one: columns are converted, but a text or number in the statement is refused.
    DateTime,
    /// Must be a text literal: neither another literal nor an expression will do.
    StrLiteral,
}

/// One function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name in lower case.
    pub name: &'static str,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// Types of literal arguments; the last repeats.
    pub types: &'static [Type],
    /// The error for a wrong number of arguments where eKuiper has a text of its own; `%d` is the number found.
    pub miscounted: Option<&'static str>,
    /// What literal arguments must be beyond their types.
    pub literals: fn(&[Expr]) -> std::result::Result<(), &'static str>,
    /// What nil does.
    pub nulls: Nulls,
    /// How it runs.
    pub run: Run,
}

/// Any number of arguments.
pub(crate) const MANY: usize = usize::MAX;

impl Type {
    /// What the error calls this type if the argument cannot be of it.
    fn refuses(self, arg: &Expr) -> Option<&'static str> {
        let literal = matches!(arg, Expr::Int(_) | Expr::Float(_) | Expr::Str(_) | Expr::Bool(_));
        let (fits, name) = match self {
            Type::Any => (true, ""),
            Type::Number => (matches!(arg, Expr::Int(_) | Expr::Float(_)), "number - float or int"),
            Type::Int => (matches!(arg, Expr::Int(_)), "int"),
            Type::Str => (matches!(arg, Expr::Str(_)), "string"),
            Type::Bool => (matches!(arg, Expr::Bool(_)), "bool"),
            Type::Boolean => (matches!(arg, Expr::Bool(_)), "boolean"),
            Type::BoolLiteral => return (!matches!(arg, Expr::Bool(_))).then_some("bool"),
            Type::Array => (false, "array"),
            Type::DateTime => (false, "datetime"),
            Type::StrLiteral => return (!matches!(arg, Expr::Str(_))).then_some("string"),
        };
        (literal && !fits).then_some(name)
    }
}

impl Function {
    pub(crate) const fn scalar(
        name: &'static str,
        (min, max): (usize, usize),
        types: &'static [Type],
        run: fn(&Args<'_>, &Context) -> Result<Value>,
    ) -> Function {
        Function::new(name, (min, max), types, Nulls::Nil, Run::Scalar(run))
    }

    pub(crate) const fn new(
        name: &'static str,
        (min, max): (usize, usize),
        types: &'static [Type],
        nulls: Nulls,
        run: Run,
    ) -> Function {
        Function { name, min, max, types, miscounted: None, literals: |_| Ok(()), nulls, run }
    }

    pub(crate) const fn nulls(mut self, nulls: Nulls) -> Function {
        self.nulls = nulls;
        self
    }

    pub(crate) const fn miscounted(mut self, text: &'static str) -> Function {
        self.miscounted = Some(text);
        self
    }

    pub(crate) const fn literals(mut self, check: fn(&[Expr]) -> std::result::Result<(), &'static str>) -> Function {
        self.literals = check;
        self
    }

    const fn other(name: &'static str, counts: (usize, usize), types: &'static [Type], run: Run) -> Function {
        Function::new(name, counts, types, Nulls::Seen, run)
    }

    /// Checks the number of arguments and the types of literal ones.
    ///
    /// # Errors
    /// eKuiper's texts: `Expect N arguments but found M.`, `Expect X type for parameter N`.
    pub fn check(&self, args: &[Expr]) -> Result<()> {
        let found = args.len();
        if found < self.min || found > self.max {
            return Err(Error::call(match self.miscounted {
                Some(text) => text.replace("%d", &found.to_string()),
                None => format!("Expect {} arguments but found {found}.", self.min),
            }));
        }
        for (index, arg) in args.iter().enumerate() {
            let wanted = self.types.get(index).or(self.types.last()).copied().unwrap_or(Type::Any);
            if let Some(name) = wanted.refuses(arg) {
                return Err(Error::call(format!("Expect {name} type for parameter {}", index + 1)));
            }
        }
        (self.literals)(args).map_err(Error::call)
    }

    /// Runs a scalar function with the null rule applied.
    ///
    /// # Errors
    /// The function's own; the text names it.
    #[inline]
    pub fn call(&self, args: &Args<'_>, context: &Context) -> Result<Value> {
        self.run_scalar(args, context).map_err(|error| Error::call(format!("call func {} error: {error}", self.name)))
    }

    /// As [`Function::call`], without its name before an error.
    pub(crate) fn run_scalar(&self, args: &Args<'_>, context: &Context) -> Result<Value> {
        let Run::Scalar(run) = self.run else {
            return Err(Error::call(format!("{} is not a scalar function", self.name)));
        };
        let absent = match self.nulls {
            Nulls::Seen => false,
            Nulls::Empty => args.iter().any(|arg| is_empty(arg)),
            _ => args.iter().any(|arg| arg.is_nil()),
        };
        if absent {
            return Ok(match self.nulls {
                Nulls::False => Value::Bool(false),
                Nulls::Zero => Value::Int(0),
                Nulls::MinusOne => Value::Int(-1),
                _ => Value::Nil,
            });
        }
        run(args, context)
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Array(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

const fn accumulator(name: &'static str, types: &'static [Type], analytic: Analytic) -> Function {
    Function::other(name, (1, 3), types, Run::Analytic(analytic))
}

/// Functions that the engine itself runs.
const ENGINE: &[Function] = &[
    Function::other("lag", (1, 4), &[Type::Any, Type::Int, Type::Any, Type::Bool], Run::Analytic(Analytic::Lag))
        .miscounted("expect one two or three args but got %d")
        .literals(|args| match args.get(1) {
            Some(Expr::Int(offset)) if *offset < 0 => Err("the index should not be a nagtive integer"),
            _ => Ok(()),
        }),
    Function::other("latest", (1, 2), &[Type::Any], Run::Analytic(Analytic::Latest))
        .miscounted("expect one or two args but got %d"),
    Function::other("changed_col", (2, 2), &[Type::Boolean, Type::Any], Run::Analytic(Analytic::ChangedCol)),
    Function::other("had_changed", (2, MANY), &[Type::Bool, Type::Any], Run::Analytic(Analytic::HadChanged))
        .miscounted("expect more than one arg but got %d"),
    Function::other(
        "changed_cols",
        (3, MANY),
        &[Type::Str, Type::Bool, Type::Any],
        Run::Analytic(Analytic::ChangedCols),
    )
    .miscounted("expect more than two args but got %d"),
    accumulator("acc_sum", &[Type::Number, Type::Bool], Analytic::AccSum),
    accumulator("acc_max", &[Type::Number, Type::Bool], Analytic::AccMax),
    accumulator("acc_min", &[Type::Number, Type::Bool], Analytic::AccMin),
    accumulator("acc_count", &[Type::Any, Type::Bool], Analytic::AccCount),
    accumulator("acc_avg", &[Type::Number, Type::Bool], Analytic::AccAvg),
    Function::other("last_hit_count", (0, 0), &[], Run::Analytic(Analytic::LastHitCount)),
    Function::other("last_hit_time", (0, 0), &[], Run::Analytic(Analytic::LastHitTime)),
    Function::other("unnest", (1, 1), &[Type::Any], Run::Rows(Srf::Unnest)),
    Function::other("extract", (1, 1), &[Type::Any], Run::Rows(Srf::Extract)),
    Function::other("meta", (1, 1), &[Type::Any], Run::Engine(Engine::Meta)),
    Function::other("mqtt", (1, 1), &[Type::Any], Run::Engine(Engine::Mqtt)),
    Function::other("window_start", (0, 0), &[], Run::Engine(Engine::WindowStart)),
    Function::other("window_end", (0, 0), &[], Run::Engine(Engine::WindowEnd)),
    Function::other("window_trigger", (0, 0), &[], Run::Engine(Engine::WindowTrigger)),
    Function::other("event_time", (0, 0), &[], Run::Engine(Engine::EventTime)),
    Function::other("row_number", (0, 0), &[], Run::Engine(Engine::RowNumber)),
];

/// Second names of functions.
const ALIASES: &[(&str, &str)] = &[
    ("ceiling", "ceil"),
    ("pow", "power"),
    ("current_timestamp", "now"),
    ("local_time", "now"),
    ("local_timestamp", "now"),
    ("current_date", "cur_date"),
    ("current_time", "cur_time"),
    ("day_of_month", "day"),
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    let families = scalar::FAMILIES.iter().chain([&ENGINE, &aggregate::FUNCTIONS]);
    let mut names: HashMap<_, _> =
        families.flat_map(|family| family.iter()).map(|function| (function.name, function)).collect();
    for (alias, name) in ALIASES {
        if let Some(function) = names.get(name).copied() {
            names.insert(alias, function);
        }
    }
    names
});

/// The built-in function of a name, in any case.
pub fn lookup(name: &str) -> Option<&'static Function> {
    match BY_NAME.get(name) {
        Some(function) => Some(function),
        None => BY_NAME.get(name.to_ascii_lowercase().as_str()).copied(),
    }
}

/// The names of all functions, aliases included, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = BY_NAME.keys().copied().collect();
    names.sort_unstable();
    names
}
