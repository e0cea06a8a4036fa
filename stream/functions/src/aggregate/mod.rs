//! Aggregates as incremental state machines: rows in, one value out, state that can be saved.

mod basic;
mod collect;
mod stats;

use std::fmt::Debug;

use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::registry::{Args, Function, Nulls, Run, Type};

/// One aggregate over the rows of one group.
pub trait Aggregate: Send + Debug {
    /// Takes in the arguments of one row.
    ///
    /// # Errors
    /// A value of a type the aggregate cannot take; the group's result is then this error.
    fn add(&mut self, args: &Args<'_>) -> Result<()>;

    /// The value for the rows so far.
    ///
    /// # Errors
    /// The parameters make no sense (a percentile outside 0..1).
    fn result(&self) -> Result<Value>;

    /// The state as a value, for checkpoints.
    fn save(&self) -> Value;

    /// Takes back a saved state.
    fn load(&mut self, state: &Value);
}

/// The first value of a group is of no type the aggregate knows.
fn unfit(name: &str, value: &Value) -> Error {
    let shown = format!("{}({})", value.type_name(), GoText(value));
    Error::call(format!("call func {name} error: run {name} function error: found invalid arg {shown}"))
}

/// A value of a group is not of the type its first value is of.
fn required(name: &str, wanted: &str, value: &Value) -> Error {
    let shown = format!("{}({})", value.type_name(), GoText(value));
    Error::call(format!("call func {name} error: requires {wanted} but found {shown}"))
}

const fn aggregate(
    name: &'static str,
    (min, max): (usize, usize),
    types: &'static [Type],
    make: fn() -> Box<dyn Aggregate>,
) -> Function {
    Function::new(name, (min, max), types, Nulls::Seen, Run::Aggregate(make))
}

pub(crate) const FUNCTIONS: &[Function] = &[
    aggregate("count", (1, 1), &[Type::Any], || Box::new(basic::Count::default())),
    aggregate("sum", (1, 1), &[Type::Number], || Box::new(basic::Sum::new("sum"))),
    aggregate("avg", (1, 1), &[Type::Number], || Box::new(basic::Avg::default())),
    aggregate("min", (1, 1), &[Type::Any], || Box::new(basic::Extreme::min())),
    aggregate("max", (1, 1), &[Type::Any], || Box::new(basic::Extreme::max())),
    aggregate("collect", (1, 1), &[Type::Any], || Box::new(collect::Collect::default())),
    aggregate("merge_agg", (1, 1), &[Type::Any], || Box::new(collect::Merge::default())),
    aggregate("last_value", (2, 2), &[Type::Any, Type::BoolLiteral], || Box::new(collect::Last::default())),
    aggregate("deduplicate", (2, 2), &[Type::Any, Type::BoolLiteral], || Box::new(collect::Deduplicate::default())),
    aggregate("median", (1, 1), &[Type::Number], || Box::new(stats::Sample::new("median", stats::Statistic::Median))),
    aggregate("stddev", (1, 1), &[Type::Number], || Box::new(stats::Sample::new("stddev", stats::Statistic::StdDev))),
    aggregate("stddevs", (1, 1), &[Type::Number], || {
        Box::new(stats::Sample::new("stddevs", stats::Statistic::StdDevSample))
    }),
    aggregate("var", (1, 1), &[Type::Number], || Box::new(stats::Sample::new("var", stats::Statistic::Var))),
    aggregate("vars", (1, 1), &[Type::Number], || Box::new(stats::Sample::new("vars", stats::Statistic::VarSample))),
    aggregate("percentile_cont", (2, 2), &[Type::Number], || {
        Box::new(stats::Sample::new("percentile_cont", stats::Statistic::Continuous))
    }),
    aggregate("percentile_disc", (2, 2), &[Type::Number], || {
        Box::new(stats::Sample::new("percentile_disc", stats::Statistic::Discrete))
    }),
];
