//! Requests of this process to its own REST: no socket, no token.

use axum::body::{Body, to_bytes};
use http::Request;
use tower::ServiceExt as _;

use super::api;
use crate::Handle;

/// Largest body of such a request and of its answer, in bytes.
const MAX_BODY: usize = 64 << 20;

impl Handle {
    /// Does what a request over the network would do, whatever it takes to be let in there; answers status and body.
    pub async fn request(&self, method: &str, path: &str, body: String) -> (u16, String) {
        let request = match Request::builder().method(method).uri(path).body(Body::from(body)) {
            Ok(request) => request,
            Err(error) => return (400, format!("invalid request {method} {path}: {error}")),
        };
        let Ok(response) = api(self.clone(), MAX_BODY).oneshot(request).await;
        let status = response.status().as_u16();
        match to_bytes(response.into_body(), MAX_BODY).await {
            Ok(body) => (status, String::from_utf8_lossy(&body).into_owned()),
            Err(error) => (500, error.to_string()),
        }
    }
}
