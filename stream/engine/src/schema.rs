//! Definitions of streams as the engine needs them.

use edgeward_functions::json::Numbers;
use edgeward_sql::ast::{CreateStream, StreamKind};
pub use edgeward_sql::ast::{DataType as ColumnType, Field, TableKind};
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
    /// What comes is bytes to be decoded, by its TYPE: the plan shows a decoder.
    pub decoded: bool,
    /// Set for a table: its rows are joined with others and cause nothing by themselves.
    pub table: Option<Table>,
}

/// How a table keeps its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Kept in memory or queried per row.
    pub kind: TableKind,
    /// Most rows that are kept of a scan table.
    pub retain: usize,
    /// Key column: a row of a lookup table replaces the one of the same key.
    pub key: Option<String>,
}

impl Table {
    /// Rows kept when RETAIN_SIZE does not say: 9999 of a file or without TYPE, else the last.
    fn new(create: &CreateStream) -> Table {
        let options = &create.options;
        let default = if matches!(options.source_type.as_deref(), None | Some("" | "file")) { 9999 } else { 1 };
        Table {
            kind: options.kind.unwrap_or(TableKind::Scan),
            retain: options.retain_size.map_or(default, |size| usize::try_from(size).unwrap_or(usize::MAX)),
            key: options.key.clone().filter(|key| !key.is_empty()),
        }
    }
}

/// Types of sources that give rows rather than bytes.
const ROW_SOURCES: [&str; 8] = ["memory", "simulator", "sql", "neuron", "edgex", "random", "file", "mock"];

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
            decoded: !ROW_SOURCES.contains(&create.options.source_type.as_deref().unwrap_or_default()),
            table: (create.kind == StreamKind::Table).then(|| Table::new(create)),
        }
    }

    /// Whether it is a lookup table.
    pub fn is_lookup(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.kind == TableKind::Lookup)
    }

    /// Whether any column may come.
    pub fn is_schemaless(&self) -> bool {
        self.fields.is_empty()
    }
}
