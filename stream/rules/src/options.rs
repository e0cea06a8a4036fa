//! What the rules service is told at start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::trace::Target;

/// Changes of the log; what is none stays.
#[derive(Debug, Clone, Copy)]
pub struct LogChange {
    /// Log from this level on: `trace`, `debug`, `info`, `warn` or `error`.
    pub level: Option<&'static str>,
    /// Write to the console.
    pub console: Option<bool>,
    /// Write to files.
    pub file: Option<bool>,
}

/// The log level of one of eKuiper's names; none if it has no such name.
pub fn log_level(name: &str) -> Option<&'static str> {
    Some(match name {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "fatal" | "panic" => "error",
        _ => return None,
    })
}

/// Whoever keeps the log.
#[derive(Clone)]
pub struct Logs(Arc<dyn Fn(LogChange) + Send + Sync>);

impl Logs {
    /// Changes go to this function.
    pub fn new(change: impl Fn(LogChange) + Send + Sync + 'static) -> Logs {
        Logs(Arc::new(change))
    }

    pub(crate) fn apply(&self, change: LogChange) {
        (self.0)(change);
    }
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Logs")
    }
}

/// Files of `basic.restTls`.
#[derive(Debug, Clone)]
pub struct RestTls {
    /// PEM file of the server's certificate and those that lead to its authority (`certfile`).
    pub certificates: PathBuf,
    /// PEM file of its private key (`keyfile`).
    pub key: PathBuf,
}

/// Traces (`openTelemetry` of kuiper.yaml).
#[derive(Debug, Clone)]
pub struct Tracing {
    /// What the collector calls this program.
    pub service: String,
    /// The collector's address, `host:port` or a URL, OTLP over HTTP.
    pub collector: String,
    /// Send traces there from the start; `POST /tracer` changes it.
    pub export: bool,
    /// Traces kept in memory.
    pub capacity: usize,
}

impl Default for Tracing {
    /// eKuiper's.
    fn default() -> Tracing {
        let (service, collector) = ("kuiperd-service".into(), "localhost:4318".into());
        Tracing { service, collector, export: false, capacity: 2_048 }
    }
}

impl Tracing {
    /// The collector, if traces are sent to one from the start.
    pub(crate) fn target(&self) -> Option<Target> {
        self.export.then(|| Target::new(&self.service, &self.collector))
    }
}

/// Options of the rules service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the catalogue; made when missing.
    pub data_dir: PathBuf,
    /// Where REST listens; port 0 takes a free one. None: no REST.
    pub rest: Option<SocketAddr>,
    /// Serve REST over TLS with these files; none: without.
    pub rest_tls: Option<RestTls>,
    /// Name of the catalogue's file in the data folder (`store.sqlite.name`).
    pub database: String,
    /// Defaults of rules' options (`rule:` of kuiper.yaml).
    pub rule_options: Map<String, Value>,
    /// Defaults of sinks' common properties (`sink:` of kuiper.yaml).
    pub sink_options: Map<String, Value>,
    /// Requests may name files outside of the uploads (`basic.allowExternalFileAccess`).
    pub allow_external_files: bool,
    /// Largest REST body in bytes.
    pub max_body_bytes: usize,
    /// Streams, tables and rules together.
    pub max_definitions: usize,
    /// `basic.timezone`: windows align to it and times are shown in it.
    pub timezone: TimeZone,
    /// `basic.rulePatrolInterval`: how long after its failure a rule with a restart strategy runs again.
    pub rule_patrol_interval: Duration,
    /// `basic.authentication`: folder of the public keys (`etc/mgmt`) that JWTs are checked with. None: REST is open.
    pub authentication: Option<PathBuf>,
    /// eKuiper's `etc` folder with the configurations of sources and connections, if there is one.
    pub etc_dir: Option<PathBuf>,
    /// Functions, sources and sinks users brought, opened before; none: only what is built in.
    pub plugins: Option<edgeward_plugins::Manager>,
    /// Where `/metrics` is served by itself (`basic.prometheus`, port 20499); REST has it too. None: only there.
    pub prometheus: Option<SocketAddr>,
    /// Traces of the messages rules send.
    pub tracing: Tracing,
    /// Log every request to REST (`basic.enableRestAuditLog`).
    pub audit: bool,
    /// What `PATCH /configs` changes of the log; none: those settings are taken and have no effect.
    pub logs: Option<Logs>,
    /// `POST /stop` ends the program.
    pub allow_stop: bool,
}

impl Options {
    /// Defaults over a data folder: REST on 127.0.0.1:9081.
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            rest: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9081))),
            rest_tls: None,
            database: "rules.db".into(),
            rule_options: Map::new(),
            sink_options: Map::new(),
            allow_external_files: true,
            max_body_bytes: 1 << 20,
            max_definitions: 250_000,
            timezone: TimeZone::system(),
            rule_patrol_interval: Duration::from_secs(10),
            authentication: None,
            etc_dir: None,
            plugins: None,
            prometheus: None,
            tracing: Tracing::default(),
            audit: false,
            logs: None,
            allow_stop: false,
        }
    }
}
