//! Properties of `nexmark`.

use crate::{ConnectError, Props};

/// Most events a second.
const MAX_QPS: u64 = 10_000_000;

/// What to make, and how much of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// Events a second; default 10.
    pub(super) qps: u64,
    pub(super) persons: bool,
    pub(super) auctions: bool,
    pub(super) bids: bool,
}

impl Config {
    /// `bufferSize` is read and means nothing here: events are made when there is room for them.
    pub(super) fn read(props: &Props) -> Result<Config, ConnectError> {
        let qps = props.number("qps")?.unwrap_or(10);
        if !(1..=MAX_QPS).contains(&qps) {
            return Err(ConnectError::Invalid { key: "qps", reason: format!("{qps} is not in 1..={MAX_QPS}") });
        }
        props.number("bufferSize")?;
        let wanted = |key| Ok::<_, ConnectError>(!props.flag(key)?);
        let config = Config {
            qps,
            persons: wanted("excludePerson")?,
            auctions: wanted("excludeAuction")?,
            bids: wanted("excludeBid")?,
        };
        if !(config.persons || config.auctions || config.bids) {
            return Err(ConnectError::Invalid { key: "excludeBid", reason: "nothing is left to make".to_owned() });
        }
        Ok(config)
    }
}
