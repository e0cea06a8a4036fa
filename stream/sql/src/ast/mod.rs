//! The syntax tree.

mod ddl;
mod expr;
mod select;

pub use ddl::{CreateStream, DataType, Field, StreamKind, StreamOptions, TableKind};
pub use expr::{BinaryOp, Call, Case, Column, Expr, Over, SetOperand};
pub use select::{Join, JoinKind, Select, SelectField, SortField, Source, TimeUnit, Window, WindowKind};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `SELECT …`
    Select(Box<Select>),
    /// `CREATE STREAM|TABLE …`
    Create(Box<CreateStream>),
    /// `SHOW STREAMS|TABLES`
    Show(StreamKind),
    /// `DESCRIBE STREAM|TABLE name`
    Describe(StreamKind, String),
    /// `EXPLAIN STREAM|TABLE name`
    Explain(StreamKind, String),
    /// `DROP STREAM|TABLE name`
    Drop(StreamKind, String),
}
