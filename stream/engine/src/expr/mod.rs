//! Compiled expressions: a compact tree over slots. Evaluation looks up no names and allocates only for new text and containers.

mod access;
mod compile;
mod eval;
mod shown;
mod star;
mod walk;

use std::cell::OnceCell;
use std::sync::Arc;

use edgeward_functions::{Context, Function, UserFunction, Value};
use edgeward_sql::ast::BinaryOp;

pub(crate) use compile::{AggregateCall, AnalyticCall, Compiler, Numbering, Scope, ScopeInput};
pub(crate) use eval::within;
pub(crate) use walk::{columns, first_call, has_aggregate};

pub(crate) use star::Star;

use crate::Row;

/// A window's bounds in ms since 1970, for `window_start()` and friends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) trigger: i64,
}

/// What an expression is evaluated against.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) row: &'a Row,
    /// Results of the analytic calls for the row.
    pub(crate) analytic: &'a [Value],
    /// Results of the aggregates for the row's group.
    pub(crate) aggregates: &'a [Value],
    /// Values of aliases computed for the row so far; empty where they are not kept.
    pub(crate) cells: &'a [OnceCell<Value>],
    pub(crate) window: Option<Range>,
    /// Results of the `row_number()` calls for the row.
    pub(crate) row_numbers: &'a [i64],
    pub(crate) context: &'a Context,
}

/// An expression ready to run.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Const(Value),
    /// A column of a single stream.
    Slot(usize),
    /// A column of one side of a join.
    Side(usize, usize),
    /// An unqualified column of a join: the first side that has it.
    FirstSide(Box<[(usize, usize)]>),
    /// The whole row, or one side of it, as a map.
    All(Option<usize>),
    /// The same where an input has a schema.
    Star(Box<[Star]>),
    Analytic(usize),
    Aggregate(usize),
    /// An alias computed once per row.
    Cell(usize, Arc<Expr>),
    Binary(BinaryOp, Box<(Expr, Expr)>),
    /// `slot op constant number`, the commonest filter.
    SlotNumber(BinaryOp, usize, f64, Value),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Member(Box<Expr>, Arc<str>),
    Index(Box<(Expr, Expr)>),
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    In(Box<Expr>, Set, bool),
    Between(Box<[Expr; 3]>, bool),
    Like(Box<(Expr, Expr)>, bool),
    Case(Box<Case>),
    Call(&'static Function, Box<[Expr]>),
    /// A function a user brought; it may block.
    User(Arc<dyn UserFunction>, Box<[Expr]>),
    /// Metadata: of a side of a join, and the key (none for all).
    Meta(Option<usize>, Option<Arc<str>>),
    Window(WindowBound),
    EventTime,
    /// The call of this index.
    RowNumber(usize),
}

/// Which bound of the window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WindowBound {
    Start,
    End,
    Trigger,
}

/// Right side of IN.
#[derive(Debug, Clone)]
pub(crate) enum Set {
    List(Box<[Expr]>),
    Expr(Box<Expr>),
}

/// CASE.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) operand: Option<Expr>,
    pub(crate) arms: Box<[(Expr, Expr)]>,
    pub(crate) otherwise: Option<Expr>,
}

impl<'a> Scene<'a> {
    /// A row by itself, as a filter in the stream sees it.
    pub(crate) fn of_row(row: &'a Row, context: &'a Context) -> Scene<'a> {
        Scene { row, analytic: &[], aggregates: &[], cells: &[], window: None, row_numbers: &[], context }
    }
}
