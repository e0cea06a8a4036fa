//! Streams and rules, with eKuiper's REST API: alone, or inside an agent.

mod command_files;
mod settings;
mod values;

use std::path::Path;
use std::sync::Arc;

use edgeward_plugins::Manager;
use edgeward_rules::{Handle, Hosts, Logs, Options, Rules};
use edgeward_service::Tasks;

use crate::logging;
pub(crate) use settings::Settings;

/// Runs the stream engine alone: no bus and no cloud around it.
pub(crate) async fn serve(data: &Path, settings: &Settings, tasks: Tasks) -> anyhow::Result<Handle> {
    let options = Options { allow_stop: true, logs: Some(logs(settings.log(data).rotation)), ..settings.rules(data) };
    let handle = run(options, settings, data, Hosts::default(), &tasks).await?;
    if let Some(rest) = handle.rest_address() {
        tracing::info!(%rest, "stream engine ready");
    }
    Ok(handle)
}

/// What `PATCH /configs` changes.
fn logs(rotation: logging::Rotation) -> Logs {
    Logs::new(move |change| {
        if let Some(level) = change.level {
            logging::set_level(level);
        }
        if let Some(console) = change.console {
            logging::set_console(console);
        }
        if let Some(file) = change.file {
            logging::set_file(file, &rotation);
        }
    })
}

/// Starts streams and rules that are kept in `data`, as a part of something larger.
pub(crate) async fn start(data: &Path, settings: &Settings, hosts: Hosts, tasks: &Tasks) -> anyhow::Result<Handle> {
    run(settings.rules(data), settings, data, hosts, tasks).await
}

async fn run(
    options: Options,
    settings: &Settings,
    data: &Path,
    mut hosts: Hosts,
    tasks: &Tasks,
) -> anyhow::Result<Handle> {
    settings.warn();
    hosts.aes_key.clone_from(&settings.aes_key);
    hosts.files_within = (!settings.external_files()).then(|| data.to_owned());
    hosts.http = Arc::new(settings.http_host()?);
    let plugins = Manager::open(settings.plugins(data), tasks).await?;
    let handle = Rules::start(Options { plugins: Some(plugins), ..options }, hosts, tasks).await?;
    if let Some(folder) = &settings.commands {
        command_files::start(folder.clone(), data, handle.clone(), tasks).await?;
    }
    Ok(handle)
}
