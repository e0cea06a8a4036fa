//! Properties common to all sinks (eKuiper's sink pipeline).

use std::sync::Arc;
use std::time::Duration;

use edgeward_template::Template;
use prost_reflect::MessageDescriptor;

use super::cache::CacheOptions;
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
    /// Rows that are sent together; 0 sends each emission by itself, or what came in `linger` together.
    pub(crate) batch_size: usize,
    /// How long rows may wait to be sent together; zero until there are `batch_size`.
    pub(crate) linger: Duration,
    /// What is kept for a peer that cannot take it yet.
    pub(crate) cache: Option<CacheOptions>,
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

/// Most rows of a batch.
const MAX_BATCH: u64 = 1_000_000;

impl SinkOptions {
    /// The same with rows as delimited lines.
    pub(crate) fn delimited(self, delimiter: &str) -> SinkOptions {
        let format = SinkFormat::Delimited { delimiter: delimiter.replace("\\t", "\t"), has_header: false };
        SinkOptions { format, ..self }
    }

    /// The same without compression and encryption, and these by themselves: for sinks that pack more than a payload.
    pub(crate) fn unpacked(mut self) -> (SinkOptions, Packing) {
        let packing = std::mem::take(&mut self.packing);
        (self, packing)
    }

    /// Topic or address of what is sent again, if it is another.
    pub(crate) fn resend_destination(&self) -> Option<&str> {
        self.cache.as_ref()?.alter.as_ref()?.destination.as_deref()
    }

    /// Reads the common properties.
    ///
    /// # Errors
    /// A property is of the wrong type or has a value that makes no sense.
    pub fn read(props: &Props, hosts: &Hosts) -> Result<SinkOptions, ConnectError> {
        let data_template = match props.raw_text("dataTemplate")? {
            None => None,
            Some(text) => Some(Arc::new(
                Template::parse("sink", text)
                    .map_err(|error| ConnectError::Invalid { key: "dataTemplate", reason: error.to_string() })?,
            )),
        };
        // Encoding is a small part of the work and done where the message is sent: the number only has to make sense.
        bounded(props, "concurrency", 1, 1..=1_024)?;
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Ok(SinkOptions {
            send_single: props.flag("sendSingle")?,
            data_template,
            data_field: props.text("dataField")?.map(str::to_owned),
            fields: props.list("fields")?,
            exclude_fields: props.list("excludeFields")?,
            format: format(props, hosts)?,
            packing: Packing::read(props, hosts)?,
            omit_if_empty: props.flag("omitIfEmpty")?,
            buffer_length: whole(bounded(props, "bufferLength", 1_024, 1..=1_000_000)?),
            batch_size: whole(bounded(props, "batchSize", 0, 0..=MAX_BATCH)?),
            linger: Duration::from_millis(props.duration_ms("lingerInterval")?.unwrap_or(0)),
            cache: CacheOptions::read(props)?,
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
