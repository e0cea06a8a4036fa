//! SELECT.

use super::{Column, Expr};

/// `SELECT fields FROM sources …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// The field list.
    pub fields: Vec<SelectField>,
    /// The stream after FROM.
    pub from: Source,
    /// Joins in the order written.
    pub joins: Vec<Join>,
    /// WHERE.
    pub condition: Option<Expr>,
    /// GROUP BY expressions without the window.
    pub group_by: Vec<Expr>,
    /// The window of GROUP BY.
    pub window: Option<Window>,
    /// HAVING.
    pub having: Option<Expr>,
    /// ORDER BY.
    pub order_by: Vec<SortField>,
    /// LIMIT.
    pub limit: Option<u64>,
}

/// One entry of the field list.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectField {
    /// `* [EXCEPT(…)] [REPLACE(…)]`.
    All {
        /// Columns left out.
        except: Vec<String>,
        /// Expressions in place of columns, each with its alias.
        replace: Vec<(Expr, String)>,
    },
    /// `expr [AS alias] [INVISIBLE]`.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its alias.
        alias: Option<String>,
        /// Computed but not sent.
        invisible: bool,
    },
}

/// A stream or table with an optional alias.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// `AS alias`.
    pub alias: Option<String>,
}

impl Source {
    /// The name columns are qualified with.
    pub fn reference(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// A join.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Its type.
    pub kind: JoinKind,
    /// What is joined.
    pub source: Source,
    /// ON; none for CROSS.
    pub on: Option<Expr>,
}

/// Join types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// `INNER`
    Inner,
    /// `LEFT`
    Left,
    /// `RIGHT`
    Right,
    /// `FULL`
    Full,
    /// `CROSS`
    Cross,
}

/// The window of a GROUP BY.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Kind and measures.
    pub kind: WindowKind,
    /// `FILTER(WHERE …)`: rows that do not match never enter.
    pub filter: Option<Expr>,
    /// `OVER(WHEN …)`: rows that trigger a sliding window.
    pub when: Option<Expr>,
    /// `PARTITION BY` of the OVER: one state window per value.
    pub partition: Vec<Expr>,
}

/// Kinds of windows. Lengths are whole numbers of the unit.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowKind {
    /// `TUMBLINGWINDOW(unit, length)`
    Tumbling(TimeUnit, i64),
    /// `HOPPINGWINDOW(unit, length, interval)`
    Hopping(TimeUnit, i64, i64),
    /// `SLIDINGWINDOW(unit, length[, delay])`
    Sliding(TimeUnit, i64, Option<i64>),
    /// `SESSIONWINDOW(unit, maximum, timeout)`
    Session(TimeUnit, i64, i64),
    /// `COUNTWINDOW(length[, interval])`
    Count(i64, Option<i64>),
    /// `STATEWINDOW(condition)` or `STATEWINDOW(begin, emit)`
    State(Box<Expr>, Option<Box<Expr>>),
}

/// Units of window lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// `DD`
    Day,
    /// `HH`
    Hour,
    /// `MI`
    Minute,
    /// `SS`
    Second,
    /// `MS`
    Millisecond,
}

impl TimeUnit {
    /// The unit's length in milliseconds.
    pub fn millis(self) -> i64 {
        match self {
            TimeUnit::Day => 86_400_000,
            TimeUnit::Hour => 3_600_000,
            TimeUnit::Minute => 60_000,
            TimeUnit::Second => 1000,
            TimeUnit::Millisecond => 1,
        }
    }

    /// The unit's keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            TimeUnit::Day => "dd",
            TimeUnit::Hour => "hh",
            TimeUnit::Minute => "mi",
            TimeUnit::Second => "ss",
            TimeUnit::Millisecond => "ms",
        }
    }
}

/// One ORDER BY entry.
#[derive(Debug, Clone, PartialEq)]
pub struct SortField {
    /// What is sorted by; begins with a column.
    pub expr: Expr,
    /// `DESC`.
    pub descending: bool,
}

impl SelectField {
    /// A plain column field.
    pub fn column(name: &str) -> SelectField {
        let column = Column { stream: None, name: name.to_string() };
        SelectField::Expr { expr: Expr::Column(column), alias: None, invisible: false }
    }
}
