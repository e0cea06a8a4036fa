//! The values of `etc/kuiper.yaml` and of the environment variables over it, by the keys eKuiper 2.4 knows.
//!
//! Keys are matched without regard to case, as eKuiper does. A variable is `KUIPER__SECTION__KEY` and wins over the file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use edgeward_connect::parse_duration_ms;
use serde_json::{Map, Value};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Before the names of the environment variables.
const PREFIX: &str = "KUIPER__";

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    /// Go's text or milliseconds.
    Time,
}

use Kind::{Flag, Number, Text, Time};

/// Keys that this program obeys, and what they take.
const OBEYED: &[(&str, Kind)] = &[
    ("basic.debug", Flag),
    ("basic.logLevel", Text),
    ("basic.consoleLog", Flag),
    ("basic.fileLog", Flag),
    ("basic.logDisableTimestamp", Flag),
    ("basic.rotateTime", Number),
    ("basic.maxAge", Number),
    ("basic.rotateSize", Number),
    ("basic.rotateCount", Number),
    ("basic.restIp", Text),
    ("basic.restPort", Number),
    ("basic.restTls.certfile", Text),
    ("basic.restTls.keyfile", Text),
    ("basic.timezone", Text),
    ("basic.authentication", Flag),
    ("basic.prometheus", Flag),
    ("basic.prometheusPort", Number),
    ("basic.rulePatrolInterval", Time),
    ("basic.allowExternalFileAccess", Flag),
    ("basic.enablePrivateNet", Flag),
    ("basic.aesKey", Text),
    ("basic.enableRestAuditLog", Flag),
    ("basic.gracefulShutdownTimeout", Time),
    ("rule.qos", Number),
    ("rule.checkpointInterval", Time),
    ("rule.sendError", Flag),
    ("rule.sendNilField", Flag),
    ("rule.sendMetaToSink", Flag),
    ("rule.isEventTime", Flag),
    ("rule.lateTolerance", Time),
    ("rule.bufferLength", Number),
    ("rule.disableBufferFullDiscard", Flag),
    ("rule.restartStrategy.attempts", Number),
    ("rule.planOptimizeStrategy.enableIncrementalWindow", Flag),
    ("rule.planOptimizeStrategy.disableAliasRefCal", Flag),
    ("sink.enableCache", Flag),
    ("sink.memoryCacheThreshold", Number),
    ("sink.maxDiskCache", Number),
    ("sink.bufferPageSize", Number),
    ("sink.resendInterval", Time),
    ("sink.cleanCacheAtStop", Flag),
    ("sink.resendAlterQueue", Flag),
    ("sink.resendPriority", Number),
    ("sink.resendIndicatorField", Text),
    ("source.httpServerIp", Text),
    ("source.httpServerPort", Number),
    ("source.httpServerTls.certfile", Text),
    ("source.httpServerTls.keyfile", Text),
    ("store.type", Text),
    ("store.sqlite.name", Text),
    ("portable.pythonBin", Text),
    ("portable.initTimeout", Time),
    ("portable.sendTimeout", Time),
    ("portable.recvTimeout", Time),
    ("openTelemetry.serviceName", Text),
    ("openTelemetry.enableRemoteCollector", Flag),
    ("openTelemetry.remoteEndpoint", Text),
    ("openTelemetry.localTraceCapacity", Number),
];

/// Keys of eKuiper, and sections of such, that change nothing here.
const IGNORED: &[&str] = &[
    "basic.syslog",
    "basic.ip",
    "basic.port",
    "basic.pprof",
    "basic.pprofIp",
    "basic.pprofPort",
    "basic.pluginHosts",
    "basic.ignoreCase",
    "basic.sql",
    "basic.enableOpenZiti",
    "basic.connection",
    "basic.ResourceProfileConfig",
    "basic.metricsDumpConfig",
    "basic.cfgStorageType",
    "basic.keepOpenTelemetryTrace",
    "connection",
    "rule.debug",
    "rule.logFilename",
    "rule.concurrency",
    "rule.restartStrategy.delay",
    "rule.restartStrategy.multiplier",
    "rule.restartStrategy.maxDelay",
    "rule.restartStrategy.jitterFactor",
    "rule.cron",
    "rule.duration",
    "rule.cronDatetimeRange",
    "rule.planOptimizeStrategy",
    "rule.enableSaveStateBeforeStop",
    "rule.forceExitTimeout",
    "rule.notifySub",
    "rule.experiment",
    "store.extStateType",
    "store.redis",
    "store.fdb",
    "store.pebble",
    "openTelemetry.enableLocalStorage",
];

