//! Properties of `file`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::source::Unpack;
use crate::template::Template;
use crate::{ConnectError, Props};

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    /// One JSON value: an array of rows, or a row.
    Json,
    /// Delimited values.
    Csv,
    /// A payload in each line.
    Lines,
    /// The whole file is one payload.
    Raw,
}

/// What happens to a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Delete,
    Move(PathBuf),
}

/// A source.
#[derive(Debug)]
pub(super) struct SourceConfig {
    /// `path` joined with DATASOURCE: a file, or a folder whose files are read in the order of their names.
    pub(super) path: PathBuf,
    pub(super) file_type: FileType,
    /// Read again so long after the last time; none reads once and ends the stream.
    pub(super) interval: Option<Duration>,
    /// Pause between two messages.
    pub(super) send_interval: Duration,
    pub(super) after: After,
    pub(super) has_header: bool,
    pub(super) columns: Vec<String>,
    pub(super) delimiter: char,
    pub(super) ignore_start_lines: u64,
    pub(super) ignore_end_lines: usize,
    pub(super) decompression: Option<Unpack>,
    /// Read the files of a folder side by side, in no order.
    pub(super) parallel: bool,
}

/// A sink.
#[derive(Debug)]
pub(super) struct SinkConfig {
    pub(super) path: Template,
    pub(super) file_type: FileType,
    pub(super) delimiter: String,
    pub(super) has_header: bool,
    /// A file is closed when it is so old …
    pub(super) rolling_interval: Option<Duration>,
    /// … which is looked at so often …
    pub(super) check_interval: Duration,
    /// … or holds so many messages …
    pub(super) rolling_count: u64,
    /// … or so many bytes.
    pub(super) rolling_size: Option<u64>,
    pub(super) pattern: Pattern,
    /// Paths that depend on the data must stay below this folder.
    pub(super) within: Option<PathBuf>,
}

/// Where the time goes in the names of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    Prefix,
    Suffix,
    None,
}

impl SourceConfig {
    pub(super) fn read(datasource: &str, props: &Props) -> Result<SourceConfig, ConnectError> {
        let path = Path::new(props.text("path")?.unwrap_or("data")).join(datasource);
        let moved = || props.text("moveTo")?.map(PathBuf::from).ok_or(ConnectError::Missing("moveTo"));
        let after = match props.number("actionAfterRead")?.unwrap_or(0) {
            0 => After::Keep,
            1 => After::Delete,
            2 => After::Move(moved()?),
            other => return Err(invalid("actionAfterRead", format!("{other} is not 0, 1 or 2"))),
        };
        let decompression = Unpack::read(props)?;
        if matches!(decompression, Some(Unpack::Zlib | Unpack::Flate)) {
            return Err(invalid("decompression", "a file can be gzip or zstd".into()));
        }
        let ignore_end_lines = props.number("ignoreEndLines")?.unwrap_or(0);
        let too_many = || invalid("ignoreEndLines", "at most 10000 lines can be ignored".into());
        Ok(SourceConfig {
            path,
            file_type: file_type(props, "json")?,
            interval: props.duration_ms("interval")?.filter(|ms| *ms > 0).map(Duration::from_millis),
            send_interval: Duration::from_millis(props.duration_ms("sendInterval")?.unwrap_or(0)),
            after,
            has_header: props.flag("hasHeader")?,
            columns: props.list("columns")?,
            delimiter: delimiter(props)?,
            ignore_start_lines: props.number("ignoreStartLines")?.unwrap_or(0),
            ignore_end_lines: usize::try_from(ignore_end_lines).ok().filter(|n| *n <= 10_000).ok_or_else(too_many)?,
            decompression,
            parallel: props.flag("parallel")?,
        })
    }
}

impl SinkConfig {
    pub(super) fn read(props: &Props, within: Option<PathBuf>) -> Result<SinkConfig, ConnectError> {
        props.refuse(&["rollingHook", "rollingHookProps"])?;
        let path = Template::read(props, "path")?.ok_or(ConnectError::Missing("path"))?;
        if path.constant().is_some_and(|path| Path::new(path).file_name().is_none()) {
            return Err(invalid("path", "it names no file".into()));
        }
        let file_type = file_type(props, "lines")?;
        if file_type == FileType::Raw {
            return Err(invalid("fileType", "raw is for sources; use json, csv or lines".into()));
        }
        let compression = props.text("compression")?;
        if let Some(other) = compression.filter(|kind| !["gzip", "zstd"].contains(kind)) {
            return Err(invalid("compression", format!("a file can be gzip or zstd, not {other}")));
        }
        props.refuse(&["encryption"])?;
        if compression.is_some() && file_type == FileType::Json {
            return Err(invalid(
                "compression",
                "a json file cannot be compressed as it grows; use lines or csv".into(),
            ));
        }
        let pattern = match props.text("rollingNamePattern")?.unwrap_or("none") {
            "prefix" => Pattern::Prefix,
            "suffix" => Pattern::Suffix,
            "none" => Pattern::None,
            other => return Err(invalid("rollingNamePattern", format!("{other} is not prefix, suffix or none"))),
        };
        let check = props.duration_ms("checkInterval")?;
        Ok(SinkConfig {
            path,
            file_type,
            delimiter: props.text("delimiter")?.unwrap_or(",").to_owned(),
            has_header: props.flag("hasHeader")?,
            rolling_interval: props.duration_ms("rollingInterval")?.filter(|ms| *ms > 0).map(Duration::from_millis),
            check_interval: Duration::from_millis(check.filter(|ms| *ms > 0).unwrap_or(300_000)),
            rolling_count: props.number("rollingCount")?.filter(|count| *count > 0).unwrap_or(1_000_000),
            rolling_size: props.number("rollingSize")?.filter(|size| *size > 0),
            pattern,
            within,
        })
    }
}

fn file_type(props: &Props, default: &str) -> Result<FileType, ConnectError> {
    match props.text("fileType")?.unwrap_or(default) {
        "json" => Ok(FileType::Json),
        "csv" => Ok(FileType::Csv),
        "lines" => Ok(FileType::Lines),
        "raw" => Ok(FileType::Raw),
        other => Err(invalid("fileType", format!("{other} is not supported; use json, csv, lines or raw"))),
    }
}

fn delimiter(props: &Props) -> Result<char, ConnectError> {
    let text = props.text("delimiter")?.unwrap_or(",").replace("\\t", "\t");
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) if char != '"' => Ok(char),
        _ => Err(invalid("delimiter", "a csv file needs one character".into())),
    }
}

fn invalid(key: &'static str, reason: String) -> ConnectError {
    ConnectError::Invalid { key, reason }
}
