//! Streams and rules, with eKuiper's REST API: alone, or inside an agent.

use std::net::SocketAddr;
use std::path::Path;

use edgeward_rules::{Handle, Hosts, Options, Rules};
use edgeward_service::Tasks;

use crate::cli::StreamOptions;

/// Runs the stream engine alone: no bus and no cloud around it.
pub(crate) async fn serve(options: StreamOptions, tasks: Tasks) -> anyhow::Result<Handle> {
    if options.etc.as_ref().is_some_and(|etc| etc.join("kuiper.yaml").exists()) {
        tracing::warn!(
            "etc/kuiper.yaml is not read by this version; its settings have no effect, authentication included"
        );
    }
    let rules = Options {
        rest: Some(options.rest_listen),
        etc_dir: options.etc,
        allow_stop: true,
        ..Options::new(options.data_dir)
    };
    let handle = Rules::start(rules, Hosts::default(), &tasks).await?;
    tracing::info!(rest = %options.rest_listen, "stream engine ready");
    Ok(handle)
}

/// Starts streams and rules that are kept in `data_dir`.
pub(crate) async fn start(data_dir: &Path, rest: SocketAddr, hosts: Hosts, tasks: &Tasks) -> anyhow::Result<Handle> {
    let options = Options { rest: Some(rest), ..Options::new(data_dir) };
    Ok(Rules::start(options, hosts, tasks).await?)
}
