//! Properties common to all sinks (eKuiper's sink pipeline).

use crate::{ConnectError, Props};

/// Common properties, with eKuiper's defaults.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// One message for each row; else one array of all rows.
    pub send_single: bool,
    /// Take this member of the row (of the first row without `sendSingle`) instead of the row.
    pub data_field: Option<String>,
    /// Keep only these columns.
    pub fields: Vec<String>,
    /// Leave these columns out.
    pub exclude_fields: Vec<String>,
    /// How rows are written.
    pub format: SinkFormat,
    /// Send nothing for an emission without rows.
    pub omit_if_empty: bool,
    /// Emissions that may wait for the sink.
    pub buffer_length: usize,
}

/// Output formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkFormat {
    /// JSON text.
    Json,
    /// Values of a row with a delimiter between them, one row in a line.
    Delimited {
        /// Between two values.
        delimiter: String,
        /// Begin with the names of the columns.
        has_header: bool,
    },
}

/// Properties of eKuiper's pipeline that are not built.
const UNBUILT: [&str; 16] = [
    "dataTemplate",
    "schemaId",
    "batchSize",
    "lingerInterval",
    "compression",
    "compressionProps",
    "encryption",
    "encProps",
    "enableCache",
    "resendAlterQueue",
    "resendPriority",
    "resendIndicatorField",
    "resendDestination",
    "resourceId",
    "connectionSelector",
    "properties",
];

impl SinkOptions {
    /// Whether rows are sent as they are, each with all its columns.
    pub(crate) fn sends_rows_unchanged(&self) -> bool {
        self.data_field.is_none() && self.fields.is_empty() && self.exclude_fields.is_empty()
    }

    /// The same with rows as delimited lines.
    pub(crate) fn delimited(self, delimiter: &str) -> SinkOptions {
        let format = SinkFormat::Delimited { delimiter: delimiter.replace("\\t", "\t"), has_header: false };
        SinkOptions { format, ..self }
    }

    /// Reads the common properties.
    ///
    /// # Errors
    /// A property is of the wrong type, has a value that makes no sense, or is not built.
    pub fn read(props: &Props) -> Result<SinkOptions, ConnectError> {
        props.refuse(&UNBUILT)?;
        let delimiter = props.text("delimiter")?.unwrap_or(",").to_owned();
        let format = match props.text("format")?.unwrap_or("json") {
            "json" => SinkFormat::Json,
            "delimited" => SinkFormat::Delimited { delimiter, has_header: props.flag("hasHeader")? },
            other => {
                let reason = format!("format {other} cannot be written; use json or delimited");
                return Err(ConnectError::Invalid { key: "format", reason });
            }
        };
        let buffer_length = props.number("bufferLength")?.unwrap_or(1_024);
        let too_long =
            || ConnectError::Invalid { key: "bufferLength", reason: format!("{buffer_length} is not in 1..=1000000") };
        Ok(SinkOptions {
            send_single: props.flag("sendSingle")?,
            data_field: props.text("dataField")?.map(str::to_owned),
            fields: props.list("fields")?,
            exclude_fields: props.list("excludeFields")?,
            format,
            omit_if_empty: props.flag("omitIfEmpty")?,
            buffer_length: usize::try_from(buffer_length)
                .ok()
                .filter(|n| (1..=1_000_000).contains(n))
                .ok_or_else(too_long)?,
        })
    }
}
