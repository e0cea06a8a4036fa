//! Answers: a status, a body and the headers every answer has.

use std::io::Write as _;

use bytes::Bytes;
use edgeward_objects::{ApiError, Object};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, RETRY_AFTER, VARY, WARNING};
use http::{HeaderValue, Response, StatusCode};

use super::body::{Body, ByteStream};
use super::media::JSON;

/// Bodies above this many bytes are compressed for clients that take gzip, as upstream does.
const GZIP_FROM: usize = 128 * 1024;
/// Kubernetes cuts one warning at this many bytes and all warnings of a response at twice that.
const WARNING_LIMIT: usize = 2_048;

/// What a handler answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
}

impl Reply {
    /// 200 with a JSON document.
    pub(crate) fn json(bytes: impl Into<Body>) -> Self {
        Self::with_status(StatusCode::OK, bytes)
    }

    /// A JSON document with another status.
    pub(crate) fn with_status(status: StatusCode, bytes: impl Into<Body>) -> Self {
        Self { status, content_type: JSON, headers: Vec::new(), body: bytes.into() }
    }

    /// An object with a status.
    pub(crate) fn object(status: StatusCode, object: &Object) -> Self {
        Self::with_status(status, object.to_bytes())
    }

    /// 200 with plain text.
    pub(crate) fn text(text: impl Into<Body>) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::json(text) }
    }

    /// 200 with a body that is produced as it is read.
    pub(crate) fn stream(content_type: &'static str, stream: ByteStream) -> Self {
        Self { content_type, ..Self::json(Body::Stream(stream)) }
    }

    /// `404 page not found`, the text upstream answers on paths it does not know.
    pub(crate) fn page_not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::text("404 page not found\n".to_owned()) }
    }

    /// A refusal as a `Status`.
    pub(crate) fn error(error: &ApiError) -> Self {
        let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = Self::object(status, &error.to_status());
        match error.retry_after_seconds() {
            Some(seconds) => reply.header(RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }

    /// Adds a header; a value that is no header value is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds `Warning` headers, cut as Kubernetes cuts them.
    pub(crate) fn warnings(mut self, warnings: &[String]) -> Self {
        let mut room = 2 * WARNING_LIMIT;
        for warning in warnings {
            let text: String =
                warning.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WARNING_LIMIT).collect();
            room = match room.checked_sub(text.len()) {
                Some(left) => left,
                None => break,
            };
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
                self.headers.push((WARNING, value));
            }
        }
        self
    }

    /// Compresses a large body for a client that takes gzip.
    pub(crate) fn compressed(self, wanted: bool) -> Self {
        match &self.body {
            Body::Whole(Some(bytes)) if wanted && bytes.len() > GZIP_FROM => match gzip(bytes) {
                Some(small) => {
                    Self { body: small.into(), ..self }.header(CONTENT_ENCODING, "gzip").header(VARY, "Accept-Encoding")
                }
                None => self,
            },
            _ => self,
        }
    }

    /// The response for hyper or for an in-process client.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// A document that rarely changes, with the tag clients send back in `If-None-Match`.
#[derive(Debug, Clone)]
pub(crate) struct Tagged {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
}

impl Tagged {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let etag = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02X}")).collect();
        Self { bytes: bytes.into(), etag }
    }

    /// 304 without a body if the client has it already, else the document.
    pub(crate) fn reply(&self, if_none_match: Option<&HeaderValue>, content_type: &'static str) -> Reply {
        let tag = format!("\"{}\"", self.etag);
        let known = if_none_match.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let reply = if known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag) {
            Reply::with_status(StatusCode::NOT_MODIFIED, Body::Empty)
        } else {
            Reply { content_type, ..Reply::json(self.bytes.clone()) }
        };
        reply.header(ETAG, &tag).header(VARY, "Accept")
    }
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_gets_an_empty_304() {
        let document = Tagged::new(b"{}".to_vec());
        let tag = HeaderValue::from_str(&format!("\"{}\"", document.etag)).unwrap();
        let reply = document.reply(Some(&tag), JSON).into_response();
        assert_eq!(reply.status(), 304);
        assert!(http_body::Body::is_end_stream(reply.body()) && !reply.headers().contains_key(CONTENT_TYPE));
        assert_eq!(document.reply(Some(&HeaderValue::from_static("\"x\"")), JSON).status, 200);
    }

    #[test]
    fn warnings_are_quoted_and_cut() {
        let reply =
            Reply::json(Vec::new()).warnings(&["unknown field \"dat\"".into(), "x".repeat(9_000), "y".repeat(3_000)]);
        assert_eq!(reply.headers[0].1, r#"299 - "unknown field \"dat\"""#);
        assert_eq!(reply.headers.len(), 2);
    }

    #[test]
    fn errors_carry_retry_after() {
        let reply = Reply::error(&ApiError::too_many_requests("too many requests", 1));
        assert_eq!((reply.status.as_u16(), reply.headers[0].1.to_str().unwrap()), (429, "1"));
    }

    #[test]
    fn large_bodies_shrink() {
        let reply = Reply::json(vec![b'a'; 200_000]).compressed(true);
        assert_eq!(reply.headers[0].1, "gzip");
        assert!(Reply::json(vec![b'a'; 2_000]).compressed(true).headers.is_empty());
    }
}
