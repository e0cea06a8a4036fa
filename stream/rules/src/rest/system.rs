//! `/`, `/ping` and what the functions are called.

use std::sync::LazyLock;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use super::reply::{Reply, document, text};
use crate::Handle;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn routes() -> Router<Handle> {
    LazyLock::force(&STARTED);
    Router::new().route("/", get(root).post(root)).route("/ping", get(ping))
}

async fn root() -> Reply {
    let go_arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    document(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": go_arch,
        "upTimeSeconds": STARTED.elapsed().as_secs(),
    }))
}

async fn ping() -> Reply {
    text(StatusCode::OK, "")
}
