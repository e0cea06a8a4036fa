//! The cloud in one process: Kubernetes API, controllers, pools, devices, telemetry store and hub.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use edgeward_fleet::Fleet;
use edgeward_hub::{HandlerError, Handlers, TelemetrySink};
use edgeward_pki::Authority;
use edgeward_pki::tls::{ClientAuth, Versions, server_config};
use edgeward_server::{ApiServer, Identity};
use edgeward_service::Tasks;
use edgeward_store::SqliteStore;
use edgeward_wire::Telemetry;
use futures::future::BoxFuture;
use tokio::net::TcpListener;

use crate::advertise;
use crate::cli::ServerOptions;
use crate::kubeconfig;
use crate::logs::NodeLogs;

/// The folder of CA, keys and certificates in a server's data folder.
pub(crate) fn pki_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("pki")
}

/// The telemetry store in a server's data folder.
pub(crate) fn telemetry_file(data_dir: &Path) -> PathBuf {
    data_dir.join("telemetry.db")
}

/// A running cloud.
pub(crate) struct Cloud {
    /// Where the API is.
    pub url: String,
    /// Makes tokens.
    pub authority: Arc<Authority>,
    /// Keeps the data folder ours.
    _lock: nix::fcntl::Flock<std::fs::File>,
}

/// Starts the cloud and says how to use it.
pub(crate) async fn serve(options: ServerOptions, tasks: Tasks) -> anyhow::Result<Cloud> {
    let begun = Instant::now();
    let cloud = start(&options, &tasks).await?;
    let kubeconfig = kubeconfig_file(&options);
    tracing::info!(
        url = cloud.url,
        kubeconfig = %kubeconfig.display(),
        milliseconds = begun.elapsed().as_millis(),
        "server ready"
    );
    Ok(cloud)
}

/// Where the administrator's kubeconfig is written.
pub(crate) fn kubeconfig_file(options: &ServerOptions) -> PathBuf {
    options.write_kubeconfig.clone().unwrap_or_else(|| options.data_dir.join("admin.kubeconfig"))
}

/// Starts the cloud under `tasks`.
pub(crate) async fn start(options: &ServerOptions, tasks: &Tasks) -> anyhow::Result<Cloud> {
    let lock = claim(&options.data_dir)?;
    let authority = Arc::new(Authority::open(&pki_folder(&options.data_dir))?);
    let logs = Arc::new(NodeLogs::default());
    let api = api(options, logs.clone(), tasks).await?;
    let address = serve_api(options, &authority, &api, tasks).await?;
    let client = kube::Client::new(api.local_service(Identity::admin()), "default");
    let workloads = edgeward_workloads::Options {
        node_grace: options.node_monitor_grace_period,
        root_ca_pem: authority.certificate_pem(),
        ..edgeward_workloads::Options::default()
    };
    edgeward_workloads::start(client.clone(), workloads, tasks);
    edgeward_pools::start(client.clone(), tasks);
    advertise::publish(client.clone(), address, &own_addresses()).await?;
    logs.connect(serve_nodes(options, &authority, client, tasks).await?);
    Ok(Cloud { url: url(address), authority, _lock: lock })
}

/// Makes the data folder, for its owner alone, and keeps a second server out of it.
fn claim(folder: &Path) -> anyhow::Result<nix::fcntl::Flock<std::fs::File>> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make the data folder {}; choose another with --data-dir", folder.display()))?;
    let path = folder.join("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("write {}", path.display()))?;
    match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!("another edgeward uses {}; stop it, or choose another --data-dir", folder.display())
        }
        Err((_, error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

async fn api(options: &ServerOptions, logs: Arc<NodeLogs>, tasks: &Tasks) -> anyhow::Result<ApiServer> {
    let store = SqliteStore::open(options.data_dir.join("state.db"), edgeward_store::Options::default())?;
    let service_network = options
        .service_cidr
        .parse()
        .with_context(|| format!("--service-cidr {:?} is not a network such as 10.43.0.0/16", options.service_cidr))?;
    let settings = edgeward_server::Options {
        service_network,
        node_proxy: Some(logs),
        token_key: Some(pki_folder(&options.data_dir).join("service-account.key")),
        ..edgeward_server::Options::default()
    };
    Ok(ApiServer::start(settings, Arc::new(store), tasks).await?)
}

/// Serves the API over TLS and writes the administrator's kubeconfig.
async fn serve_api(
    options: &ServerOptions,
    authority: &Authority,
    api: &ApiServer,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let address = SocketAddr::new(options.bind_address, options.https_listen_port);
    let listener = bind(address, "--https-listen-port").await?;
    let address = listener.local_addr()?;
    let mut names = hosts(options);
    // What pods call the API.
    names.extend(["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned));
    let identity = authority.server_identity("api", &names)?;
    let tls = server_config(&identity, authority.certificate(), ClientAuth::Optional, Versions::Kubeedge)?;
    api.serve(listener, tls, tasks);
    kubeconfig::write(&kubeconfig_file(options), &url(address), authority, &authority.admin_identity()?)?;
    Ok(address)
}

/// How the administrator on this machine reaches what listens on `address`.
fn url(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}

pub(crate) async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}; free it or choose another with {flag}"))
}

/// Every name and address by which this server may be reached.
fn hosts(options: &ServerOptions) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if let Ok(name) = nix::unistd::gethostname() {
        hosts.extend(name.into_string());
    }
    for address in [options.bind_address, options.hub_address] {
        if address.is_unspecified() {
            hosts.extend(own_addresses());
        } else {
            hosts.push(address.to_string());
        }
    }
    hosts.extend(options.tls_san.iter().cloned());
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The addresses of this machine's interfaces.
fn own_addresses() -> Vec<String> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|interface| interface.address);
    addresses.filter_map(|address| address.as_sockaddr_in().map(|address| address.ip().to_string())).collect()
}

async fn serve_nodes(
    options: &ServerOptions,
    authority: &Arc<Authority>,
    client: kube::Client,
    tasks: &Tasks,
) -> anyhow::Result<edgeward_hub::Handle> {
    let store = edgeward_ingest::Options { path: telemetry_file(&options.data_dir), ..Default::default() };
    let ingest = edgeward_ingest::Ingest::start(store, tasks)?;
    let fleet = Fleet::start(client.clone(), edgeward_fleet::Options::default(), tasks);
    let settings = edgeward_hub::Options {
        enroll_listen: SocketAddr::new(options.hub_address, options.enroll_port),
        link_listen: SocketAddr::new(options.hub_address, options.link_port),
        hosts: hosts(options),
        ..edgeward_hub::Options::default()
    };
    let handlers = Handlers { devices: Arc::new(fleet), telemetry: Arc::new(Readings(ingest)) };
    Ok(edgeward_hub::Service::start(settings, tasks, client, authority.clone(), handlers).await?)
}

/// Hands batches from the hub to the telemetry store.
struct Readings(edgeward_ingest::Handle);

impl TelemetrySink for Readings {
    fn store<'a>(&'a self, node: &'a str, batch: Telemetry) -> BoxFuture<'a, Result<u64, HandlerError>> {
        Box::pin(async move { Ok(self.0.store(node, batch).await?) })
    }
}
