//! What the command line, the environment and `etc/kuiper.yaml` say of the stream engine, in this order of weight.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use edgeward_connect::HttpHost;
use edgeward_plugins::{Fetch, ManagerOptions};
use edgeward_rules::{Options, RestTls, Tracing};
use futures::future::BoxFuture;
use jiff::tz::TimeZone;

use super::values::Values;
use crate::cli::RulesOptions;
use crate::logging::{Destination, Rotation};

/// Port of eKuiper's REST.
const REST_PORT: u16 = 9081;
/// Port of eKuiper's metrics.
const PROMETHEUS_PORT: u16 = 20499;
/// Port of `httppush`, `websocket` and `sse`.
const SOURCE_PORT: u16 = 10081;
/// Variable with eKuiper's base folder; `etc` is below it.
const BASE: &str = "KuiperBaseKey";

const REST_TLS: [&str; 2] = ["basic.restTls.certfile", "basic.restTls.keyfile"];
const SOURCE_TLS: [&str; 2] = ["source.httpServerTls.certfile", "source.httpServerTls.keyfile"];

/// The settings, every one checked.
#[derive(Debug)]
pub(crate) struct Settings {
    values: Values,
    etc: Option<PathBuf>,
    rest: SocketAddr,
    /// Key of sinks that encrypt.
    pub(super) aes_key: Option<Vec<u8>>,
    /// Where sources and sinks that serve HTTP listen.
    sources: SocketAddr,
    prometheus: Option<SocketAddr>,
    timezone: TimeZone,
    /// Folder of command files.
    pub(super) commands: Option<PathBuf>,
}

impl Settings {
    /// Reads everything.
    ///
    /// # Errors
    /// A file that cannot be read, or a value that makes no sense; the text names file, key and reason.
    pub(crate) fn load(options: &RulesOptions) -> anyhow::Result<Settings> {
        let based = || std::env::var_os(BASE).map(|base| PathBuf::from(base).join("etc")).filter(|etc| etc.is_dir());
        let etc = options.etc.clone().or_else(based);
        if let Some(etc) = etc.as_ref().filter(|etc| !etc.is_dir()) {
            bail!("--etc {}: is no folder", etc.display());
        }
        // Variables that are no text are nobody's settings.
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Settings::of(Values::read(etc.as_deref(), texts)?, etc, options)
    }

    fn of(values: Values, etc: Option<PathBuf>, options: &RulesOptions) -> anyhow::Result<Settings> {
        let rest = address(&values, "basic.restIp", "basic.restPort", REST_PORT)?;
        let metrics = SocketAddr::new(rest.ip(), port(&values, "basic.prometheusPort", PROMETHEUS_PORT)?);
        let kind = values.text("store.type").unwrap_or("sqlite");
        if kind != "sqlite" {
            bail!("store.type: must be sqlite, because streams and rules are kept in no other store; it is {kind}");
        }
        if values.flag("basic.authentication") == Some(true) && etc.is_none() {
            bail!("basic.authentication: needs --etc DIR with the public keys in its folder mgmt");
        }
        for [certificates, key] in [REST_TLS, SOURCE_TLS] {
            if values.text(certificates).is_some() != values.text(key).is_some() {
                bail!("{}: needs both certfile and keyfile", certificates.trim_end_matches(".certfile"));
            }
        }
        let rule = serde_json::Value::Object(values.section("rule"));
        edgeward_engine::RuleOptions::from_json(&rule).context("section rule")?;
        Ok(Settings {
            aes_key: aes_key(&values)?,
            rest: options.rest_listen.unwrap_or(rest),
            sources: address(&values, "source.httpServerIp", "source.httpServerPort", SOURCE_PORT)?,
            prometheus: values.flag("basic.prometheus").unwrap_or(false).then_some(metrics),
            timezone: timezone(&values)?,
            commands: options.command_dir.clone(),
            etc,
            values,
        })
    }

