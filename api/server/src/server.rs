//! The server itself: its state, its start, and the handle others hold.

use std::sync::Arc;

use edgeward_objects::{GroupResource, Object};
use edgeward_service::Tasks;
use edgeward_store::{Entry, ListQuery, Scope, Store, StoreError};
use futures::StreamExt as _;
use parking_lot::{Mutex, RwLock};

use crate::admission::addresses::ServiceAddresses;
use crate::auth::tokens::TokenKeys;
use crate::auth::{Authenticator, Identity};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::limits::InFlight;
use crate::options::Options;
use crate::render::Rendered;
use crate::service::LocalService;

/// A running API server. Cloning is a reference count.
#[derive(Clone)]
pub struct ApiServer {
    server: Arc<Server>,
}

/// What all requests share.
pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) authenticator: Authenticator,
    pub(crate) flight: InFlight,
    pub(crate) rendered: Rendered,
    pub(crate) addresses: ServiceAddresses,
    pub(crate) tasks: Tasks,
    catalog: RwLock<Arc<Catalog>>,
    /// Serialises rebuilding, so that an older picture never replaces a newer one.
    rebuilding: tokio::sync::Mutex<()>,
    seen_crds: Mutex<u64>,
}

impl ApiServer {
    /// Opens the server over a store: installs the platform's CRDs and the default objects (unless read-only) and serves
    /// every CRD that is stored.
    pub async fn start(options: Options, store: Arc<dyn Store>, tasks: &Tasks) -> Result<Self, Error> {
        let keys = TokenKeys::open(options.token_key.as_deref())?;
        let server = Arc::new(Server {
            authenticator: Authenticator::new(options.admin_token.clone(), keys),
            flight: InFlight::new(&options.limits),
            rendered: Rendered::new(),
            addresses: ServiceAddresses::new(options.service_network)?,
            tasks: tasks.child("api"),
            catalog: RwLock::new(Arc::new(Catalog::build([]))),
            rebuilding: tokio::sync::Mutex::new(()),
            seen_crds: Mutex::new(0),
            options,
            store,
        });
        server.refresh_catalog().await.map_err(|error| Error::Store(error.to_string()))?;
        if server.options.read_only.is_none() {
            server.addresses.load(&*server.store).await.map_err(|error| Error::Store(error.to_string()))?;
            crate::bootstrap::install(&server).await?;
        }
        let follower = server.clone();
        server.tasks.spawn_until_cancelled("follow-crds", async move { follower.follow_crds().await });
        Ok(Self { server })
    }

    /// A tower service that answers in-process as this identity; `kube::Client::new(api.local_service(…), "default")`.
    pub fn local_service(&self, identity: Identity) -> LocalService {
        LocalService::new(self.server.clone(), identity)
    }

    pub(crate) fn shared(&self) -> &Arc<Server> {
        &self.server
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ApiServer").field("read_only", &self.server.options.read_only).finish_non_exhaustive()
    }
}

/// Where CRDs are stored.
pub(crate) fn crd_resource() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

impl Server {
    /// What is served now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().clone()
    }

    /// Every entry of a scope, now.
    pub(crate) async fn list_all(&self, scope: Scope) -> Result<Vec<Arc<Entry>>, StoreError> {
        Ok(self.store.list(ListQuery { scope, at: None, limit: 0, after: None }).await?.entries)
    }

    /// Reads the CRDs again. Called after each of our own CRD writes, so that a new kind is served before its creator has
    /// the answer, and by the follower for changes that came another way.
    pub(crate) async fn refresh_catalog(&self) -> Result<(), StoreError> {
        let _one = self.rebuilding.lock().await;
        let page = self
            .store
            .list(ListQuery { scope: Scope::new(crd_resource(), None), at: None, limit: 0, after: None })
            .await?;
        let crds: Vec<(Object, u64)> = page
            .entries
            .iter()
            .filter_map(|entry| Some((Object::from_bytes(&entry.value).ok()?, entry.revision)))
            .collect();
        let catalog = Catalog::build(crds.iter().map(|(object, revision)| (object, *revision)));
        *self.catalog.write() = Arc::new(catalog);
        *self.seen_crds.lock() = page.revision;
        Ok(())
    }

    /// Serves CRDs that were written past this server (a replica's) and finishes the deletion of those that wait for their
    /// objects.
    async fn follow_crds(self: Arc<Self>) {
        let mut backoff =
            edgeward_service::Backoff::new(std::time::Duration::from_millis(100), std::time::Duration::from_secs(30));
        loop {
            let from = *self.seen_crds.lock();
            match self.store.watch(Scope::new(crd_resource(), None), from) {
                Ok(mut changes) => {
                    while let Some(Ok(change)) = changes.next().await {
                        backoff.reset();
                        if change.revision() > *self.seen_crds.lock() && self.refresh_catalog().await.is_err() {
                            break;
                        }
                    }
                }
                // History from there is gone; start from the present.
                Err(StoreError::Compacted { .. }) if self.refresh_catalog().await.is_ok() => continue,
                Err(StoreError::Closed) => return,
                Err(error) => tracing::warn!(%error, "cannot follow custom resource definitions"),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}
