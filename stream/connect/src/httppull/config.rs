//! Properties of `httppull`.

use std::time::Duration;

use edgeward_engine::Map;
use edgeward_engine::json::{Numbers, parse};

use crate::http::HttpConfig;
use crate::template::Template;
use crate::{ConnectError, Props};

/// What to ask for, and how often.
pub(super) struct Config {
    pub(super) request: HttpConfig,
    pub(super) body: Template,
    /// Default 10 s.
    pub(super) interval: Duration,
    /// Leave out an answer that is the one before.
    pub(super) incremental: bool,
    /// First values of the names that answers update.
    pub(super) states: Map,
}

impl Config {
    /// The address is `url` followed by the DATASOURCE.
    pub(super) fn read(datasource: &str, props: &Props) -> Result<Config, ConnectError> {
        let base = props.get("url").and_then(|url| url.as_str()).unwrap_or("http://localhost");
        let url = Template::parse("url", &format!("{base}{datasource}"))?;
        let interval = props.duration_ms("interval")?.unwrap_or(10_000);
        if interval == 0 {
            return Err(ConnectError::Invalid { key: "interval", reason: "0 is not allowed; use 1ms or more".into() });
        }
        let states = props.get("states").map_or_else(String::new, ToString::to_string);
        let states = parse(states.as_bytes(), Numbers::Float).ok();
        Ok(Config {
            request: HttpConfig::read(props, url, "json")?,
            body: Template::read(props, "body")?.unwrap_or_else(|| Template::fixed("")),
            interval: Duration::from_millis(interval),
            incremental: props.flag("incremental")?,
            states: states.and_then(|states| states.as_map().map(|map| (**map).clone())).unwrap_or_default(),
        })
    }
}
