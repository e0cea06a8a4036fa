//! Where log lines go: standard error, as text for people or JSON for programs.

use std::sync::OnceLock;

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, reload};

use crate::cli::{LogFormat, LogOptions};

/// Noisy neighbours are held to warnings unless asked for by name.
const QUIET: &str = "hyper=warn,h2=warn,rustls=warn,kube_client=warn,kube_runtime=off,tower=warn";

/// Puts another filter in the place of the one in use.
type Replace = Box<dyn Fn(EnvFilter) + Send + Sync>;

static REPLACE: OnceLock<Replace> = OnceLock::new();

/// The filter of a level.
pub(crate) fn filter(level: &str) -> String {
    format!("{level},{QUIET}")
}

pub(crate) fn init(options: &LogOptions, default: Option<&str>) -> anyhow::Result<()> {
    let text = options.log.as_deref().or(default).map_or_else(|| filter("info"), str::to_owned);
    let filter = EnvFilter::try_new(&text).with_context(|| format!("--log {text:?}"))?;
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let outcome = match options.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(terminal).with_env_filter(filter).with_filter_reloading();
            remember(builder.reload_handle());
            builder.try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().with_ansi(false).with_env_filter(filter).with_filter_reloading();
            remember(builder.reload_handle());
            builder.try_init()
        }
    };
    outcome.map_err(|error| anyhow::anyhow!("start logging: {error}"))
}

/// Keeps the way to change the filter; the first one counts.
fn remember<S: 'static>(handle: reload::Handle<EnvFilter, S>) {
    let replace = move |filter| {
        if let Err(error) = handle.reload(filter) {
            tracing::warn!(%error, "the log's level stays as it is");
        }
    };
    drop(REPLACE.set(Box::new(replace)));
}

/// Writes debug messages from now on, or no longer.
pub(crate) fn set_debug(debug: bool) {
    let text = filter(if debug { "debug" } else { "info" });
    if let (Some(replace), Ok(filter)) = (REPLACE.get(), EnvFilter::try_new(text)) {
        replace(filter);
    }
}
