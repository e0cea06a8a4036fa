//! Where log lines go: standard error, as text for people or JSON for programs; and, where the stream engine's
//! configuration says so, a file.

mod file;

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::{EnvFilter, reload};

use crate::cli::{LogFormat, LogOptions};
pub(crate) use file::Rotation;

/// Noisy neighbours are held to warnings unless asked for by name.
const QUIET: &str = "hyper=warn,h2=warn,rustls=warn,kube_client=warn,kube_runtime=off,tower=warn";

/// Puts another filter in the place of the one in use.
type Replace = Box<dyn Fn(EnvFilter) + Send + Sync>;

static REPLACE: OnceLock<Replace> = OnceLock::new();
static OUTPUT: Output =
    Output { console: AtomicBool::new(true), to_file: AtomicBool::new(false), file: OnceLock::new() };

/// Where lines go.
struct Output {
    console: AtomicBool,
    to_file: AtomicBool,
    /// None until somebody wants one.
    file: OnceLock<file::FileLog>,
}

/// What `kuiper.yaml` says of the log.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// Write to standard error.
    pub console: bool,
    /// Write to files.
    pub file: bool,
    /// How files follow each other, now or when `PATCH /configs` asks for them.
    pub rotation: Rotation,
    /// Begin lines with the time.
    pub timestamps: bool,
}

/// The filter of a level.
pub(crate) fn filter(level: &str) -> String {
    format!("{level},{QUIET}")
}

/// Starts logging; `destination` is more than standard error.
pub(crate) fn init(
    options: &LogOptions,
    default: Option<&str>,
    destination: Option<&Destination>,
) -> anyhow::Result<()> {
    let text = options.log.as_deref().or(default).map_or_else(|| filter("info"), str::to_owned);
    let filter = EnvFilter::try_new(&text).with_context(|| format!("--log {text:?}"))?;
    if let Some(destination) = destination {
        OUTPUT.console.store(destination.console, Ordering::Relaxed);
        if destination.file {
            open_file(&destination.rotation)?;
        }
    }
    let clock = Clock { shown: destination.is_none_or(|destination| destination.timestamps) };
    let colours = std::io::IsTerminal::is_terminal(&io::stderr()) && destination.is_none_or(|to| !to.file);
    let builder = tracing_subscriber::fmt().with_writer(|| Line).with_timer(clock);
    let outcome = match options.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colours).with_env_filter(filter).with_filter_reloading();
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

fn open_file(rotation: &Rotation) -> anyhow::Result<()> {
    if OUTPUT.file.get().is_none() {
        let failed = || format!("the log in {} cannot be written", rotation.folder.display());
        let file = file::FileLog::open(rotation.clone()).with_context(failed)?;
        // Whoever was faster opened the same.
        let _ = OUTPUT.file.set(file);
    }
    OUTPUT.to_file.store(true, Ordering::Relaxed);
    Ok(())
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

/// Logs from this level on.
pub(crate) fn set_level(level: &str) {
    if let (Some(replace), Ok(filter)) = (REPLACE.get(), EnvFilter::try_new(filter(level))) {
        replace(filter);
    }
}

/// Writes to standard error from now on, or no longer.
pub(crate) fn set_console(console: bool) {
    OUTPUT.console.store(console, Ordering::Relaxed);
}

/// Writes to files from now on, or no longer.
pub(crate) fn set_file(file: bool, rotation: &Rotation) {
    if !file {
        OUTPUT.to_file.store(false, Ordering::Relaxed);
    } else if let Err(error) = open_file(rotation) {
        let error = format!("{error:#}");
        tracing::error!(error, "there is no log in files");
    }
}

/// One line on its way.
struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let file = OUTPUT.file.get().filter(|_| OUTPUT.to_file.load(Ordering::Relaxed));
        let kept = file.is_some_and(|file| file.write(line).is_ok());
        // A disk that is full must not make the program dumb.
        if OUTPUT.console.load(Ordering::Relaxed) || (file.is_some() && !kept) {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The time at the beginning of a line.
struct Clock {
    shown: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        if self.shown { SystemTime.format_time(line) } else { Ok(()) }
    }
}
