//! What every namespace has from the start: ServiceAccount `default` and ConfigMap `kube-root-ca.crt`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::controllers::Context;
use edgeward_control::{Error, Key};

/// `key.name` is the namespace.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let alive = context.namespaces.get(&key).filter(|namespace| namespace.metadata.deletion_timestamp.is_none());
    if alive.is_none() {
        return Ok(None);
    }
    let metadata = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    if context.accounts.is_listed() && context.accounts.get(&Key::new(&key.name, "default")).is_none() {
        let account = ServiceAccount { metadata: metadata("default"), ..ServiceAccount::default() };
        let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &key.name);
        if let Some(created) = create(&api, &account).await? {
            context.accounts.put(created);
        }
    }
    if !context.options.root_ca_pem.is_empty() {
        let data = BTreeMap::from([("ca.crt".to_owned(), context.options.root_ca_pem.clone())]);
        let map = ConfigMap { metadata: metadata("kube-root-ca.crt"), data: Some(data), ..ConfigMap::default() };
        let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &key.name);
        if api.get_metadata_opt("kube-root-ca.crt").await?.is_none() {
            create(&api, &map).await?;
        }
    }
    Ok(None)
}

/// Creates an object; that it exists already is as good.
async fn create<K>(api: &Api<K>, object: &K) -> Result<Option<K>, Error>
where
    K: kube::Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(created) => Ok(Some(created)),
        Err(error) if Error::from_api(&error, 409) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
