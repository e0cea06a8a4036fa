//! Service-account tokens: asked for from the cloud, kept for pods that start while it is out of reach.

use edgeward_objects::{GroupResource, Object};
use edgeward_pods::{PodKey, Token, TokenRequest};
use edgeward_service::clock;
use edgeward_store::Key;
use edgeward_wire::{Envelope, group, operation, source};
use serde_json::{Value, json};

use crate::Error;
use crate::link::{Link, encode};
use crate::replica::Replica;

/// Not a resource of any API: the local API does not serve it.
fn resource() -> GroupResource {
    GroupResource::new("replica.edgeward.io", "tokens")
}

/// A token with a good part of its life left: the one that is kept or, when the link is up, a new one. Without a link
/// the old one will do as long as it lives.
pub(crate) async fn token(replica: &Replica, link: &Link, request: &TokenRequest) -> Result<Token, Error> {
    let key = key(request);
    let kept = replica.get(&key).await?.and_then(|document| read(&document.object));
    let now = clock::now_ms() / 1000;
    // Renewed in the last fifth of its life, as the kubelet does.
    if let Some((token, begun)) = &kept
        && token.expires_at - now > (token.expires_at - begun) / 5
    {
        return Ok(token.clone());
    }
    let error = match ask(link, request).await {
        Ok(token) => {
            replica.put_own(&key, write(&key, &token, now), false).await?;
            return Ok(token);
        }
        Err(error) => error,
    };
    match kept {
        Some((token, _)) if token.expires_at > now => Ok(token),
        _ => Err(error),
    }
}

/// Drops the tokens of a pod that is gone.
pub(crate) async fn forget(replica: &Replica, pod: &PodKey) -> Result<(), Error> {
    for key in replica.keys(resource(), &pod.namespace).await? {
        if key.name.starts_with(&format!("{}.", pod.uid)) {
            replica.remove(&key, "").await?;
        }
    }
    Ok(())
}

fn key(request: &TokenRequest) -> Key {
    let audiences = request.audiences.join(",");
    let name = format!("{}.{}.{}.{audiences}", request.pod.uid, request.service_account, request.expiration_seconds);
    Key::new(resource(), Some(&request.pod.namespace), &name)
}

async fn ask(link: &Link, request: &TokenRequest) -> Result<Token, Error> {
    let TokenRequest { pod, service_account, audiences, expiration_seconds } = request;
    let content = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"creationTimestamp": null},
        "spec": {
            "audiences": audiences,
            "expirationSeconds": expiration_seconds,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid},
        },
        "status": {"token": "", "expirationTimestamp": null},
    });
    let resource = format!("{}/serviceaccounttoken/{service_account}", pod.namespace);
    let (source, group, query) = (source::EDGED, group::META, operation::QUERY);
    let answer =
        link.request(Envelope::new(clock::now_ms(), source, group, query, resource, encode(&content)?)).await?;
    let refused = |reason: String| Error::Message(format!("token of service account {service_account}: {reason}"));
    let object = answer.object().map_err(|refusal| refused(refusal.to_string()))?;
    let object = object.map(|object| Object::from_bytes(object.get().as_bytes()).unwrap_or_default());
    let object = object.ok_or_else(|| refused("the answer holds none".to_owned()))?;
    let token = object.get_str(&["status", "token"]).filter(|token| !token.is_empty());
    let expires =
        object.get_str(&["status", "expirationTimestamp"]).and_then(|time| time.parse::<jiff::Timestamp>().ok());
    match (token, expires) {
        (Some(token), Some(expires)) => Ok(Token { token: token.to_owned(), expires_at: expires.as_second() }),
        _ => Err(refused("the answer holds no token with an end".to_owned())),
    }
}

fn write(key: &Key, token: &Token, now: i64) -> Object {
    let value = json!({
        "metadata": {"name": &*key.name, "namespace": key.namespace.as_deref()},
        "token": token.token,
        "expiresAt": token.expires_at,
        "begun": now,
    });
    Object::from_value(value).unwrap_or_default()
}

fn read(object: &Object) -> Option<(Token, i64)> {
    let token = object.get(&["token"]).and_then(Value::as_str)?.to_owned();
    Some((Token { token, expires_at: object.get_i64(&["expiresAt"])? }, object.get_i64(&["begun"])?))
}
