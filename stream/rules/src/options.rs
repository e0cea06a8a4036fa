//! What the rules service is told at start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::tz::TimeZone;

/// Options of the rules service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the catalogue; made when missing.
    pub data_dir: PathBuf,
    /// Where REST listens; port 0 takes a free one. None: no REST.
    pub rest: Option<SocketAddr>,
    /// Largest REST body in bytes.
    pub max_body_bytes: usize,
    /// Streams, tables and rules together.
    pub max_definitions: usize,
    /// `basic.timezone`: windows align to it and times are shown in it.
    pub timezone: TimeZone,
}

impl Options {
    /// Defaults over a data folder: REST on 127.0.0.1:9081.
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            rest: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9081))),
            max_body_bytes: 1 << 20,
            max_definitions: 10_000,
            timezone: TimeZone::system(),
        }
    }
}
