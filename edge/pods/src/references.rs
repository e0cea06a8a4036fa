//! The ConfigMaps and Secrets a pod names, fetched together, so that everything made from them is a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::Value;

use crate::cri::v1;
use crate::{Error, NodeApi, pod};

/// What a pod's documents refer to, as it is now. A name that is absent does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    pub(crate) config_maps: BTreeMap<String, Arc<ConfigMap>>,
    pub(crate) secrets: BTreeMap<String, Arc<Secret>>,
}

/// Names of the ConfigMaps and Secrets a pod uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) config_maps: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
}

impl References {
    /// Everything the pod names.
    pub(crate) async fn fetch(api: &dyn NodeApi, pod: &Pod) -> Result<Self, Error> {
        let (names, namespace) = (Names::of(pod), pod::key(pod).namespace);
        let mut references = Self::default();
        for name in names.config_maps {
            if let Some(found) = api.config_map(&namespace, &name).await? {
                references.config_maps.insert(name, found);
            }
        }
        for name in names.secrets {
            if let Some(found) = api.secret(&namespace, &name).await? {
                references.secrets.insert(name, found);
            }
        }
        Ok(references)
    }

    /// Credentials for a registry from the pod's pull secrets (`kubernetes.io/dockerconfigjson` and `dockercfg`).
    pub(crate) fn registry_auth(&self, pod: &Pod, registry: &str) -> Option<v1::AuthConfig> {
        let names = pod::spec(pod).image_pull_secrets.iter().flatten();
        names.filter_map(|secret| self.secrets.get(&secret.name)).find_map(|secret| {
            let data = secret.data.as_ref()?;
            let config: Value = match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
                (Some(bytes), _) => serde_json::from_slice::<Value>(&bytes.0).ok()?.get("auths")?.clone(),
                (None, Some(bytes)) => serde_json::from_slice(&bytes.0).ok()?,
                (None, None) => return None,
            };
            let entries = config.as_object()?;
            entries.iter().find(|(server, _)| host_of(server) == registry).and_then(|(_, entry)| credentials(entry))
        })
    }
}

impl Names {
    pub(crate) fn of(pod: &Pod) -> Self {
        let mut names = Self::default();
        for container in pod::all_containers(pod) {
            for source in container.env_from.iter().flatten() {
                names.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
                names.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
            }
            for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
                names.config_maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
                names.secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
            }
        }
        for volume in pod::volumes(pod) {
            names.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
            names.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
            for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
                names.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
                names.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
            }
        }
        names.secrets.extend(pod::spec(pod).image_pull_secrets.iter().flatten().map(|secret| secret.name.clone()));
        names
    }
}

/// `https://index.docker.io/v1/` → the host as [`super::images`] names it.
fn host_of(server: &str) -> &str {
    let server = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    match server.split('/').next().unwrap_or(server) {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    }
}

fn credentials(entry: &Value) -> Option<v1::AuthConfig> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut auth = v1::AuthConfig { username: text("username"), password: text("password"), ..Default::default() };
    auth.identity_token = text("identitytoken");
    if auth.username.is_empty() {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text("auth")).ok()?;
        let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        (auth.username, auth.password) = (username.to_owned(), password.to_owned());
    }
    Some(auth)
}
