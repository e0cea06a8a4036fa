//! Properties common to all sinks (eKuiper's sink pipeline).

use std::sync::Arc;

use edgeward_template::Template;
use prost_reflect::MessageDescriptor;

use super::pack::Packing;
use crate::{ConnectError, Hosts, Props};

/// Common properties, with eKuiper's defaults.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// One message for each row; else one array of all rows.
    pub send_single: bool,
    /// Writes what is sent of a row or of all rows.
    pub(crate) data_template: Option<Arc<Template>>,
    /// Take this member of the row (of the first row without `sendSingle`) instead of the row.
    pub data_field: Option<String>,
    /// Keep only these columns.
    pub fields: Vec<String>,
    /// Leave these columns out.
    pub exclude_fields: Vec<String>,
    /// How rows are written.
    pub format: SinkFormat,
    /// Compression and encryption of payloads.
    pub(crate) packing: Packing,
    /// Send nothing for an emission without rows.
    pub omit_if_empty: bool,
    /// Emissions that may wait for the sink.
    pub buffer_length: usize,
}

/// Output formats.
#[derive(Debug, Clone, PartialEq)]
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
    /// `a=1&b=x` of each row.
    UrlEncoded,
    /// The bytes of the column `self`, or of the only column.
    Binary,
    /// A message of this type.
    Protobuf(MessageDescriptor),
}

/// Properties of eKuiper's pipeline that are not built.
const UNBUILT: [&str; 8] = [
    "batchSize",
    "lingerInterval",
    "enableCache",
    "resendAlterQueue",
    "resendPriority",
    "resendIndicatorField",
    "resendDestination",
    "properties",
];

impl SinkOptions {
    /// The same with rows as delimited lines.
    pub(crate) fn delimited(self, delimiter: &str) -> SinkOptions {
        let format = SinkFormat::Delimited { delimiter: delimiter.replace("\\t", "\t"), has_header: false };
        SinkOptions { format, ..self }
    }

    /// Reads the common properties.
    ///
    /// # Errors
    /// A property is of the wrong type or has a value that makes no sense.
    pub fn read(props: &Props, hosts: &Hosts) -> Result<SinkOptions, ConnectError> {
        props.refuse(&UNBUILT)?;
        let data_template = match props.raw_text("dataTemplate")? {
            None => None,
            Some(text) => Some(Arc::new(
                Template::parse("sink", text)
                    .map_err(|error| ConnectError::Invalid { key: "dataTemplate", reason: error.to_string() })?,
            )),
        };
        // Encoding is a small part of the work and done where the message is sent: the number only has to make sense.
        bounded(props, "concurrency", 1, 1..=1_024)?;
        let too_large = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Ok(SinkOptions {
            send_single: props.flag("sendSingle")?,
            data_template,
            data_field: props.text("dataField")?.map(str::to_owned),
            fields: props.list("fields")?,
            exclude_fields: props.list("excludeFields")?,
            format: format(props, hosts)?,
            packing: Packing::read(props, hosts)?,
            omit_if_empty: props.flag("omitIfEmpty")?,
            buffer_length: too_large(bounded(props, "bufferLength", 1_024, 1..=1_000_000)?),
        })
    }
}

fn format(props: &Props, hosts: &Hosts) -> Result<SinkFormat, ConnectError> {
    let delimiter = props.text("delimiter")?.unwrap_or(",").replace("\\t", "\t");
    Ok(match props.text("format")?.unwrap_or("json").to_ascii_lowercase().as_str() {
        "json" => SinkFormat::Json,
        "delimited" => SinkFormat::Delimited { delimiter, has_header: props.flag("hasHeader")? },
        "urlencoded" => SinkFormat::UrlEncoded,
        "binary" => SinkFormat::Binary,
        "protobuf" => {
            let id = props.text("schemaId")?.ok_or(ConnectError::Missing("schemaId"))?;
            SinkFormat::Protobuf(hosts.schemas.message(id)?)
        }
        other => {
            let reason =
                format!("format {other} cannot be written; use json, delimited, urlencoded, binary or protobuf");
            return Err(ConnectError::Invalid { key: "format", reason });
        }
    })
}

/// A whole number within limits.
pub(super) fn bounded(
    props: &Props,
    key: &'static str,
    default: u64,
    limits: std::ops::RangeInclusive<u64>,
) -> Result<u64, ConnectError> {
    let number = props.number(key)?.unwrap_or(default);
    match limits.contains(&number) {
        true => Ok(number),
        false => Err(ConnectError::Invalid { key, reason: format!("{number} is not in {limits:?}") }),
    }
}
