//! The local read API: the ordinary Kubernetes API over the replica, on the node's loopback.
//!
//! `kubectl --server http://127.0.0.1:10550` works while the cloud is out of reach (KubeEdge's metaserver listens there).

use std::net::SocketAddr;
use std::sync::Arc;

use edgeward_objects::Object;
use edgeward_pods as pods;
use edgeward_server::{
    ApiServer, ByteStream, Identity, LogOptions, NodeProxy, NodeProxyError, Options as ServerOptions,
};
use edgeward_service::{Tasks, clock};
use edgeward_twin::TwinHandle;
use edgeward_wire::{LogRequest, StreamFailure};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::json;
use tokio::net::TcpListener;

use crate::Error;
use crate::link::{LogData, Logs};
use crate::replica::kinds::{self, DEVICE};
use crate::replica::{LocalView, Replica};

const READ_ONLY: &str = "the local API of a node is read-only; make changes at the cluster's API";

/// Starts the local API and returns where it listens.
pub(crate) async fn start(
    address: SocketAddr,
    replica: &Replica,
    twin: TwinHandle,
    pods: Option<pods::Handle>,
    tasks: &Tasks,
) -> Result<SocketAddr, Error> {
    install_kinds(replica).await?;
    let statuses = move |namespace: &str, name: &str| {
        let (twin, namespace, name) = (twin.clone(), namespace.to_owned(), name.to_owned());
        async move { twin.describe(&namespace, &name).await.ok().flatten().map(|device| device.status()) }.boxed()
    };
    let view = LocalView::new(replica, Arc::new(statuses));
    let options = ServerOptions {
        read_only: Some(READ_ONLY.to_owned()),
        namespaces: Vec::new(),
        node_proxy: pods.map(|pods| Arc::new(PodLogs(pods)) as Arc<dyn NodeProxy>),
        ..ServerOptions::default()
    };
    let failed = |error: edgeward_server::Error| Error::Part { part: "local API", reason: error.to_string() };
    let server = ApiServer::start(options, Arc::new(view), tasks).await.map_err(failed)?;
    let fail = |error: std::io::Error| Error::Listen { address, reason: error.to_string() };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    // Nothing can be written, and the address is the loopback's: whoever is on the node may read.
    server.serve_plain(listener, Identity::admin(), tasks);
    tracing::info!(address = %bound, "local API started");
    Ok(bound)
}

/// The kinds of devices are no built-in ones; the cloud does not send their definitions.
async fn install_kinds(replica: &Replica) -> Result<(), Error> {
    let Some(definitions) = kinds::by_word("customresourcedefinition") else { return Ok(()) };
    let wanted = |crd: &&Object| crd.get_str(&["spec", "group"]) == Some(DEVICE.group);
    for definition in edgeward_objects::platform::crds().iter().filter(wanted) {
        let key = definitions.key(None, definition.name());
        let stored = replica.get(&key).await?.unwrap_or_default();
        if stored.object.get(&["spec"]) == definition.get(&["spec"]) {
            continue;
        }
        let mut definition = definition.clone();
        let now = clock::now_rfc3339();
        definition.set(&["metadata", "creationTimestamp"], now.as_str());
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
        let conditions = json!([condition("NamesAccepted"), condition("Established")]);
        definition.set(&["status", "conditions"], conditions);
        replica.put_own(&key, definition, false).await?;
    }
    Ok(())
}

/// Container logs, for `kubectl logs` at the local API and, through the link, at the cluster's.
pub(crate) struct PodLogs(pub(crate) pods::Handle);

impl NodeProxy for PodLogs {
    fn logs(&self, request: LogOptions) -> BoxFuture<'_, Result<ByteStream, NodeProxyError>> {
        Box::pin(async move {
            let options = log_options(&request)?;
            match self.0.logs(&request.namespace, &request.pod, &request.container, options).await {
                Ok(log) => Ok(Box::pin(log.map(|piece| piece.map_err(Into::into))) as ByteStream),
                Err(error @ pods::Error::NotFound(_)) => Err(NodeProxyError::NotFound(error.to_string())),
                Err(error) => Err(NodeProxyError::Failed(error.to_string())),
            }
        })
    }
}

impl Logs for PodLogs {
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogData, StreamFailure>> {
        let LogRequest { namespace, pod, uid, container, follow, previous, timestamps, .. } = request;
        let LogRequest { tail_lines, since_seconds, since_time, limit_bytes, .. } = request;
        let node = String::new();
        #[rustfmt::skip]
        let request = LogOptions {
            node, namespace, pod, uid, container, follow, previous, timestamps, tail_lines, since_seconds, since_time,
            limit_bytes,
        };
        Box::pin(async move {
            let log = self.logs(request).await.map_err(|error| match error {
                NodeProxyError::NotFound(message) => StreamFailure { code: 404, message },
                NodeProxyError::Bad(message) => StreamFailure { code: 400, message },
                error => StreamFailure { code: 500, message: error.to_string() },
            })?;
            let failed = |error: edgeward_server::BodyError| StreamFailure { code: 500, message: error.to_string() };
            Ok(Box::pin(log.map(move |piece| piece.map_err(failed))) as LogData)
        })
    }
}

/// The same wishes in the words of the pods.
fn log_options(request: &LogOptions) -> Result<pods::LogOptions, NodeProxyError> {
    let since = match (&request.since_time, request.since_seconds) {
        (Some(time), _) => {
            let time: jiff::Timestamp =
                time.parse().map_err(|error| NodeProxyError::Bad(format!("sinceTime {time:?}: {error}")))?;
            i64::try_from(time.as_nanosecond()).ok()
        }
        (None, Some(seconds)) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Some(clock::now_ms().saturating_sub(seconds.saturating_mul(1000)).saturating_mul(1_000_000))
        }
        (None, None) => None,
    };
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(pods::LogOptions {
        follow: request.follow,
        tail: request.tail_lines.map(size),
        since,
        timestamps: request.timestamps,
        previous: request.previous,
        limit_bytes: request.limit_bytes.map(size),
    })
}
