//! `:10002`: how a node gets the CA and its certificate (KubeEdge 1.23 cloudhub, HTTP server).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_pki::{MAX_REQUEST_BYTES, Peer, certificate_fingerprint, request_fingerprint};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;

use crate::api::{self, Place};
use crate::keys::{Claim, Proof};
use crate::listen::Accepted;
use crate::metrics::{JOINED, LIMITED, REFUSED_JOINS};
use crate::service::Hub;

/// A connection may stay this long; a join takes milliseconds.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// Addresses whose refusals are counted; when there are more, counting starts over.
const COUNTED_ADDRESSES: usize = 4_096;
const MINUTE: Duration = Duration::from_secs(60);

type Reply = Response<Full<Bytes>>;

/// Serves one connection, HTTP/1.1 or 2.
pub(crate) async fn serve(hub: Arc<Hub>, accepted: Accepted) {
    let certificate = accepted.certificate().map(Arc::<[u8]>::from);
    let Accepted { stream, remote, handshake } = accepted;
    let stopped = hub.tasks.token().clone();
    let service = service_fn(move |request| {
        let (hub, certificate) = (hub.clone(), certificate.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(&hub, remote.ip(), certificate.as_deref(), request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    server.http2().max_concurrent_streams(4);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let served = tokio::time::timeout(CONNECTION_LIFETIME, connection);
    if let Some(Ok(Err(error))) = stopped.run_until_cancelled(served).await {
        tracing::debug!(%remote, error = %error, "enrolment connection ended");
    }
    drop(handshake);
}

/// The text for a key that may not use a name.
pub(crate) fn not_granted(node: &str, claim: Claim) -> String {
    if claim == Claim::Forgotten {
        return format!("node {node} was forgotten here; let it join again with a new token");
    }
    format!(
        "node name {node} is already taken by another key; choose another name, or free it with `edgeward node forget {node}`"
    )
}

async fn answer(hub: &Hub, from: IpAddr, certificate: Option<&[u8]>, request: Request<Incoming>) -> Reply {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here");
    }
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/ca.crt" => bytes(hub.authority.certificate().to_vec()),
        "/edge.crt" => {
            if hub.refusals.too_many(from, hub.options.refusals_per_minute) {
                LIMITED.inc();
                return text(StatusCode::TOO_MANY_REQUESTS, "too many refused joins from this address; wait a minute");
            }
            let refused = match certify(hub, certificate, request).await {
                Ok(certificate) => {
                    JOINED.inc();
                    return bytes(certificate);
                }
                Err(refused) => refused,
            };
            REFUSED_JOINS.inc();
            hub.refusals.count(from);
            tracing::warn!(%from, reason = refused.1, "join refused");
            text(refused.0, refused.1)
        }
        path => match path.strip_prefix("/node/").filter(|node| !node.is_empty() && !node.contains('/')) {
            Some(node) => node_exists(hub, node).await,
            None => text(StatusCode::NOT_FOUND, "404: Page Not Found"),
        },
    }
}

async fn node_exists(hub: &Hub, node: &str) -> Reply {
    match api::get(&hub.client, Place::new("/api/v1", "nodes").named(node)).await {
        Ok(_) => text(StatusCode::OK, "Node found"),
        Err(failure) if matches!(failure.code, 400 | 404) => text(StatusCode::NOT_FOUND, "Node not found"),
        Err(failure) => text(StatusCode::INTERNAL_SERVER_ERROR, failure.message),
    }
}

type Refused = (StatusCode, String);

/// Issues a certificate to a node that shows a join token or, to renew, its certificate.
async fn certify(hub: &Hub, certificate: Option<&[u8]>, request: Request<Incoming>) -> Result<Vec<u8>, Refused> {
    let node = header_text(request.headers(), "NodeName").unwrap_or_default().to_owned();
    check_usages(request.headers())?;
    let renewing = match certificate {
        Some(certificate) => Some(own_fingerprint(certificate, &node)?),
        None => {
            let bearer = header_text(request.headers(), header::AUTHORIZATION.as_str()).unwrap_or_default();
            let bearer = bearer.strip_prefix("Bearer ").unwrap_or(bearer);
            hub.authority
                .verify_bearer(bearer)
                .map_err(|error| (StatusCode::UNAUTHORIZED, format!("token validation failure, {error}")))?;
            None
        }
    };
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await;
    let body =
        body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "certificate request is too long".to_owned()))?.to_bytes();
    let refuse = |error: edgeward_pki::Error| {
        (StatusCode::BAD_REQUEST, format!("failed to sign certs for edgenode {node}, err: {error}"))
    };
    // Signed first, so that a request that breaks a rule takes no name.
    let signed = hub.authority.sign_node(&body, &node, hub.options.node_certificate_lifetime).map_err(refuse)?;
    let fingerprint = request_fingerprint(&body).map_err(refuse)?;
    let allowed = match renewing {
        Some(old) => hub.keys.rotate(&node, &old, &fingerprint).await,
        None => hub.keys.claim(&node, &fingerprint, Proof::Token).await,
    };
    match allowed {
        Ok(Claim::Granted) => Ok(signed.certificate.to_vec()),
        Ok(claim) => Err((StatusCode::FORBIDDEN, not_granted(&node, claim))),
        Err(failure) => Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot record the key of node {node}: {}", failure.message),
        )),
    }
}

/// The key of a client certificate (verified by TLS), which must be this node's.
fn own_fingerprint(certificate: &[u8], node: &str) -> Result<String, Refused> {
    let peer = Peer::from_certificate(certificate).map_err(|error| (StatusCode::UNAUTHORIZED, error.to_string()))?;
    if peer.node_name() != Some(node) {
        let reason =
            format!("client certificate of {:?} does not allow a certificate for node {node:?}", peer.common_name);
        return Err((StatusCode::UNAUTHORIZED, reason));
    }
    certificate_fingerprint(certificate).map_err(|error| (StatusCode::UNAUTHORIZED, error.to_string()))
}

/// Node certificates are for client authentication (2) alone: one for servers could pass for this cloud.
fn check_usages(headers: &HeaderMap) -> Result<(), Refused> {
    match header_text(headers, "ExtKeyUsages") {
        None | Some("" | "[2]" | "null") => Ok(()),
        Some(usages) => Err((
            StatusCode::BAD_REQUEST,
            format!("extended key usages {usages} are not issued to nodes, only [2], client authentication"),
        )),
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    reply(status, "text/plain; charset=utf-8", text.into().into_bytes())
}

fn bytes(bytes: Vec<u8>) -> Reply {
    reply(StatusCode::OK, "application/octet-stream", bytes)
}

fn reply(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}

/// Refused joins per address within the last minute.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Refusals {
    fn too_many(&self, from: IpAddr, limit: u32) -> bool {
        let counts = self.counts.lock();
        counts.get(&from).is_some_and(|(since, count)| since.elapsed() < MINUTE && *count >= limit)
    }

    fn count(&self, from: IpAddr) {
        let mut counts = self.counts.lock();
        if counts.len() >= COUNTED_ADDRESSES {
            counts.retain(|_, (since, _)| since.elapsed() < MINUTE);
            if counts.len() >= COUNTED_ADDRESSES {
                counts.clear();
            }
        }
        let entry = counts.entry(from).or_insert_with(|| (Instant::now(), 0));
        if entry.0.elapsed() >= MINUTE {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}
