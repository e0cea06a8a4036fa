//! eKuiper's REST interface (port 9081).

mod auth;
mod batch;
mod connections;
mod data;
mod files;
mod forms;
mod local;
mod metadata;
mod multipart;
mod plugins;
mod reply;
mod rules;
pub(crate) mod schemas;
mod services;
mod streams;
mod system;
pub(crate) mod tls;
pub(crate) mod trace;
mod trial;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use edgeward_service::Tasks;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Handle;
use crate::error::{Result, RulesError};

pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| RulesError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok((listener, real))
}

/// How REST behaves.
pub(crate) struct Behaviour {
    /// Certificate and key; none: REST in the clear.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) max_body_bytes: usize,
    /// Folder of the public keys; none without authentication.
    pub(crate) keys: Option<PathBuf>,
    /// Log every request.
    pub(crate) audit: bool,
}

pub(crate) fn serve(listener: TcpListener, handle: Handle, behaviour: Behaviour, tasks: &Tasks) {
    let (config, app, node) = (behaviour.tls.clone(), router(handle, behaviour), tasks.clone());
    tasks.spawn("rest", async move {
        let stop = node.clone();
        let stop = async move { stop.cancelled().await };
        let served = match config {
            None => axum::serve(listener, app).with_graceful_shutdown(stop).await,
            Some(config) => match tls::TlsListener::new(listener, config, &node) {
                Ok(listener) => axum::serve(listener, app).with_graceful_shutdown(stop).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = served {
            tracing::error!(%error, "rules' REST ended");
        }
    });
}

/// Serves `/metrics` alone.
pub(crate) fn serve_metrics(listener: TcpListener, handle: Handle, tasks: &Tasks) {
    let (app, node) = (system::metrics().with_state(handle), tasks.clone());
    tasks.spawn("prometheus", async move {
        let stop = async move { node.cancelled().await };
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the metrics of rules are no longer served");
        }
    });
}

/// The routes, for whoever is let in.
fn api(handle: Handle, max_body_bytes: usize) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(streams::routes())
        .merge(rules::routes())
        .merge(data::routes())
        .merge(metadata::routes())
        .merge(plugins::routes())
        .merge(trial::routes())
        .merge(files::routes())
        .merge(forms::routes())
        .merge(trace::routes())
        .merge(services::routes())
        .merge(schemas::routes())
        .merge(connections::routes())
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(handle)
}

fn router(handle: Handle, behaviour: Behaviour) -> Router {
    let tasks = handle.registry.world.tasks.clone();
    let api = api(handle, behaviour.max_body_bytes);
    let inner = api.clone();
    let keys = behaviour.keys.map(Arc::<Path>::from);
    api.route("/batch/req", post(move |body: String| batch::run(inner, body)))
        .layer(middleware::from_fn(move |request: Request, next: Next| finished(tasks.clone(), request, next)))
        .layer(middleware::from_fn(move |request: Request, next: Next| guarded(keys.clone(), request, next)))
        .layer(middleware::from_fn(move |request: Request, next: Next| audited(behaviour.audit, request, next)))
        .layer(middleware::from_fn(cross_origin))
}

/// Says who asked for what, and how it ended. Bodies may hold secrets: they are nobody's business in a log.
async fn audited(wanted: bool, request: Request, next: Next) -> Response {
    if !wanted {
        return next.run(request).await;
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    tracing::info!(%method, %uri, status = response.status().as_u16(), "REST request");
    response
}

/// A change that has begun comes to its end even if its client goes away: rules must not be left half stopped.
async fn finished(tasks: Tasks, request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    let (answer, answered) = oneshot::channel();
    tasks.spawn("rest-change", async move {
        // Nobody may be waiting any more.
        let _ = answer.send(next.run(request).await);
    });
    answered.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn guarded(keys: Option<Arc<Path>>, request: Request, next: Next) -> Response {
    match keys.as_deref().map_or(Ok(()), |keys| auth::check(&request, keys)) {
        Ok(()) => next.run(request).await,
        Err(text) => (StatusCode::UNAUTHORIZED, format!("{text}\n")).into_response(),
    }
}

/// Browsers may call from anywhere, as with eKuiper: the manager UI does.
async fn cross_origin(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    // As eKuiper: one request a connection.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if preflight {
        headers
            .insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,HEAD"));
        let allowed =
            HeaderValue::from_static("Accept,Accept-Language,Content-Type,Content-Language,Origin,Authorization");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}
