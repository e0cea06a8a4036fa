//! `edgeward node`: looking after nodes.

use std::process::ExitCode;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

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

/// The hub keeps which key holds a name in the Secret `kubeedge/node-<name>`.
async fn forget(client: Client, node: &str) -> anyhow::Result<ExitCode> {
    let api: Api<Secret> = Api::namespaced(client, "kubeedge");
    match api.delete(&format!("node-{node}"), &DeleteParams::default()).await {
        Ok(_) => {
            output::line(format!("node/{node} forgotten: the next machine that joins under this name gets it"));
            Ok(ExitCode::SUCCESS)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {
            anyhow::bail!("no key holds the name {node:?}; `kubectl get nodes` lists the nodes")
        }
        Err(error) => Err(error.into()),
    }
}
