//! Properties of `httppush`.

use http::Method;

use crate::{ConnectError, Props};

/// The path and the method (`POST` by default, or `PUT`).
pub(super) fn read(datasource: &str, props: &Props) -> Result<(String, Method), ConnectError> {
    let path = path("DATASOURCE", datasource)?;
    match props.text("method")?.unwrap_or("POST") {
        "POST" => Ok((path, Method::POST)),
        "PUT" => Ok((path, Method::PUT)),
        other => {
            let reason = format!("method {other} is not supported, must be POST or PUT");
            Err(ConnectError::Invalid { key: "method", reason })
        }
    }
}

/// A path on the shared server.
pub(crate) fn path(key: &'static str, path: &str) -> Result<String, ConnectError> {
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        let reason = format!("{path:?} is no path; it must start with /");
        return Err(ConnectError::Invalid { key, reason });
    }
    Ok(path.to_owned())
}
