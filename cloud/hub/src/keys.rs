//! Which key holds which node name: the first key that joins under a name keeps it, until it rotates or is forgotten.
//!
//! Kept in the Secret `kubeedge/node-<name>`: `fingerprint`, and during a rotation also `previous`, because the node may
//! crash before it has stored its new certificate. A forgotten name keeps an empty record, so that the machine that held
//! it does not take it back with its old certificate; only a join token does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use edgeward_wire::{Content, Failure};
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{self, MERGE, Place};

const NAMESPACE: &str = "kubeedge";
const SECRETS: Place<'static> = Place::new("/api/v1", "secrets").within(Some(NAMESPACE));
/// Attempts when another writer is faster; each failed one means that another succeeded.
const ATTEMPTS: usize = 4;

/// The records, in the API.
#[derive(Clone)]
pub(crate) struct Keys {
    client: Client,
}

/// By what a key claims a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A join token.
    Token,
    /// A node certificate of our authority.
    Certificate,
}

/// Whether a key may use a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It holds the name, perhaps since now.
    Granted,
    /// Another key holds it.
    Taken,
    /// It was forgotten; a token is needed.
    Forgotten,
}

#[derive(Deserialize)]
struct Record {
    metadata: Metadata,
    #[serde(default)]
    data: Fingerprints,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Fingerprints {
    fingerprint: String,
    previous: String,
}

impl Keys {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Claims a name for a key: the recorded one (or the one before a rotation) may use it; a free name is recorded.
    pub(crate) async fn claim(&self, node: &str, fingerprint: &str, proof: Proof) -> Result<Claim, Failure> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let written = match self.read(node).await? {
                Some(record) if record.data.holds(fingerprint) => return Ok(Claim::Granted),
                Some(record) if !record.is_free() => return Ok(Claim::Taken),
                Some(_) if proof == Proof::Certificate => return Ok(Claim::Forgotten),
                Some(record) => self.write(node, &record, fingerprint, "").await,
                None => self.write_new(node, fingerprint).await,
            };
            match written {
                Err(failure) if failure.code == 409 && attempts > 0 => {}
                written => return written.map(|()| Claim::Granted),
            }
        }
    }

    /// Records `new` beside `old`, the key that asks.
    pub(crate) async fn rotate(&self, node: &str, old: &str, new: &str) -> Result<Claim, Failure> {
        let claim = self.claim(node, old, Proof::Certificate).await?;
        if claim == Claim::Granted
            && old != new
            && let Some(record) = self.read(node).await?
        {
            self.write(node, &record, new, old).await?;
        }
        Ok(claim)
    }

    /// Frees the name. Whether a key held it.
    pub(crate) async fn forget(&self, node: &str) -> Result<bool, Failure> {
        match self.read(node).await? {
            Some(record) if !record.is_free() => self.write(node, &record, "", "").await.map(|()| true),
            _ => Ok(false),
        }
    }

    async fn read(&self, node: &str) -> Result<Option<Record>, Failure> {
        let secret = match api::get(&self.client, SECRETS.named(&name(node))).await {
            Err(failure) if failure.code == 404 => return Ok(None),
            secret => secret?,
        };
        serde_json::from_str(secret.get()).map(Some).map_err(|error| {
            Failure::new(500, "InternalError", format!("Secret {NAMESPACE}/{} is damaged: {error}", name(node)))
        })
    }

    /// Writes over a record, unless it has changed since it was read.
    async fn write(&self, node: &str, read: &Record, fingerprint: &str, previous: &str) -> Result<(), Failure> {
        let data = Fingerprints { fingerprint: STANDARD.encode(fingerprint), previous: STANDARD.encode(previous) };
        let patch = json!({ "metadata": { "resourceVersion": read.metadata.resource_version }, "data": data });
        let written = api::patch(&self.client, SECRETS.named(&name(node)), MERGE, patch.to_string().into_bytes()).await;
        written.map(drop)
    }

    async fn write_new(&self, node: &str, fingerprint: &str) -> Result<(), Failure> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name(node), "namespace": NAMESPACE },
            "type": "Opaque",
            "data": { "fingerprint": STANDARD.encode(fingerprint) },
        });
        let secret = secret.to_string().into_bytes();
        match api::create(&self.client, SECRETS, secret.clone()).await {
            // The namespace is missing; make it and try once more.
            Err(failure) if failure.code == 404 => {
                self.make_namespace().await?;
                api::create(&self.client, SECRETS, secret).await.map(drop)
            }
            written => written.map(drop),
        }
    }

    async fn make_namespace(&self) -> Result<(), Failure> {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        let place = Place::new("/api/v1", "namespaces");
        let made: Result<Content, Failure> = api::create(&self.client, place, namespace.to_string().into_bytes()).await;
        match made {
            Err(failure) if failure.code != 409 => Err(failure),
            _ => Ok(()),
        }
    }
}

impl Record {
    fn is_free(&self) -> bool {
        self.data.fingerprint.is_empty()
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
