//! Documents for servers that only have to take them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::client::HttpClient;
use crate::{ConnectError, Props, tls};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends JSON by POST over connections that are kept.
pub struct JsonPost {
    client: HttpClient,
    headers: HeaderMap,
}

impl JsonPost {
    /// A client that trusts the system's authorities.
    ///
    /// # Errors
    /// There is no TLS to be had.
    pub fn new() -> Result<JsonPost, ConnectError> {
        let client = HttpClient::new(&tls::client_config(&Props::default(), false)?, PATIENCE);
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Ok(JsonPost { client, headers: HeaderMap::from_iter(headers) })
    }

    /// Sends a document.
    ///
    /// # Errors
    /// The server cannot be reached or does not take it; the text says why.
    pub async fn send(&self, url: &str, document: String) -> Result<(), String> {
        let reply = self.client.send(&Method::POST, url, &self.headers, Bytes::from(document)).await;
        match reply {
            Ok(reply) if reply.status.is_success() => Ok(()),
            Ok(reply) => Err(format!("it answered {}", reply.status)),
            Err(error) => Err(error.to_string()),
        }
    }
}
