//! eKuiper's REST interface (port 9081).

mod reply;
mod rules;
mod streams;
mod system;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use edgeward_service::Tasks;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::TcpListener;

use crate::Handle;
use crate::error::{Result, RulesError};

pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| RulesError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok((listener, real))
}

pub(crate) fn serve(listener: TcpListener, handle: Handle, max_body_bytes: usize, tasks: &Tasks) {
    let (app, node) = (router(handle, max_body_bytes), tasks.clone());
    tasks.spawn("rest", async move {
        let stop = async move { node.cancelled().await };
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "rules' REST ended");
        }
    });
}

fn router(handle: Handle, max_body_bytes: usize) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(streams::routes())
        .merge(rules::routes())
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(middleware::from_fn(cross_origin))
        .with_state(handle)
}

/// Browsers may call from anywhere, as with eKuiper: the manager UI does.
async fn cross_origin(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
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
