//! The frame around every command: runtime, signals, and an orderly end.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use edgeward_service::Tasks;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::LogOptions;
use crate::logging;

/// How long parts may take to end after a signal.
const GRACE: Duration = Duration::from_secs(35);

/// Runs parts until a signal asks for the end: `start` brings them up and returns.
pub(crate) fn service<F, R, K>(log: &LogOptions, start: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Tasks) -> R,
    R: Future<Output = anyhow::Result<K>>,
{
    logging::init(log, None, None)?;
    service_within(None, start)
}

/// The same with another time for the end, when there is a log already.
pub(crate) fn service_within<F, R, K>(grace: Option<Duration>, start: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Tasks) -> R,
    R: Future<Output = anyhow::Result<K>>,
{
    let grace = grace.unwrap_or(GRACE);
    runtime()?.block_on(async {
        let tasks = Tasks::root("edgeward");
        let ended = ended();
        tokio::pin!(ended);
        let running = tokio::select! {
            running = start(tasks.clone()) => running,
            // Asked to end while still starting.
            () = &mut ended => { tasks.shutdown(grace).await; return Ok(ExitCode::SUCCESS) }
        };
        let running = match running {
            Ok(running) => running,
            Err(error) => {
                tasks.shutdown(grace).await;
                return Err(error);
            }
        };
        tokio::select! {
            () = &mut ended => tracing::info!("stopping"),
            // A part that works through a finite job ends the whole.
            () = tasks.cancelled() => {}
        }
        let clean = tasks.shutdown(grace).await;
        drop(running);
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Runs a command that ends by itself; a signal cancels its tasks, and it cleans up and returns.
pub(crate) fn tool<F, R>(log: &LogOptions, work: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Tasks) -> R,
    R: Future<Output = anyhow::Result<ExitCode>>,
{
    logging::init(log, Some("warn"), None)?;
    runtime()?.block_on(async {
        let tasks = Tasks::root("edgeward");
        let watcher = tasks.clone();
        tasks.spawn("signals", async move {
            tokio::select! {
                () = ended() => watcher.token().cancel(),
                () = watcher.cancelled() => {}
            }
        });
        let outcome = work(tasks.clone()).await;
        tasks.shutdown(GRACE).await;
        outcome
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Two workers are enough for what a node does, and each one more costs memory for its stack and its allocator.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(1, 4));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(64)
        .enable_all()
        .build()
        .context("start the runtime")
}

/// Resolves at the first SIGINT or SIGTERM.
async fn ended() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be heard; only kill -9 will end this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