    /// The log level the file asks for.
    ///
    /// # Errors
    /// It is none of eKuiper's.
    pub(crate) fn log_level(&self) -> anyhow::Result<Option<&'static str>> {
        if self.values.flag("basic.debug") == Some(true) {
            return Ok(Some("debug"));
        }
        let Some(name) = self.values.text("basic.logLevel") else { return Ok(None) };
        let unknown = || format!("basic.logLevel: must be debug, info, warn, error, fatal or panic, not {name}");
        edgeward_rules::log_level(name).map(Some).with_context(unknown)
    }

    /// Where the log goes: to standard error, unless `fileLog` takes its place.
    pub(crate) fn log(&self, data: &Path) -> Destination {
        let based = std::env::var_os(BASE).map(|base| PathBuf::from(base).join("log")).filter(|folder| folder.is_dir());
        let flag = |key| self.values.flag(key).unwrap_or(false);
        let whole = |key, default: u64| self.values.number(key).map_or(default, |number| number.unsigned_abs());
        let hours = |key, default| Duration::from_secs(whole(key, default).saturating_mul(3_600));
        let file = flag("basic.fileLog");
        Destination {
            console: !file || flag("basic.consoleLog"),
            file,
            rotation: Rotation {
                folder: based.unwrap_or_else(|| data.join("log")),
                size: whole("basic.rotateSize", 10 << 20),
                time: hours("basic.rotateTime", 24),
                count: usize::try_from(whole("basic.rotateCount", 3)).unwrap_or(usize::MAX),
                max_age: hours("basic.maxAge", 72),
            },
            timestamps: !flag("basic.logDisableTimestamp"),
        }
    }

    /// The server that sources and sinks share.
    ///
    /// # Errors
    /// Its certificate or key cannot be used.
    pub(super) fn http_host(&self) -> anyhow::Result<HttpHost> {
        let host = HttpHost::new(self.sources);
        let Some((certificates, key)) = self.values.text(SOURCE_TLS[0]).zip(self.values.text(SOURCE_TLS[1])) else {
            return Ok(host);
        };
        let config = edgeward_connect::server_config("source.httpServerTls", certificates.as_ref(), key.as_ref());
        config.map(|config| host.with_tls(config)).map_err(anyhow::Error::msg)
    }

    /// How long everything may take to end.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.time("basic.gracefulShutdownTimeout")
    }

    /// Says once what was given and has no effect.
    pub(crate) fn warn(&self) {
        if !self.values.ignored.is_empty() {
            let keys = self.values.ignored.join(", ");
            tracing::warn!(keys, "settings of eKuiper that have no effect in this program");
        }
        if !self.values.unknown.is_empty() {
            tracing::warn!(keys = self.values.unknown.join(", "), "settings that nobody knows; look for a misspelling");
        }
    }

    /// Whether files outside of the data folder may be read on behalf of a request.
    pub(super) fn external_files(&self) -> bool {
        self.values.flag("basic.allowExternalFileAccess").unwrap_or(true)
    }

    /// Options of the plugins below the data folder.
    pub(super) fn plugins(&self, data: &Path) -> ManagerOptions {
        let mut options = ManagerOptions::new(&data.join("plugins"));
        options.allow_files = self.external_files();
        options.fetch = Some(Arc::new(Web { private: self.values.flag("basic.enablePrivateNet").unwrap_or(false) }));
        let portable = &mut options.portable;
        if let Some(python) = self.values.text("portable.pythonBin") {
            portable.python = python.into();
        }
        for (key, time) in [
            ("portable.initTimeout", &mut portable.init_timeout),
            ("portable.sendTimeout", &mut portable.send_timeout),
            ("portable.recvTimeout", &mut portable.recv_timeout),
        ] {
            *time = self.time(key).unwrap_or(*time);
        }
        options
    }

    fn tracing(&self) -> Tracing {
        let (values, defaults) = (&self.values, Tracing::default());
        let capacity = values.number("openTelemetry.localTraceCapacity").and_then(|count| count.try_into().ok());
        Tracing {
            service: values.text("openTelemetry.serviceName").map_or(defaults.service, str::to_owned),
            collector: values.text("openTelemetry.remoteEndpoint").map_or(defaults.collector, str::to_owned),
            export: values.flag("openTelemetry.enableRemoteCollector").unwrap_or(defaults.export),
            capacity: capacity.unwrap_or(defaults.capacity),
        }
    }

    /// Options of the rules over a data folder.
    pub(super) fn rules(&self, data: &Path) -> Options {
        let defaults = Options::new(data);
        let (etc, values) = (self.etc.clone(), &self.values);
        let keys = etc.as_ref().map(|etc| etc.join("mgmt"));
        let files = values.text(REST_TLS[0]).zip(values.text(REST_TLS[1]));
        Options {
            rest: Some(self.rest),
            rest_tls: files.map(|(certificates, key)| RestTls { certificates: certificates.into(), key: key.into() }),
            timezone: self.timezone.clone(),
            rule_patrol_interval: self.time("basic.rulePatrolInterval").unwrap_or(defaults.rule_patrol_interval),
            authentication: keys.filter(|_| values.flag("basic.authentication") == Some(true)),
            etc_dir: etc,
            prometheus: self.prometheus,
            database: values.text("store.sqlite.name").map_or(defaults.database, str::to_owned),
            rule_options: values.section("rule"),
            sink_options: values.section("sink"),
            allow_external_files: self.external_files(),
            tracing: self.tracing(),
            audit: values.flag("basic.enableRestAuditLog").unwrap_or(false),
            ..defaults
        }
    }

    fn time(&self, key: &str) -> Option<Duration> {
        self.values.number(key).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
    }
}

/// Packages from other machines.
struct Web {
    private: bool,
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, url: &'a str, max_bytes: u64) -> BoxFuture<'a, Result<Bytes, String>> {
        Box::pin(edgeward_connect::fetch(url, max_bytes, self.private))
    }
}

fn aes_key(values: &Values) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(text) = values.text("basic.aesKey") else { return Ok(None) };
    let key = STANDARD.decode(text).ok().filter(|key| [16, 24, 32].contains(&key.len()));
    // The key itself is nobody's business in a log.
    key.map(Some).context("basic.aesKey: must be 16, 24 or 32 bytes in base64")
}

