//! Definitions of streams and tables.

/// Whether a statement is about a stream or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// `STREAM`
    Stream,
    /// `TABLE`
    Table,
}

/// How a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// The last rows are kept in memory; the default.
    Scan,
    /// Queried per row.
    Lookup,
}

/// `CREATE STREAM|TABLE name (fields) WITH (options)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateStream {
    /// Stream or table.
    pub kind: StreamKind,
    /// Its name.
    pub name: String,
    /// Declared columns; none at all means schemaless.
    pub fields: Vec<Field>,
    /// The WITH options.
    pub options: StreamOptions,
}

/// One declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Column name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// `DEFAULT literal`, as an expression literal.
    pub default: Option<super::Expr>,
}

/// A declared type.
#[derive(Debug, Clone, PartialEq)]
pub enum DataType {
    /// 64-bit integer.
    Bigint,
    /// 64-bit float.
    Float,
    /// Text.
    String,
    /// Bytes.
    Bytea,
    /// Instant.
    Datetime,
    /// Truth value.
    Boolean,
    /// `ARRAY(type)`.
    Array(Box<DataType>),
    /// `STRUCT(field type, …)`.
    Struct(Vec<Field>),
}

/// The WITH options; absent ones are none or false.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamOptions {
    /// Topic, path, table name … by type.
    pub datasource: Option<String>,
    /// Key column of a table.
    pub key: Option<String>,
    /// Payload format; json when absent.
    pub format: Option<String>,
    /// Section of the source's configuration.
    pub conf_key: Option<String>,
    /// Source type; mqtt for streams and file for tables when absent.
    pub source_type: Option<String>,
    /// `STRICT_VALIDATION`.
    pub strict_validation: bool,
    /// Event-time column.
    pub timestamp: Option<String>,
    /// Format of the event-time column.
    pub timestamp_format: Option<String>,
    /// Rows a scan table keeps.
    pub retain_size: Option<u64>,
    /// One source instance for all rules.
    pub shared: bool,
    /// Schema of the format, `file.Message`.
    pub schema_id: Option<String>,
    /// Kind of a table.
    pub kind: Option<TableKind>,
    /// Delimiter of the delimited format.
    pub delimiter: Option<String>,
    /// Gone at restart.
    pub temp: bool,
    /// Compared as text on update.
    pub version: Option<String>,
    /// JSON object overriding the source's configuration.
    pub extra: Option<String>,
}
