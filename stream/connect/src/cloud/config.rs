//! Properties of `cloud`.

use std::sync::Arc;

use crate::{ConnectError, Props};

/// Where a row goes and what makes it the row it is.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// `stream`: name of the series in the cloud's store; the rule's id by default.
    pub(super) stream: Arc<str>,
    /// `timestampField`: column with the row's time in ms; the time of the result by default.
    pub(super) timestamp_field: Option<String>,
    /// `identity`: columns that together make a reading the one it is, so that one sent again is stored once.
    pub(super) identity: Vec<String>,
}

impl Config {
    pub(super) fn read(props: &Props, rule: &str) -> Result<Config, ConnectError> {
        let stream = props.text("stream")?.unwrap_or(rule);
        if stream.len() > 255 {
            let reason = format!("{} bytes are too long for a name, at most 255 are allowed", stream.len());
            return Err(ConnectError::Invalid { key: "stream", reason });
        }
        Ok(Config {
            stream: stream.into(),
            timestamp_field: props.text("timestampField")?.map(str::to_owned),
            identity: props.list("identity")?,
        })
    }
}
