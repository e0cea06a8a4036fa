//! Properties of `rest`.

use crate::http::HttpConfig;
use crate::template::Template;
use crate::{ConnectError, Props};

/// `url` is required; a method with a body sends JSON unless `bodyType` says otherwise.
pub(super) fn read(props: &Props) -> Result<HttpConfig, ConnectError> {
    let url = Template::read(props, "url")?.ok_or(ConnectError::Missing("url"))?;
    HttpConfig::read(props, url, "json")
}
