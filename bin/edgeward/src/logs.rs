//! `kubectl logs`: the API server asks, the hub reaches into the node. They meet here, because they do not know each
//! other.

use std::sync::OnceLock;

use edgeward_hub::{Handle, LogsError};
use edgeward_server::{BodyError, ByteStream, LogOptions, NodeProxy, NodeProxyError};
use edgeward_wire::LogRequest;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};

/// The hub, once it is there: it needs the API to start, and the API needs it to answer for logs.
#[derive(Default)]
pub(crate) struct NodeLogs {
    hub: OnceLock<Handle>,
}

impl NodeLogs {
    /// From now on logs can be read.
    pub(crate) fn connect(&self, hub: Handle) {
        // A second hub is a mistake of ours that changes nothing.
        let _ = self.hub.set(hub);
    }
}

impl NodeProxy for NodeLogs {
    fn logs(&self, options: LogOptions) -> BoxFuture<'_, Result<ByteStream, NodeProxyError>> {
        Box::pin(async move {
            let Some(hub) = self.hub.get() else { return Err(NodeProxyError::Offline(options.node)) };
            let node = options.node.clone();
            let stream = hub.logs(&node, request(options)).await.map_err(refusal)?;
            let stream: ByteStream = stream.map_err(|failure| BodyError::from(failure.message)).boxed();
            Ok(stream)
        })
    }
}

fn request(options: LogOptions) -> LogRequest {
    LogRequest {
        namespace: options.namespace,
        pod: options.pod,
        uid: options.uid,
        container: options.container,
        follow: options.follow,
        previous: options.previous,
        timestamps: options.timestamps,
        tail_lines: options.tail_lines,
        since_seconds: options.since_seconds,
        since_time: options.since_time,
        limit_bytes: options.limit_bytes,
    }
}

fn refusal(error: LogsError) -> NodeProxyError {
    match error {
        LogsError::Offline(node) => NodeProxyError::Offline(node),
        LogsError::Node(failure) if failure.code == 404 => NodeProxyError::NotFound(failure.message),
        LogsError::Node(failure) if failure.code == 400 => NodeProxyError::Bad(failure.message),
        other => NodeProxyError::Failed(other.to_string()),
    }
}
