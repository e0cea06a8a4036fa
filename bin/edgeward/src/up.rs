//! `edgeward up`: cloud and one edge node in one process. They talk over the same link as anywhere else, on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::FromArgMatches as _;
use edgeward_service::Tasks;

use crate::cli::{AgentOptions, Cli, Command, ServerOptions, UpOptions};
use crate::{agent, cli, server};

/// How long the node's own token is good for: it joins at once.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// What runs.
pub(crate) struct Up {
    _cloud: server::Cloud,
    _node: edgeward_agent::Handle,
}

pub(crate) async fn serve(options: UpOptions, tasks: Tasks) -> anyhow::Result<Up> {
    let (mut cloud, mut node) = defaults()?;
    cloud.data_dir = options.data_dir.join("server");
    cloud.hub_address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    node.data_dir = options.data_dir.join("agent");
    node.node_name = options.node_name;
    node.disable_pods = options.disable_pods;
    let running = server::start(&cloud, &tasks).await?;
    node.server = Some(Ipv4Addr::LOCALHOST.to_string());
    node.token = Some(running.authority.create_token(TOKEN_LIFETIME));
    let handle = agent::serve(node, tasks).await?;
    let kubeconfig = server::kubeconfig_file(&cloud);
    tracing::info!(url = running.url, kubeconfig = %kubeconfig.display(), node = handle.node(), "up");
    Ok(Up { _cloud: running, _node: handle })
}

/// The defaults of `server` and `agent`, from the one place where they are written.
fn defaults() -> anyhow::Result<(ServerOptions, AgentOptions)> {
    let parse = |name: &str| -> anyhow::Result<Command> {
        let matches = cli::command().try_get_matches_from(["edgeward", name])?;
        Ok(Cli::from_arg_matches(&matches)?.command)
    };
    match (parse("server")?, parse("agent")?) {
        (Command::Server(cloud), Command::Agent(node)) => Ok((cloud, *node)),
        _ => anyhow::bail!("the command line has no server and agent"),
    }
}
