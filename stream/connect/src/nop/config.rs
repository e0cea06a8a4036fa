//! Properties of `nop`.

use crate::{ConnectError, Props};

#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// Write results to the log.
    pub(super) log: bool,
}

impl Config {
    pub(super) fn read(props: &Props) -> Result<Config, ConnectError> {
        Ok(Config { log: props.flag("log")? })
    }
}
