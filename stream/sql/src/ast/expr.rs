//! Expressions.

use super::SortField;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Whole number.
    Int(i64),
    /// Number with a point.
    Float(f64),
    /// Text in either quotes.
    Str(String),
    /// `TRUE` or `FALSE`.
    Bool(bool),
    /// A column, maybe qualified.
    Column(Column),
    /// `*` as an argument (`count(*)`), or `stream.*`.
    Wildcard(Option<String>),
    /// `left op right`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `base -> member` or `base.member` of something that is no column.
    Member(Box<Expr>, String),
    /// `base[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `base[from:to]`.
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// `operand [NOT] IN (…)`.
    In {
        /// Left side.
        operand: Box<Expr>,
        /// Right side.
        set: SetOperand,
        /// `NOT IN`.
        negated: bool,
    },
    /// `operand [NOT] BETWEEN low AND high`.
    Between {
        /// Left side.
        operand: Box<Expr>,
        /// Lower bound, inclusive.
        low: Box<Expr>,
        /// Upper bound, inclusive.
        high: Box<Expr>,
        /// `NOT BETWEEN`.
        negated: bool,
    },
    /// `operand [NOT] LIKE pattern`.
    Like {
        /// Left side.
        operand: Box<Expr>,
        /// Pattern with `%` and `_`.
        pattern: Box<Expr>,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// `CASE … END`.
    Case(Box<Case>),
    /// `name(args)`.
    Call(Box<Call>),
}

/// A column reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Stream or alias before the point.
    pub stream: Option<String>,
    /// Column name.
    pub name: String,
}

/// Right side of IN.
#[derive(Debug, Clone, PartialEq)]
pub enum SetOperand {
    /// `(a, b, …)`
    List(Vec<Expr>),
    /// An expression that gives an array.
    Expr(Box<Expr>),
}

/// `CASE [operand] WHEN … THEN … [ELSE …] END`.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Compared with each WHEN; without it each WHEN is a condition.
    pub operand: Option<Expr>,
    /// (WHEN, THEN) pairs.
    pub arms: Vec<(Expr, Expr)>,
    /// ELSE.
    pub otherwise: Option<Expr>,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name as written.
    pub name: String,
    /// Arguments.
    pub args: Vec<Expr>,
    /// `FILTER(WHERE …)` of an aggregate.
    pub filter: Option<Expr>,
    /// `OVER(…)` of an analytic or window function.
    pub over: Option<Over>,
}

/// `OVER([PARTITION BY …] [ORDER BY …] [WHEN …])`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Over {
    /// One state per value of these.
    pub partition: Vec<Expr>,
    /// Order of `row_number()`.
    pub order: Vec<SortField>,
    /// State changes only when it holds.
    pub when: Option<Expr>,
}

/// Infix operators, all left-associative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `OR`
    Or,
    /// `AND`
    And,
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `&`
    BitAnd,
}

impl BinaryOp {
    /// The operator's text.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "OR",
            BinaryOp::And => "AND",
            BinaryOp::Eq => "=",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::BitAnd => "&",
        }
    }

    /// Binding strength, 1 (loosest) to 5.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 3,
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::BitOr | BinaryOp::BitXor => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::BitAnd => 5,
        }
    }
}
