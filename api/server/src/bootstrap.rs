//! What is there from the start: namespaces, the platform's CRDs, the Service `kubernetes`.

use std::sync::Arc;

use edgeward_objects::Object;
use edgeward_service::clock;
use edgeward_store::{Key, StoreError, Write};
use serde_json::json;

use crate::admission::crds;
use crate::catalog::Served;
use crate::error::Error;
use crate::server::{Server, crd_resource};
use crate::verbs::store::encode;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Installs what is missing and brings the platform's CRDs up to date.
pub(crate) async fn install(server: &Arc<Server>) -> Result<(), Error> {
    for name in NAMESPACES.iter().copied().chain(server.options.namespaces.iter().map(String::as_str)) {
        let mut namespace = object("v1", "Namespace", None, name);
        crate::admission::namespaces::begin(&mut namespace);
        ensure(server, "", "namespaces", namespace).await?;
    }
    install_crds(server).await?;
    ensure(server, "", "services", kubernetes_service(server)).await
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Object {
    let mut object =
        Object::new(&edgeward_objects::GroupVersionKind::from_api_version(api_version, kind), namespace, name);
    object.set(&["metadata", "uid"], uuid::Uuid::new_v4().to_string());
    object.set(&["metadata", "creationTimestamp"], clock::now_rfc3339());
    object
}

/// The address under which pods find the API. Its endpoints are written by whoever knows where the server listens.
fn kubernetes_service(server: &Server) -> Object {
    let mut service = object("v1", "Service", Some("default"), "kubernetes");
    service.set(&["metadata", "labels"], json!({"component": "apiserver", "provider": "kubernetes"}));
    let address = server.addresses.first().to_string();
    service.set(
        &["spec"],
        json!({
            "clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "sessionAffinity": "None",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        }),
    );
    service.set(&["status"], json!({"loadBalancer": {}}));
    if let Ok(reservation) = server.addresses.take(&address) {
        reservation.keep();
    }
    service
}

/// Creates a built-in object unless there is one of that name.
async fn ensure(server: &Arc<Server>, group: &str, plural: &str, object: Object) -> Result<(), Error> {
    let served = served(server, group, plural)?;
    let key = Key::new(served.storage.clone(), object.namespace(), object.name());
    match server.store.write(Write::Create { key, value: encode(&object, &served) }).await {
        Ok(_) | Err(StoreError::Exists(_)) => Ok(()),
        Err(error) => Err(Error::Store(error.to_string())),
    }
}

fn served(server: &Server, group: &str, plural: &str) -> Result<Arc<Served>, Error> {
    let found = server.catalog().find(group, "v1", plural).cloned();
    found.ok_or_else(|| Error::Install { what: plural.to_owned(), reason: "it is not a built-in resource".to_owned() })
}

/// Writes the platform's CRDs where they are missing or differ.
async fn install_crds(server: &Arc<Server>) -> Result<(), Error> {
    let served = served(server, "apiextensions.k8s.io", "customresourcedefinitions")?;
    for definition in edgeward_objects::platform::crds() {
        install_crd(server, &served, definition.clone()).await?;
    }
    server.refresh_catalog().await.map_err(|error| Error::Store(error.to_string()))
}

async fn install_crd(server: &Arc<Server>, served: &Served, mut wanted: Object) -> Result<(), Error> {
    let name = wanted.name().to_owned();
    let failed = |reason: String| Error::Install { what: name.clone(), reason };
    if let Some(schema) = &served.schema {
        schema.default(&mut wanted);
    }
    if let Some(cause) = crate::schema::faults(served, &wanted).first() {
        return Err(failed(cause.text()));
    }
    let key = Key::new(crd_resource(), None, wanted.name());
    let stored = server.store.get(key.clone()).await.map_err(|error| failed(error.to_string()))?;
    let write = match stored {
        None => {
            let mut new = object("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, wanted.name());
            new.set(&["metadata", "generation"], 1);
            merge(&mut new, &wanted);
            crds::set_conditions(&mut new, &server.catalog());
            Write::Create { key, value: encode(&new, served) }
        }
        Some(entry) => {
            let old = Object::from_bytes(&entry.value).map_err(|error| failed(error.to_string()))?;
            if old.get(&["spec"]) == wanted.get(&["spec"]) {
                return Ok(());
            }
            let mut new = old.clone();
            new.set(&["metadata", "generation"], old.generation() + 1);
            merge(&mut new, &wanted);
            crds::set_conditions(&mut new, &server.catalog());
            Write::Update { key, value: encode(&new, served), expected: entry.revision }
        }
    };
    server.store.write(write).await.map(|_| ()).map_err(|error| failed(error.to_string()))
}

fn merge(into: &mut Object, wanted: &Object) {
    for path in [&["spec"][..], &["metadata", "labels"], &["metadata", "annotations"]] {
        if let Some(value) = wanted.get(path) {
            into.set(path, value.clone());
        }
    }
}
