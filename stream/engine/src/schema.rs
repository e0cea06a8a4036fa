//! Definitions of streams as the engine needs them.

use edgeward_functions::json::Numbers;
use edgeward_sql::ast::CreateStream;
pub use edgeward_sql::ast::{DataType as ColumnType, Field};
use jiff::tz::TimeZone;

/// A stream's definition, ready to decode by.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamDef {
    /// The stream's name.
    pub name: String,
    /// Declared columns; empty means schemaless.
    pub fields: Vec<Field>,
    /// Missing columns and values of another kind are errors.
    pub strict: bool,
    /// Event-time column.
    pub timestamp: Option<String>,
    /// Format of the event-time column when it is text.
    pub timestamp_format: Option<String>,
    /// What JSON numbers without a declared type become.
    pub numbers: Numbers,
    /// Zone of times without one (`basic.timezone`).
    pub timezone: TimeZone,
}

impl StreamDef {
    /// The definition a CREATE statement gives.
    pub fn new(create: &CreateStream) -> StreamDef {
        StreamDef {
            name: create.name.clone(),
            fields: create.fields.clone(),
            strict: create.options.strict_validation,
            timestamp: create.options.timestamp.clone(),
            timestamp_format: create.options.timestamp_format.clone(),
            numbers: Numbers::Float,
            timezone: TimeZone::UTC,
        }
    }

    /// Whether any column may come.
    pub fn is_schemaless(&self) -> bool {
        self.fields.is_empty()
    }
}
