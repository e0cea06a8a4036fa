//! Which key holds which node name: the first key that joins under a name keeps it, until it rotates or is forgotten.
//!
//! Kept in the Secret `kubeedge/node-<name>`: `fingerprint`, and during a rotation also `previous`, because the node may
//! crash before it has stored its new certificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use edgeward_wire::{Content, Failure};
use kube::Client;
use serde::{Deserialize, Serialize};

use crate::api::{self, MERGE, Place};

const NAMESPACE: &str = "kubeedge";
const SECRETS: Place<'static> = Place::new("/api/v1", "secrets").within(Some(NAMESPACE));

/// The records, in the API.
#[derive(Clone)]
pub(crate) struct Keys {
    client: Client,
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    data: Fingerprints,
}

#[derive(Default, Deserialize, Serialize)]
struct Fingerprints {
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    previous: String,
}

impl Keys {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether this key may use the name: it is the recorded one (or the one before a rotation), or the name was free and
    /// is recorded for it now.
    pub(crate) async fn claim(&self, node: &str, fingerprint: &str) -> Result<bool, Failure> {
        if let Some(record) = self.read(node).await? {
            return Ok(record.holds(fingerprint));
        }
        match self.write_new(node, fingerprint).await {
            Err(failure) if failure.code == 409 => {
                Ok(self.read(node).await?.is_some_and(|record| record.holds(fingerprint)))
            }
            written => written.map(|_| true),
        }
    }

    /// Records `new` beside `old`, the key that asks. False: `old` does not hold the name.
    pub(crate) async fn rotate(&self, node: &str, old: &str, new: &str) -> Result<bool, Failure> {
        if !self.claim(node, old).await? {
            return Ok(false);
        }
        if old != new {
            let fingerprints = Fingerprints { fingerprint: STANDARD.encode(new), previous: STANDARD.encode(old) };
            let patch = body(&serde_json::json!({ "data": fingerprints }))?;
            api::patch(&self.client, SECRETS.named(&name(node)), MERGE, patch).await?;
        }
        Ok(true)
    }

    /// Frees the name. Whether it was recorded.
    pub(crate) async fn forget(&self, node: &str) -> Result<bool, Failure> {
        match api::delete(&self.client, SECRETS.named(&name(node)), Vec::new()).await {
            Err(failure) if failure.code == 404 => Ok(false),
            deleted => deleted.map(|_| true),
        }
    }

    async fn read(&self, node: &str) -> Result<Option<Fingerprints>, Failure> {
        let secret: Content = match api::get(&self.client, SECRETS.named(&name(node))).await {
            Err(failure) if failure.code == 404 => return Ok(None),
            secret => secret?,
        };
        let record: Record = serde_json::from_str(secret.get()).map_err(|error| {
            Failure::new(500, "InternalError", format!("Secret {NAMESPACE}/{} is damaged: {error}", name(node)))
        })?;
        Ok(Some(record.data))
    }

    async fn write_new(&self, node: &str, fingerprint: &str) -> Result<Content, Failure> {
        let secret = body(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name(node), "namespace": NAMESPACE },
            "type": "Opaque",
            "data": { "fingerprint": STANDARD.encode(fingerprint) },
        }))?;
        match api::create(&self.client, SECRETS, secret.clone()).await {
            // The namespace is missing; make it and try once more.
            Err(failure) if failure.code == 404 => {
                let namespace =
                    serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
                let made = api::create(&self.client, Place::new("/api/v1", "namespaces"), body(&namespace)?).await;
                made.map(|_| ()).or_else(|failure| if failure.code == 409 { Ok(()) } else { Err(failure) })?;
                api::create(&self.client, SECRETS, secret).await
            }
            written => written,
        }
    }
}

impl Fingerprints {
    fn holds(&self, fingerprint: &str) -> bool {
        let encoded = STANDARD.encode(fingerprint);
        self.fingerprint == encoded || self.previous == encoded
    }
}

fn name(node: &str) -> String {
    format!("node-{node}")
}

fn body(value: &serde_json::Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(500, "InternalError", error.to_string()))
}
