//! The edge node in one process: agent and rules, joined where the two tiers meet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use edgeward_agent::link;
use edgeward_agent::{Agent, Handle, Options};
use edgeward_service::Tasks;

use crate::cli::AgentOptions;
use crate::{rules, surroundings};

/// Folder of streams and rules in the agent's data folder.
const RULES: &str = "rules";

/// Starts the node. A node that has never joined and is refused ends here; everything else is waited for while the node
/// works.
pub(crate) async fn serve(options: AgentOptions, tasks: Tasks) -> anyhow::Result<Handle> {
    let engine = rules::Settings::load(&options.rules)?;
    let name = node_name(options.node_name.as_deref())?;
    let server = options
        .server
        .clone()
        .context("no cloud is named; give --server HOST (or run `edgeward up` for cloud and edge in one process)")?;
    let mut settings = settings(&options, &name, &server)?;
    settings.link.token = token(&options)?;
    first_join(&settings.link).await?;
    let handle = start(&options, settings, &engine, &tasks).await?;
    tracing::info!(
        node = name,
        mqtt = ?options.mqtt_listen,
        local_api = %options.local_api_listen,
        "agent ready"
    );
    Ok(handle)
}

/// Starts agent and rules with these settings.
pub(crate) async fn start(
    options: &AgentOptions,
    settings: Options,
    engine: &rules::Settings,
    tasks: &Tasks,
) -> anyhow::Result<Handle> {
    let handle = Agent::start(settings, tasks).await?;
    let hosts = surroundings::of_agent(&handle);
    rules::start(&options.data_dir.join(RULES), engine, hosts, tasks).await?;
    // Only now: what a device sends is acknowledged when the rules have it, and they have to be there for that.
    handle.broker().open();
    Ok(handle)
}

pub(crate) fn node_name(given: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    let name = nix::unistd::gethostname().context("ask the machine for its name; give --node-name")?;
    Ok(name.to_string_lossy().to_lowercase())
}

fn token(options: &AgentOptions) -> anyhow::Result<Option<String>> {
    let Some(path) = &options.token_file else { return Ok(options.token.clone()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("read the token in {}", path.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// The agent's settings for what was said on the command line.
pub(crate) fn settings(options: &AgentOptions, name: &str, server: &str) -> anyhow::Result<Options> {
    let mut settings = Options::new(name, server, &options.data_dir);
    settings.link.server = format!("{server}:{}", options.link_port);
    settings.link.https = format!("{server}:{}", options.enroll_port);
    settings.node.server = settings.link.server.clone();
    settings.node.lease_interval = options.heartbeat;
    settings.node.addresses = options.node_ip.into_iter().collect();
    for label in &options.node_label {
        let (key, value) =
            label.split_once('=').with_context(|| format!("--node-label {label:?} must be KEY=VALUE"))?;
        settings.node.labels.insert(key.to_owned(), value.to_owned());
    }
    settings.broker.listen.clone_from(&options.mqtt_listen);
    settings.broker.hold = true;
    settings.local_api = Some(loopback(options.local_api_listen)?);
    if !options.disable_pods {
        let pods = pods(options, name)?;
        settings.node.max_pods = pods.max_pods;
        settings.pods = Some(pods);
    }
    Ok(settings)
}

/// The local API asks nobody who they are, so it must not leave the machine.
fn loopback(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        bail!("--local-api-listen {address}: must be a loopback address, because this API asks for no credentials");
    }
    Ok(address)
}

fn pods(options: &AgentOptions, name: &str) -> anyhow::Result<edgeward_pods::Options> {
    if !nix::unistd::geteuid().is_root() {
        bail!("pods need root; run as root, or leave them out with --disable-pods");
    }
    let data_dir = options.data_dir.join("pods");
    let mut pods = edgeward_pods::Options::new(name, &data_dir, &Path::new("/run/edgeward").join(name));
    pods.images_dir = Some(options.images.clone().unwrap_or_else(|| options.data_dir.join("images")));
    pods.log_dir = data_dir.join("logs");
    pods.network.pod_cidr.clone_from(&options.pod_cidr);
    pods.stop_pods = options.stop_pods;
    pods.host_ips = options.node_ip.into_iter().collect();
    if let Some(endpoint) = &options.container_runtime_endpoint {
        let socket = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        pods.containerd.socket = Some(PathBuf::from(socket));
    }
    Ok(pods)
}

/// A node without a certificate asks for one before it starts anything: a refusal is for the person in front of it. A
/// cloud that cannot be reached now is waited for later, while the node works.
async fn first_join(options: &link::Options) -> anyhow::Result<()> {
    match link::join(options).await {
        Ok(_) => Ok(()),
        Err(error @ edgeward_agent::Error::Unreachable { .. }) => {
            tracing::warn!(%error, "the node starts without the cloud and joins when it answers");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
