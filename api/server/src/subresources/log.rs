//! `log` of pods, through whoever reaches into nodes.

use edgeward_objects::{ApiError, Reason};
use futures::future::BoxFuture;

use crate::call::Call;
use crate::http::body::ByteStream;
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::render;

/// Reaches into nodes on behalf of the API server. The link implements it.
pub trait NodeProxy: Send + Sync {
    /// Opens the log of a container on a node. The stream ends when the log does, or when it is dropped.
    fn logs(&self, request: LogOptions) -> BoxFuture<'_, Result<ByteStream, NodeProxyError>>;
}

/// Which log, and how much of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The node the pod is bound to.
    pub node: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// Name of the container.
    pub container: String,
    /// Go on with what is still to be written.
    pub follow: bool,
    /// The container before its last restart.
    pub previous: bool,
    /// RFC 3339 time before each line.
    pub timestamps: bool,
    /// So many lines from the end.
    pub tail_lines: Option<u64>,
    /// Not older than so many seconds.
    pub since_seconds: Option<u64>,
    /// Not older than this RFC 3339 time.
    pub since_time: Option<String>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Why a node did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeProxyError {
    /// The node has no session now.
    #[error("node {0} is not connected; try again when it is")]
    Offline(String),
    /// The node knows no such container or log.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense to the node.
    #[error("{0}")]
    Bad(String),
    /// Anything else.
    #[error("node failed: {0}")]
    Failed(String),
}

impl From<NodeProxyError> for ApiError {
    fn from(error: NodeProxyError) -> Self {
        let text = error.to_string();
        match error {
            // Never 500: kubectl repeats `logs -f` without limit on that.
            NodeProxyError::Offline(_) | NodeProxyError::Failed(_) => ApiError::unavailable(text),
            NodeProxyError::NotFound(_) => ApiError::new(404, Reason::NotFound, text),
            NodeProxyError::Bad(_) => ApiError::bad_request(text),
        }
    }
}

/// `GET …/pods/<name>/log`
pub(crate) async fn log(call: &Call) -> Result<Reply, ApiError> {
    let pod = render::object(&*call.stored().await?, &call.served)?;
    let mut options = parse(&call.query)?;
    options.container = container(&pod, call.query.get("container"), call.name())?;
    let node = pod.get_str(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", call.name())));
    }
    node.clone_into(&mut options.node);
    call.namespace().unwrap_or_default().clone_into(&mut options.namespace);
    call.name().clone_into(&mut options.pod);
    pod.uid().clone_into(&mut options.uid);
    let Some(proxy) = &call.server.options.node_proxy else {
        return Err(ApiError::unavailable("logs cannot be read here: this server has no way into nodes"));
    };
    Ok(Reply::stream("text/plain", proxy.logs(options).await?))
}

fn parse(query: &Query) -> Result<LogOptions, ApiError> {
    Ok(LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: query.number("tailLines")?,
        since_seconds: query.number("sinceSeconds")?,
        since_time: query.get("sinceTime").map(str::to_owned),
        limit_bytes: query.number("limitBytes")?,
        ..LogOptions::default()
    })
}

/// The container asked for, or the only one.
fn container(pod: &edgeward_objects::Object, asked: Option<&str>, name: &str) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod.get_list(&["spec", list]).iter();
        containers.filter_map(|container| container.get("name")?.as_str().map(str::to_owned)).collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    match asked {
        Some(asked) if main.iter().chain(&init).chain(&names("ephemeralContainers")).any(|known| known == asked) => {
            Ok(asked.to_owned())
        }
        Some(asked) => Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}"))),
        None if main.len() == 1 => Ok(main[0].clone()),
        None => {
            let init = if init.is_empty() {
                String::new()
            } else {
                format!(" or one of the init containers: [{}]", init.join(" "))
            };
            let text =
                format!("a container name must be specified for pod {name}, choose one of: [{}]{init}", main.join(" "));
            Err(ApiError::bad_request(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use edgeward_objects::Object;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_container_is_found_or_asked_for() {
        let pod = |names: &[&str]| {
            let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            Object::from_value(json!({"spec": {"containers": containers, "initContainers": [{"name": "init"}]}}))
                .unwrap()
        };
        assert_eq!(container(&pod(&["a"]), None, "p").unwrap(), "a");
        assert_eq!(container(&pod(&["a", "b"]), Some("b"), "p").unwrap(), "b");
        assert_eq!(container(&pod(&["a"]), Some("init"), "p").unwrap(), "init");
        let asked = container(&pod(&["a", "b"]), None, "p").unwrap_err().message;
        assert_eq!(
            asked,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [init]"
        );
        assert_eq!(container(&pod(&["a"]), Some("x"), "p").unwrap_err().message, "container x is not valid for pod p");
    }

    #[test]
    fn options_are_read() {
        let options = parse(&Query::parse(Some("follow=true&tailLines=10&timestamps=true&sinceSeconds=5"))).unwrap();
        assert!(options.follow && options.timestamps && !options.previous);
        assert_eq!((options.tail_lines, options.since_seconds), (Some(10), Some(5)));
        assert!(parse(&Query::parse(Some("tailLines=-1"))).is_err());
    }
}
