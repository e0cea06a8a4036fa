//! `/version`, health and metrics: what is neither an object nor discovery.

use serde_json::json;

use crate::http::query::Query;
use crate::http::reply::Reply;

/// The Kubernetes version we speak, with our own mark. Charts gate on the part before the plus.
pub(crate) const GIT_VERSION: &str = "v1.34.0+edgeward";

/// `/version`
pub(crate) fn version() -> Reply {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let document = json!({
        "major": "1",
        "minor": "34",
        "emulationMajor": "1",
        "emulationMinor": "34",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "33",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{arch}", std::env::consts::OS),
    });
    Reply::json(document.to_string())
}

/// `/healthz`, `/livez`, `/readyz`. Whoever gets an answer at all gets it from a server whose store was opened.
pub(crate) fn health(check: &str, query: &Query) -> Reply {
    if query.has("verbose") {
        Reply::text(format!("[+]ping ok\n[+]store ok\n{check} check passed\n"))
    } else {
        Reply::text("ok".to_owned())
    }
}

/// `/metrics` in the Prometheus text format.
pub(crate) fn metrics() -> Reply {
    Reply {
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        ..Reply::text(edgeward_service::metrics::render())
    }
}

/// `/openapi/v2`: an empty protobuf document, which satisfies `kubectl apply` of every age; JSON here breaks kubectl 1.20.
pub(crate) fn openapi_v2(headers: &http::HeaderMap) -> Reply {
    let empty = crate::http::reply::Tagged::new(Vec::new());
    let media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    empty.reply(headers.get(http::header::IF_NONE_MATCH), media)
}
