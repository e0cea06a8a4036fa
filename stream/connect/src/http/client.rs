//! A client for requests with bounded answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_service::Counter;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::fetch::next;

/// Largest body of an answer, in bytes.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// Unused connections are closed after this time.
const IDLE: Duration = Duration::from_secs(60);
/// Redirections that are followed, as many as Go does.
const HOPS: usize = 10;
/// What only the host that was asked may see.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

static TOO_LARGE: Counter =
    Counter::new("edgeward_connect_http_replies_too_large_total", "HTTP answers refused because they were too large");

/// Why there is no answer. All of these may be gone the next time.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Failed(String),
    #[error("the answer is larger than {MAX_REPLY_BYTES} bytes")]
    TooLarge,
    /// The request cannot be made at all.
    #[error("invalid request: {0}")]
    Invalid(String),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// A client with its own pool of connections.
#[derive(Clone)]
pub(crate) struct HttpClient {
    inner: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl HttpClient {
    /// A client that waits `timeout` for an answer; zero waits for ever.
    pub(crate) fn new(tls: &Arc<ClientConfig>, timeout: Duration) -> HttpClient {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config((**tls).clone()).https_or_http().enable_http1().build();
        let mut inner = Client::builder(TokioExecutor::new());
        let inner = inner.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
        HttpClient { inner, timeout }
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub(crate) async fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, HttpError> {
        let whole = async {
            let response = self.exchange(method, url, headers, body).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.map_err(|error| {
                if error.downcast_ref::<LengthLimitError>().is_none() {
                    return HttpError::Failed(error.to_string());
                }
                TOO_LARGE.inc();
                HttpError::TooLarge
            })?;
            Ok(Reply { status: parts.status, body: body.to_bytes() })
        };
        self.in_time(whole).await
    }

    /// Sends a request and gives the answer as it comes.
    pub(crate) async fn open(&self, url: &str, headers: &HeaderMap) -> Result<Response<Incoming>, HttpError> {
        self.in_time(self.exchange(&Method::GET, url, headers, Bytes::new())).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
        if self.timeout.is_zero() {
            return work.await;
        }
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(HttpError::Timeout(self.timeout)))
    }

    /// Sends a request where redirections lead, as Go's client does: 307 and 308 send the same again, the others ask with
    /// GET. Another host sees no credentials.
    async fn exchange(
        &self,
        method: &Method,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut uri: Uri = url.parse().map_err(|error| HttpError::Invalid(format!("{url}: {error}")))?;
        let (mut method, mut headers, mut body) = (method.clone(), headers.clone(), body);
        for _ in 0..=HOPS {
            let response = self.once(&method, uri.clone(), &headers, body.clone()).await?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) || !response.headers().contains_key(LOCATION) {
                return Ok(response);
            }
            let to = next(&uri, response.headers()).map_err(HttpError::Failed)?;
            if to.host() != uri.host() {
                CREDENTIALS.iter().for_each(|name| drop(headers.remove(name)));
            }
            if status < 307 && method != Method::HEAD {
                (method, body) = (Method::GET, Bytes::new());
                headers.remove(CONTENT_TYPE);
            }
            uri = to;
        }
        Err(HttpError::Failed(format!("stopped after {HOPS} redirects")))
    }

    async fn once(
        &self,
        method: &Method,
        uri: Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, HttpError> {
        let invalid = |error| HttpError::Invalid(format!("{uri}: {error}"));
        let request = Request::builder().method(method).uri(uri.clone()).body(Full::new(body));
        let mut request: Request<_> = request.map_err(invalid)?;
        request.headers_mut().extend(headers.clone());
        self.inner.request(request).await.map_err(|error| HttpError::Failed(reasons(&error)))
    }
}

/// An error with what caused it: hyper's own text stops at "client error (Connect)".
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