/// An address of two keys. On loopback unless told otherwise: nothing here asks who calls.
fn address(values: &Values, ip: &'static str, port_key: &'static str, default: u16) -> anyhow::Result<SocketAddr> {
    let text = values.text(ip);
    let parse = |text: &str| text.parse::<IpAddr>().with_context(|| format!("{ip}: must be an IP address, not {text}"));
    let ip = text.map(parse).transpose()?.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(SocketAddr::new(ip, port(values, port_key, default)?))
}

fn port(values: &Values, key: &'static str, default: u16) -> anyhow::Result<u16> {
    let number = values.number(key).unwrap_or(default.into());
    u16::try_from(number).ok().with_context(|| format!("{key}: must be a port from 0 to 65535, not {number}"))
}

fn timezone(values: &Values) -> anyhow::Result<TimeZone> {
    match values.text("basic.timezone") {
        None | Some("Local") => Ok(TimeZone::system()),
        Some("UTC") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name)
            .ok()
            .with_context(|| format!("basic.timezone: must be Local, UTC or a name such as Europe/Paris, not {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], etc: Option<&str>) -> anyhow::Result<Settings> {
        let variables = variables.iter().map(|(name, value)| (format!("KUIPER__{name}"), (*value).to_owned()));
        let options = RulesOptions { rest_listen: None, etc: None, command_dir: None };
        Settings::of(Values::read(None, variables)?, etc.map(PathBuf::from), &options)
    }

    #[test]
    fn settings_reach_the_options() {
        let variables = [
            ("BASIC__RESTIP", "0.0.0.0"),
            ("BASIC__RESTPORT", "9000"),
            ("BASIC__TIMEZONE", "Asia/Tokyo"),
            ("BASIC__AUTHENTICATION", "true"),
            ("BASIC__RULEPATROLINTERVAL", "3s"),
            ("BASIC__PROMETHEUS", "true"),
            ("BASIC__ALLOWEXTERNALFILEACCESS", "false"),
            ("RULE__QOS", "1"),
            ("SINK__RESENDINTERVAL", "50ms"),
            ("STORE__SQLITE__NAME", "mine.db"),
            ("BASIC__FILELOG", "true"),
            ("BASIC__ROTATETIME", "2"),
            ("BASIC__ROTATECOUNT", "7"),
            ("BASIC__LOGDISABLETIMESTAMP", "true"),
            ("PORTABLE__RECVTIMEOUT", "100"),
            ("PORTABLE__PYTHONBIN", "python9"),
        ];
        let settings = settings(&variables, Some("/etc/x")).expect("valid");
        let options = settings.rules(Path::new("/d"));
        assert_eq!(options.rest.expect("REST").to_string(), "0.0.0.0:9000");
        assert_eq!(options.prometheus.expect("metrics").to_string(), "0.0.0.0:20499");
        assert_eq!(options.timezone.iana_name(), Some("Asia/Tokyo"));
        assert_eq!(options.authentication.as_deref(), Some(Path::new("/etc/x/mgmt")));
        assert_eq!((options.rule_patrol_interval, options.database.as_str()), (Duration::from_secs(3), "mine.db"));
        assert_eq!(options.rule_options["qos"], 1);
        assert_eq!(options.sink_options["resendInterval"], 50);
        assert!(!options.allow_external_files);
        let log = settings.log(Path::new("/d"));
        assert_eq!((log.console, log.file, log.timestamps), (false, true, false));
        assert_eq!((log.rotation.folder.to_str(), log.rotation.count), (Some("/d/log"), 7));
        assert_eq!((log.rotation.time, log.rotation.size), (Duration::from_secs(7_200), 10 << 20));
        let plugins = settings.plugins(Path::new("/d"));
        assert_eq!(plugins.portable.recv_timeout, Duration::from_millis(100));
        assert_eq!((plugins.portable.python.to_str(), plugins.allow_files), (Some("python9"), false));
        assert_eq!(settings.sources.to_string(), "127.0.0.1:10081");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        for (name, value, expect) in [
            ("BASIC__RESTPORT", "70000", "basic.restPort: must be a port"),
            ("BASIC__RESTIP", "here", "basic.restIp: must be an IP address, not here"),
            ("BASIC__TIMEZONE", "Mars/Base", "basic.timezone: must be Local"),
            ("BASIC__AUTHENTICATION", "true", "basic.authentication: needs --etc"),
            ("BASIC__RESTTLS__KEYFILE", "k", "basic.restTls: needs both"),
            ("SOURCE__HTTPSERVERTLS__CERTFILE", "c", "source.httpServerTls: needs both"),
            ("STORE__TYPE", "redis", "store.type: must be sqlite"),
            ("BASIC__AESKEY", "c2hvcnQ=", "basic.aesKey: must be 16, 24 or 32 bytes in base64"),
            ("RULE__QOS", "3", "section rule: invalid qos 3"),
        ] {
            let error = format!("{:#}", settings(&[(name, value)], None).expect_err(name));
            assert!(error.starts_with(expect), "{error}");
        }
        let settings = settings(&[("BASIC__LOGLEVEL", "loud")], None).expect("valid so far");
        assert!(settings.log_level().is_err());
    }
}