/// What was said, by the keys' own spelling.
#[derive(Debug, Default)]
pub(super) struct Values {
    values: BTreeMap<&'static str, Value>,
    /// Keys of eKuiper that were given and have no effect here.
    pub(super) ignored: Vec<String>,
    /// Keys that eKuiper does not know either.
    pub(super) unknown: Vec<String>,
}

impl Values {
    /// Reads `kuiper.yaml` of the folder, if there is one, and the variables.
    pub(super) fn read(
        etc: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Values> {
        let mut values = Values::default();
        if let Some(path) = etc.map(|etc| etc.join("kuiper.yaml")).filter(|path| path.exists()) {
            let file = path.display().to_string();
            values.take_section("", read_file(&path).with_context(|| file.clone())?).context(file)?;
        }
        for (name, text) in environment {
            if let Some(path) = name.strip_prefix(PREFIX) {
                values.take(&path.replace("__", "."), Value::String(text)).context(format!("environment {name}"))?;
            }
        }
        Ok(values)
    }

    fn take_section(&mut self, prefix: &str, section: Map<String, Value>) -> anyhow::Result<()> {
        for (key, value) in section {
            let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            self.take(&path, value)?;
        }
        Ok(())
    }

    /// Takes a key's value, or those of a section.
    fn take(&mut self, path: &str, value: Value) -> anyhow::Result<()> {
        if value.is_null() {
            return Ok(());
        }
        if let Some((name, kind)) = OBEYED.iter().find(|(name, _)| name.eq_ignore_ascii_case(path)) {
            self.values.insert(name, typed(name, *kind, value)?);
            return Ok(());
        }
        match value {
            Value::Object(section) if OBEYED.iter().any(|(name, _)| below(name, path)) => {
                self.take_section(path, section)
            }
            _ if OBEYED.iter().any(|(name, _)| below(name, path)) => bail!("{path}: must be a section with keys"),
            _ => {
                let ignored = IGNORED.iter().find(|name| name.eq_ignore_ascii_case(path) || below(path, name));
                let list = if ignored.is_some() { &mut self.ignored } else { &mut self.unknown };
                let name = ignored.map_or(path, |name| name).to_owned();
                if !list.contains(&name) {
                    list.push(name);
                }
                Ok(())
            }
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.values.get(key).and_then(Value::as_bool)
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.values.get(key).and_then(Value::as_i64)
    }

    /// The keys of a section with the keys of the sections in it, as they are written.
    pub(super) fn section(&self, name: &str) -> Map<String, Value> {
        let mut section = Map::new();
        for (path, value) in &self.values {
            let Some(rest) = path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
            match rest.split_once('.') {
                None => drop(section.insert(rest.to_owned(), value.clone())),
                Some((inner, key)) => {
                    let inner = section.entry(inner).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(inner) = inner {
                        inner.insert(key.to_owned(), value.clone());
                    }
                }
            }
        }
        section
    }
}

/// Whether `path` is a key of the section.
fn below(path: &str, section: &str) -> bool {
    path.len() > section.len()
        && path.as_bytes()[section.len()] == b'.'
        && path.as_bytes()[..section.len()].eq_ignore_ascii_case(section.as_bytes())
}

/// The value as the kind has it: numbers and switches may be written as text, as the environment does; times are
/// milliseconds afterwards.
fn typed(name: &str, kind: Kind, value: Value) -> anyhow::Result<Value> {
    let written = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    let read = match kind {
        Text if value.is_string() || value.is_number() => Some(Value::String(written.clone())),
        Text => None,
        Flag => written.parse::<bool>().ok().map(Value::Bool),
        Number => written.parse::<i64>().ok().map(Value::from),
        Time => written.parse::<u64>().ok().or_else(|| parse_duration_ms(&written)).map(Value::from),
    };
    let wanted = match kind {
        Text => "a text",
        Flag => "true or false",
        Number => "a whole number",
        Time => "a time such as 10s, or milliseconds",
    };
    read.with_context(|| format!("{name}: must be {wanted}, not {written}"))
}

fn read_file(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_BYTES {
        bail!("{size} bytes are more than the {MAX_BYTES} a configuration may have");
    }
    let text = std::fs::read_to_string(path)?;
    match serde_saphyr::from_str::<Value>(&text).context("not valid YAML")? {
        Value::Object(sections) => Ok(sections),
        Value::Null => Ok(Map::new()),
        _ => bail!("must be sections with keys"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(yaml: &str, environment: &[(&str, &str)]) -> anyhow::Result<Values> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("kuiper.yaml"), yaml).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Values::read(Some(folder.path()), environment)
    }

    #[test]
    fn the_environment_wins_and_case_does_not_matter() {
        let yaml =
            "basic:\n  restPort: 9081\n  restip: 0.0.0.0\n  debug: true\nrule:\n  restartStrategy:\n    attempts: 3\n";
        let variables =
            [("KUIPER__BASIC__RESTPORT", "9090"), ("KUIPER__RULE__CHECKPOINTINTERVAL", "1m30s"), ("HOME", "/")];
        let values = read(yaml, &variables).expect("valid");
        assert_eq!(values.number("basic.restPort"), Some(9090));
        assert_eq!((values.text("basic.restIp"), values.flag("basic.debug")), (Some("0.0.0.0"), Some(true)));
        let rule = json!({"restartStrategy": {"attempts": 3}, "checkpointInterval": 90_000});
        assert_eq!(Value::Object(values.section("rule")), rule);
        assert!(values.ignored.is_empty() && values.unknown.is_empty());
        assert!(read("", &[]).expect("an empty file is valid").values.is_empty());
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let yaml = "basic:\n  syslog: {enable: true}\n  ignoreCase: false\n  colour: red\nopenTelemetry:\n  enableLocalStorage: true\n";
        let mut values = read(yaml, &[("KUIPER__BASIC__PORT", "3"), ("KUIPER__SHAPE", "round")]).expect("valid");
        values.ignored.sort();
        assert_eq!(
            values.ignored,
            ["basic.ignoreCase", "basic.port", "basic.syslog", "openTelemetry.enableLocalStorage"]
        );
        assert_eq!(values.unknown, ["basic.colour", "SHAPE"]);
    }

    #[test]
    fn a_wrong_value_is_told_by_key_and_reason() {
        for (yaml, expect) in [
            ("basic: {restPort: many}", "basic.restPort: must be a whole number, not many"),
            ("basic: {authentication: 1}", "basic.authentication: must be true or false, not 1"),
            ("basic: {timezone: [a]}", "basic.timezone: must be a text"),
            ("portable: {initTimeout: soon}", "portable.initTimeout: must be a time such as 10s"),
            ("basic: 3", "basic: must be a section with keys"),
            ("- a", "must be sections with keys"),
            ("basic: [", "not valid YAML"),
        ] {
            let error = format!("{:#}", read(yaml, &[]).expect_err(yaml));
            assert!(error.contains(expect) && error.contains("kuiper.yaml"), "{yaml}: {error}");
        }
        let error = format!("{:#}", read("", &[("KUIPER__BASIC__DEBUG", "maybe")]).expect_err("refused"));
        assert!(error.starts_with("environment KUIPER__BASIC__DEBUG: basic.debug: "), "{error}");
    }
}
