//! `/`, `/ping`, `/stop`, `/configs` and `/metrics`.

use std::sync::LazyLock;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch};
use http::{StatusCode, header};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Prefixed, Reply, document, read, text};
use crate::error::{Code, RulesError};
use crate::{Handle, LogChange, log_level};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn routes() -> Router<Handle> {
    LazyLock::force(&STARTED);
    Router::new()
        .route("/", get(root).post(root))
        .route("/ping", get(ping))
        .route("/stop", get(stop).post(stop))
        .route("/configs", patch(configure))
        .route("/metrics/dump", get(dump))
        .route("/metrics/dump/check", get(|| async { document(json!({"enabled": false})) }))
        .merge(metrics())
}

/// `/metrics`, which is also served at a port of its own.
pub(super) fn metrics() -> Router<Handle> {
    Router::new().route("/metrics", get(prometheus))
}

async fn prometheus(State(handle): State<Handle>) -> Reply {
    use axum::response::IntoResponse as _;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, handle.registry.prometheus()).into_response())
}

/// Figures are not written to files here: they are read from `/metrics`.
async fn dump() -> Reply {
    let error = RulesError::refused(Code::Undefined, "metrics dump is not enabled; read /metrics instead");
    Err(error).or_fail("dump metrics error")
}

async fn root() -> Reply {
    let go_arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut root: Map<String, Value> = Map::from_iter([
        ("version".to_owned(), env!("CARGO_PKG_VERSION").into()),
        ("os".to_owned(), std::env::consts::OS.into()),
        ("arch".to_owned(), go_arch.into()),
        ("upTimeSeconds".to_owned(), STARTED.elapsed().as_secs().into()),
    ]);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    if let (Some(total), Some(free)) = (kilobytes(&memory, "MemTotal:"), kilobytes(&memory, "MemAvailable:")) {
        root.insert("memoryUsed".into(), (total.saturating_sub(free) * 1_024).to_string().into());
        root.insert("memoryTotal".into(), (total * 1_024).to_string().into());
    }
    let ticks = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_ticks(&stat));
    if let Some(ticks) = ticks {
        // A tick is 10 ms on every Linux we run on.
        let share = ticks as f64 / STARTED.elapsed().as_secs_f64().max(0.01);
        root.insert("cpuUsage".into(), format!("{share:.2}%").into());
    }
    document(root.into())
}

/// A line of `/proc/meminfo` in KiB.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// User and system time of `/proc/self/stat`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

async fn ping() -> Reply {
    text(StatusCode::OK, "")
}

/// Ends the program; refused where the rules are part of a larger one.
async fn stop(State(handle): State<Handle>) -> Reply {
    let refused = || RulesError::refused(Code::Undefined, "the rules are part of an agent, which REST does not stop");
    let program = handle.stop.clone().ok_or_else(refused).or_fail("stop error")?;
    // REST ends gracefully: this answer is still sent.
    program.token().cancel();
    text(StatusCode::OK, "")
}

#[derive(Deserialize)]
struct Configuration {
    debug: Option<bool>,
    #[serde(rename = "logLevel")]
    level: Option<String>,
    #[serde(rename = "consoleLog")]
    console: Option<bool>,
    #[serde(rename = "fileLog")]
    file: Option<bool>,
    timezone: Option<String>,
}

/// Changes settings until the program ends; rules get a new time zone when they are started next.
async fn configure(State(handle): State<Handle>, body: String) -> Reply {
    let Configuration { debug, level, console, file, timezone } = read(&body)?;
    let level = match level.filter(|level| !level.is_empty()) {
        Some(name) => {
            let unknown = || RulesError::refused(Code::Undefined, format!("unknown log level {name}"));
            Some(log_level(&name).ok_or_else(unknown).or_fail("set log level error")?)
        }
        None => debug.map(|debug| if debug { "debug" } else { "info" }),
    };
    if let Some(name) = timezone {
        let zone = match name.as_str() {
            "" | "Local" => Ok(TimeZone::system()),
            name => TimeZone::get(name),
        };
        let unknown = |_| RulesError::refused(Code::Undefined, format!("unknown time zone {name}"));
        *handle.registry.zone.write() = zone.map_err(unknown).or_fail("set time zone error")?;
    }
    if let Some(logs) = &handle.logs {
        logs.apply(LogChange { level, console, file });
    }
    text(StatusCode::NO_CONTENT, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(kilobytes("MemTotal:       100 kB\nMemAvailable:    40 kB\n", "MemAvailable:"), Some(40));
        assert_eq!(kilobytes("MemTotal: x kB", "MemTotal:"), None);
        assert_eq!(cpu_ticks("1 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0"), Some(42));
        assert_eq!(cpu_ticks("1 (a"), None);
    }
}
