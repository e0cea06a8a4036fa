//! Where log lines go: standard error, as text for people or JSON for programs.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, LogOptions};

/// Noisy neighbours are held to warnings unless asked for by name.
const DEFAULT_FILTER: &str = "info,hyper=warn,h2=warn,rustls=warn,kube_client=warn,kube_runtime=off,tower=warn";

pub(crate) fn init(options: &LogOptions, default: Option<&str>) -> anyhow::Result<()> {
    let text = options.log.as_deref().or(default).unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(text).with_context(|| format!("--log {text:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let outcome = match options.log_format {
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Json => builder.json().with_ansi(false).try_init(),
    };
    outcome.map_err(|error| anyhow::anyhow!("start logging: {error}"))
}
