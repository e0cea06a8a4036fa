//! `/`, `/ping` and what the functions are called.

use std::sync::LazyLock;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use super::reply::{Prefixed, Reply, document, text};
use crate::Handle;
use crate::error::{Code, RulesError};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn routes() -> Router<Handle> {
    LazyLock::force(&STARTED);
    Router::new().route("/", get(root).post(root)).route("/ping", get(ping)).route("/stop", get(stop).post(stop))
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

/// Ends the program; refused where the rules are part of a larger one.
async fn stop(State(handle): State<Handle>) -> Reply {
    let refused = || RulesError::refused(Code::General, "the rules are part of an agent, which REST does not stop");
    let program = handle.stop.clone().ok_or_else(refused).or_fail("stop error")?;
    // REST ends gracefully: this answer is still sent.
    program.token().cancel();
    text(StatusCode::OK, "")
}
