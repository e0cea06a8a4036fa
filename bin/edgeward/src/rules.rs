//! Streams and rules, with eKuiper's REST API: alone, or inside an agent.

use std::net::SocketAddr;
use std::path::Path;

use edgeward_rules::{Handle, Hosts, Options, Rules};
use edgeward_service::Tasks;

use crate::cli::StreamOptions;

/// Runs the stream engine alone: no bus and no cloud around it.
pub(crate) async fn serve(options: StreamOptions, tasks: Tasks) -> anyhow::Result<Handle> {
    let handle = start(&options.data_dir, options.rest_listen, Hosts::default(), &tasks).await?;
    tracing::info!(rest = %options.rest_listen, "stream engine ready");
    Ok(handle)
}

/// Starts streams and rules that are kept in `data_dir`.
pub(crate) async fn start(data_dir: &Path, rest: SocketAddr, hosts: Hosts, tasks: &Tasks) -> anyhow::Result<Handle> {
    let options = Options { rest: Some(rest), ..Options::new(data_dir) };
    Ok(Rules::start(options, hosts, tasks).await?)
}
