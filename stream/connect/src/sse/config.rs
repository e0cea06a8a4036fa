//! Properties of the source `sse`.

use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};

use crate::http::{HttpClient, check_url, pairs};
use crate::{ConnectError, Props, tls};

/// Where the events come from.
pub(super) struct Config {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) client: HttpClient,
}

impl Config {
    /// The address is `url` followed by the DATASOURCE.
    pub(super) fn read(datasource: &str, props: &Props) -> Result<Config, ConnectError> {
        let url = format!("{}{datasource}", props.text("url")?.unwrap_or_default());
        check_url("url", &url)?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/event-stream"))]);
        for (name, value) in pairs(props, "headers")? {
            let bad = || ConnectError::Invalid { key: "headers", reason: format!("{name}: {value} is not valid") };
            let (name, value) = (name.parse::<http::HeaderName>(), HeaderValue::from_str(&value));
            headers.insert(name.map_err(|_| bad())?, value.map_err(|_| bad())?);
        }
        let timeout = Duration::from_millis(props.duration_ms("timeout")?.unwrap_or(5_000));
        Ok(Config { url, headers, client: HttpClient::new(&tls::client_config(props, true)?, timeout) })
    }
}
