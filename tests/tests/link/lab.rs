//! A cloud (store, API, hub, telemetry store), agents, and the wire between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_agent::link::LinkState;
use edgeward_agent::{Agent, Handle, Options};
use edgeward_hub::{DeviceUplink, HandlerError, Handlers, Service, TelemetrySink};
use edgeward_ingest::Ingest;
use edgeward_pki::Authority;
use edgeward_server::{ApiServer, Identity as ApiIdentity};
use edgeward_service::Tasks;
use edgeward_store::SqliteStore;
use edgeward_wire::Telemetry;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Nothing here takes this long; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Cloud {
    pub(crate) client: Client,
    pub(crate) authority: Arc<Authority>,
    pub(crate) hub: edgeward_hub::Handle,
    pub(crate) ingest: edgeward_ingest::Handle,
    pub(crate) reports: Arc<Reports>,
    pub(crate) tasks: Tasks,
    /// Between agents and the hub's link port.
    pub(crate) wire: Wire,
    _folder: tempfile::TempDir,
}

/// What devices reported, and the way into the telemetry store.
pub(crate) struct Reports {
    pub(crate) devices: Mutex<Vec<String>>,
    ingest: edgeward_ingest::Handle,
}

impl Reports {
    fn note(&self, device: &str, content: &str) -> BoxFuture<'_, Result<(), HandlerError>> {
        self.devices.lock().push(format!("{device} {content}"));
        async { Ok(()) }.boxed()
    }
}

impl DeviceUplink for Reports {
    fn twin_update<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.note(device, content)
    }

    fn state_update<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.note(device, content)
    }
}

impl TelemetrySink for Reports {
    fn store<'a>(&'a self, node: &'a str, batch: Telemetry) -> BoxFuture<'a, Result<u64, HandlerError>> {
        async move { Ok(self.ingest.store(node, batch).await?) }.boxed()
    }
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::start_with(edgeward_hub::Options::default()).await
    }

    pub(crate) async fn start_with(options: edgeward_hub::Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::root("cloud");
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let api = ApiServer::start(edgeward_server::Options::default(), store, &tasks).await.unwrap();
        let client = Client::new(api.local_service(ApiIdentity::admin()), "default");
        let authority = Arc::new(Authority::open(&folder.path().join("pki")).unwrap());
        let path = folder.path().join("telemetry.db");
        let ingest = Ingest::start(edgeward_ingest::Options { path, ..Default::default() }, &tasks).unwrap();
        let reports = Arc::new(Reports { devices: Mutex::default(), ingest: ingest.clone() });
        let handlers = Handlers { devices: reports.clone(), telemetry: reports.clone() };
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let options = edgeward_hub::Options { enroll_listen: loopback, link_listen: loopback, ..options };
        let hub = Service::start(options, &tasks, client.clone(), authority.clone(), handlers).await.unwrap();
        let wire = Wire::start(hub.link_address(), &tasks).await;
        Self { client, authority, hub, ingest, reports, tasks, wire, _folder: folder }
    }

    pub(crate) fn token(&self) -> String {
        self.authority.create_token(Duration::from_secs(3600))
    }

    /// Options of an agent that reaches this cloud over the wire.
    pub(crate) fn agent_options(&self, node: &str, folder: &Path) -> Options {
        let mut options = agent_options(node, folder);
        options.link.server = self.wire.address.to_string();
        options.link.https = self.hub.enroll_address().to_string();
        options.link.token = Some(self.token());
        options
    }

    pub(crate) fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        self.api(text("/apiVersion").unwrap(), text("/kind").unwrap(), text("/metadata/namespace"))
    }

    pub(crate) async fn create(&self, object: Value) -> DynamicObject {
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        self.api_of(&object).create(&Default::default(), &typed).await.unwrap()
    }

    pub(crate) async fn merge(&self, object: &Value, patch: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api_of(object).patch(name, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api_of(object).delete(name, &kube::api::DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// The object as JSON, once it looks as wanted.
    pub(crate) async fn when(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let api = self.api(api_version, kind, namespace);
        eventually(&format!("{kind} {name}"), async || {
            let object = api.get_opt(name).await.unwrap()?;
            Some(serde_json::to_value(object).unwrap()).filter(&wanted)
        })
        .await
    }

    pub(crate) async fn stop(self) {
        assert!(self.tasks.shutdown(PATIENCE).await, "everything ends when it is told to");
    }
}

/// Options of an agent without sockets of its own but the local API.
pub(crate) fn agent_options(node: &str, folder: &Path) -> Options {
    let mut options = Options::new(node, "127.0.0.1", folder);
    options.broker.listen.clear();
    options.local_api = Some((Ipv4Addr::LOCALHOST, 0).into());
    options.link.ping = Duration::from_millis(300);
    options.link.dead_after = Duration::from_millis(1200);
    options.link.retry = (Duration::from_millis(50), Duration::from_millis(300));
    options
}

/// A running agent with its tasks.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    tasks: Tasks,
}

impl Node {
    pub(crate) async fn start(options: Options) -> Self {
        let tasks = Tasks::root("agent");
        let handle = Box::pin(Agent::start(options, &tasks)).await.unwrap();
        Self { handle, tasks }
    }

    /// Waits until the link looks as wanted.
    pub(crate) async fn link(&self, wanted: impl FnMut(&LinkState) -> bool) -> LinkState {
        let mut state = self.handle.link_state();
        let found = tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await;
        let found = found.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("the link stays {:?}", self.handle.link_state().borrow()))
    }

    pub(crate) async fn online(&self) {
        self.link(LinkState::is_online).await;
    }

    /// A GET of the local API.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        get(self.handle.local_api().unwrap(), path).await
    }

    /// The answer of the local API once it looks as wanted.
    pub(crate) async fn when(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        eventually(path, async || {
            let (status, body) = self.get(path).await;
            wanted(status, &body).then_some(body)
        })
        .await
    }

    pub(crate) async fn stop(self) {
        drop(self.handle);
        assert!(self.tasks.shutdown(PATIENCE).await, "everything ends when it is told to");
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    use http_body_util::BodyExt;
    let stream = TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let request = http::Request::get(path).header("host", "local").body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.unwrap());
    let (answer, _) = futures::future::join(
        async move {
            let answer = answer.await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            drop(sender);
            (status, serde_json::from_slice(&body).unwrap_or_default())
        },
        connection,
    )
    .await;
    answer
}

/// Repeats a look until it yields something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a wire does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Hands them on.
    Pass,
    /// Keeps connections and hands nothing on: a cable that was pulled.
    Blackhole,
    /// Closes connections: a peer that went away.
    Reset,
}

/// A TCP relay that can be cut.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
}

impl Wire {
    pub(crate) async fn start(to: SocketAddr, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(watch::Sender::new(Mood::Pass));
        let (moods, connections) = (mood.clone(), tasks.clone());
        tasks.spawn_until_cancelled("wire", async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                connections.spawn_until_cancelled("relay", relay(near, to, moods.subscribe()));
            }
        });
        Self { address, mood }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

async fn relay(near: TcpStream, to: SocketAddr, mut mood: watch::Receiver<Mood>) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let up = pump(near_read, far_write, mood.clone());
    let down = pump(far_read, near_write, mood.clone());
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = mood.wait_for(|mood| *mood == Mood::Reset) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut mood: watch::Receiver<Mood>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if mood.wait_for(|mood| *mood == Mood::Pass).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
