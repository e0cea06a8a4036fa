//! `edgeward node`: looking after nodes.

use std::process::ExitCode;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cli::NodeCommand;
use crate::output;

pub(crate) async fn run(command: NodeCommand) -> anyhow::Result<ExitCode> {
    match command {
        NodeCommand::Forget { name, kubeconfig } => {
            let client = client(&kubeconfig).await?;
            forget(client, &name).await
        }
    }
}

async fn client(path: &std::path::Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(path)
        .with_context(|| format!("read {}; name the administrator's file with --kubeconfig", path.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn forget(client: Client, node: &str) -> anyhow::Result<ExitCode> {
    if !edgeward_hub::forget_node(&client, node).await? {
        anyhow::bail!("no key holds the name {node:?}; `kubectl get nodes` lists the nodes");
    }
    output::line(format!("node/{node} forgotten: the next machine that joins under this name gets it"));
    Ok(ExitCode::SUCCESS)
}
