//! What pods need from the node's copy of the API. `edge/agent` implements it over its replica; everything works from
//! disk while the link is cut.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, PodStatus, Secret};

use crate::Error;

/// One change of what should run here.
#[derive(Clone, Debug)]
pub enum Change {
    /// The pod is bound to this node: new or changed. A `deletionTimestamp` asks for graceful termination, after which
    /// [`NodeApi::confirm_pod_deleted`] is called.
    Pod(Arc<Pod>),
    /// The pod object is gone (deleted by force, or while the link was cut). Its containers are stopped with their
    /// grace period.
    PodGone(PodKey),
    /// Everything that was known at the start has been sent. What runs here and was not named is removed after this,
    /// so send it only once the replica is read completely.
    Synced,
    /// A ConfigMap's content changed or it was deleted: files and environments made from it are looked at again.
    ConfigMap {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The same for a Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Identity of a pod. Two pods of one name that follow each other differ in `uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`; never empty.
    pub uid: String,
}

/// What a service-account token is asked for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The pod that will hold it.
    pub pod: PodKey,
    /// Service account in the pod's namespace.
    pub service_account: String,
    /// Empty: the API's own audience.
    pub audiences: Vec<String>,
    /// Wanted life time.
    pub expiration_seconds: i64,
}

/// A service-account token.
#[derive(Clone, Debug)]
pub struct Token {
    /// The JWT.
    pub token: String,
    /// End of its life, seconds since 1970 UTC.
    pub expires_at: i64,
}

/// The node's copy of the API as pods see it. Calls return quickly: they read and write local storage, never the link.
pub trait NodeApi: Send + Sync + 'static {
    /// Desired pods: first all that are known, then [`Change::Synced`], then changes as they come. A changed pod may be
    /// sent several times; the newest document counts. The stream ends only at shutdown.
    fn watch(&self) -> BoxStream<'static, Change>;

    /// This node's own object: labels and allocatable for admission. `None` if it is not known yet.
    fn node(&self) -> BoxFuture<'_, Result<Option<Arc<Node>>, Error>>;

    /// A ConfigMap; `None` if there is none.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<ConfigMap>>, Error>>;

    /// A Secret; `None` if there is none.
    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Arc<Secret>>, Error>>;

    /// A token for a pod. Fails with [`Error::Api`] if none can be had (no link and none kept): the pod then waits, as
    /// with a missing Secret.
    fn service_account_token(&self, request: TokenRequest) -> BoxFuture<'_, Result<Token, Error>>;

    /// Stores the status of a pod. Called only when it changed. Must be durable when it returns; a pod that is gone
    /// meanwhile is no error.
    fn update_status<'a>(&'a self, pod: &'a PodKey, status: PodStatus) -> BoxFuture<'a, Result<(), Error>>;

    /// Every container, volume and cgroup of the pod is gone: the object may be removed for good.
    fn confirm_pod_deleted<'a>(&'a self, pod: &'a PodKey) -> BoxFuture<'a, Result<(), Error>>;

    /// Records an event. Repeated events come again under the same name with a higher count: create or replace.
    /// Best effort, must not block on the link.
    fn record_event(&self, event: Event);
}
