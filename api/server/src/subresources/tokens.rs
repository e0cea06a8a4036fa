//! `token` of service accounts: TokenRequest.

use edgeward_objects::{ApiError, Cause, GroupResource, Object};
use edgeward_service::clock;
use edgeward_store::Key;
use http::StatusCode;
use serde_json::json;

use crate::auth::tokens::{Claims, ISSUER, Named, Subject};
use crate::call::Call;
use crate::http::reply::Reply;
use crate::render;

const DEFAULT_SECONDS: i64 = 3_600;
/// Upstream's bounds.
const SECONDS: std::ops::RangeInclusive<i64> = 600..=(1 << 32);

pub(super) async fn request(call: &Call) -> Result<Reply, ApiError> {
    let mut request = call.body_object()?;
    let account = render::object(&*call.stored().await?, &call.served)?;
    let seconds = request.get_i64(&["spec", "expirationSeconds"]).unwrap_or(DEFAULT_SECONDS);
    if !SECONDS.contains(&seconds) {
        let cause = Cause::invalid(
            "spec.expirationSeconds",
            &json!(seconds),
            "may not specify a duration less than 10 minutes",
        );
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", vec![cause]));
    }
    let mut audiences: Vec<String> =
        request.get_list(&["spec", "audiences"]).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let namespace = call.namespace().unwrap_or_default();
    let now = u64::try_from(clock::now_ms() / 1_000).unwrap_or(0);
    let exp = now + u64::try_from(seconds).unwrap_or(0);
    let subject = Subject {
        namespace: namespace.to_owned(),
        serviceaccount: Named { name: call.name().to_owned(), uid: account.uid().to_owned() },
        pod: bound_pod(call, &request).await?,
    };
    let sub = format!("system:serviceaccount:{namespace}:{}", call.name());
    let claims = Claims { aud: audiences.clone(), exp, iat: now, nbf: now, iss: ISSUER.to_owned(), sub, subject };
    let token = call.server.authenticator.keys.sign(&claims).map_err(ApiError::internal)?;
    request.set_gvk(&edgeward_objects::GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest"));
    request.set(&["metadata", "name"], call.name());
    request.set(&["metadata", "namespace"], namespace);
    request.set(&["metadata", "creationTimestamp"], clock::now_rfc3339());
    request.set(&["spec", "audiences"], audiences);
    request.set(&["spec", "expirationSeconds"], seconds);
    request.set(&["status"], json!({"token": token, "expirationTimestamp": clock::rfc3339(exp)}));
    Ok(Reply::object(StatusCode::CREATED, &request))
}

/// The pod a token is bound to, which must exist and run as the account.
async fn bound_pod(call: &Call, request: &Object) -> Result<Option<Named>, ApiError> {
    if request.get_str(&["spec", "boundObjectRef", "kind"]) != Some("Pod") {
        return Ok(None);
    }
    let resource = GroupResource::new("", "pods");
    let name = request.get_str(&["spec", "boundObjectRef", "name"]).unwrap_or_default();
    let found = call
        .server
        .store
        .get(Key::new(resource.clone(), call.namespace(), name))
        .await
        .map_err(|error| call.refused(error))?;
    let entry = found.ok_or_else(|| ApiError::not_found(&resource, name))?;
    let pod = Object::from_bytes(&entry.value).unwrap_or_default();
    let wanted = request.get_str(&["spec", "boundObjectRef", "uid"]).unwrap_or_default();
    if !wanted.is_empty() && wanted != pod.uid() {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(&resource, name, &why));
    }
    Ok(Some(Named { name: name.to_owned(), uid: pod.uid().to_owned() }))
}
