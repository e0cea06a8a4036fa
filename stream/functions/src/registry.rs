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
}

impl Default for Context {
    fn default() -> Context {
        Context { now: 0, zone: TimeZone::UTC, rule_id: "".into(), rule_start: 0, agg_hits: (0, 0) }
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
    /// What nil does.
    pub nulls: Nulls,
    /// How it runs.
    pub run: Run,
}

/// Any number of arguments.
pub(crate) const MANY: usize = usize::MAX;

impl Function {
    pub(crate) const fn scalar(
        name: &'static str,
        (min, max): (usize, usize),
        types: &'static [Type],
        run: fn(&Args<'_>, &Context) -> Result<Value>,
    ) -> Function {
        Function { name, min, max, types, nulls: Nulls::Nil, run: Run::Scalar(run) }
    }

    pub(crate) const fn nulls(mut self, nulls: Nulls) -> Function {
        self.nulls = nulls;
        self
    }

    const fn other(name: &'static str, (min, max): (usize, usize), run: Run) -> Function {
        Function { name, min, max, types: &[Type::Any], nulls: Nulls::Seen, run }
    }

    /// Checks the number of arguments and the types of literal ones.
    ///
    /// # Errors
    /// eKuiper's texts: `Expect N arguments but found M.`, `Expect X type for parameter N`.
    pub fn check(&self, args: &[Expr]) -> Result<()> {
        let found = args.len();
        if found < self.min || found > self.max {
            return Err(Error::call(if self.max == self.min {
                format!("Expect {} arguments but found {found}.", self.min)
            } else if self.max == MANY {
                format!("At least has {} argument but found {found}.", self.min)
            } else {
                format!("Expect {} to {} arguments but found {found}.", self.min, self.max)
            }));
        }
        for (index, arg) in args.iter().enumerate() {
            let wanted = self.types.get(index).or(self.types.last()).copied().unwrap_or(Type::Any);
            let name = match (wanted, arg) {
                (Type::Number, Expr::Str(_) | Expr::Bool(_)) => "number - float or int",
                (Type::Int, Expr::Float(_) | Expr::Str(_) | Expr::Bool(_)) => "int",
                (Type::Str, Expr::Int(_) | Expr::Float(_) | Expr::Bool(_)) => "string",
                (Type::Bool, Expr::Int(_) | Expr::Float(_) | Expr::Str(_)) => "boolean",
                _ => continue,
            };
            return Err(Error::call(format!("Expect {name} type for parameter {}", index + 1)));
        }
        Ok(())
    }

    /// Runs a scalar function with the null rule applied.
    ///
    /// # Errors
    /// The function's own; the text names it.
    #[inline]
    pub fn call(&self, args: &Args<'_>, context: &Context) -> Result<Value> {
        let Run::Scalar(run) = self.run else {
            return Err(Error::call(format!("{} is not a scalar function", self.name)));
        };
        let absent = match self.nulls {
            Nulls::Nil => args.iter().any(|arg| arg.is_nil()),
            Nulls::Empty => args.iter().any(|arg| is_empty(arg)),
            Nulls::Seen => false,
        };
        if absent {
            return Ok(Value::Nil);
        }
        run(args, context).map_err(|error| Error::call(format!("call func {} error: {error}", self.name)))
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

/// Functions that the engine itself runs.
const ENGINE: &[Function] = &[
    Function::other("lag", (1, 4), Run::Analytic(Analytic::Lag)),
    Function::other("latest", (1, 2), Run::Analytic(Analytic::Latest)),
    Function::other("changed_col", (2, 2), Run::Analytic(Analytic::ChangedCol)),
    Function::other("had_changed", (2, MANY), Run::Analytic(Analytic::HadChanged)),
    Function::other("acc_sum", (1, 3), Run::Analytic(Analytic::AccSum)),
    Function::other("acc_max", (1, 3), Run::Analytic(Analytic::AccMax)),
    Function::other("acc_min", (1, 3), Run::Analytic(Analytic::AccMin)),
    Function::other("acc_count", (1, 3), Run::Analytic(Analytic::AccCount)),
    Function::other("acc_avg", (1, 3), Run::Analytic(Analytic::AccAvg)),
    Function::other("last_hit_count", (0, 0), Run::Analytic(Analytic::LastHitCount)),
    Function::other("last_hit_time", (0, 0), Run::Analytic(Analytic::LastHitTime)),
    Function::other("unnest", (1, 1), Run::Rows(Srf::Unnest)),
    Function::other("extract", (1, 1), Run::Rows(Srf::Extract)),
    Function::other("meta", (1, 1), Run::Engine(Engine::Meta)),
    Function::other("mqtt", (1, 1), Run::Engine(Engine::Mqtt)),
    Function::other("window_start", (0, 0), Run::Engine(Engine::WindowStart)),
    Function::other("window_end", (0, 0), Run::Engine(Engine::WindowEnd)),
    Function::other("window_trigger", (0, 0), Run::Engine(Engine::WindowTrigger)),
    Function::other("event_time", (0, 0), Run::Engine(Engine::EventTime)),
    Function::other("row_number", (0, 0), Run::Engine(Engine::RowNumber)),
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
