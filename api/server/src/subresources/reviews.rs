//! Resources that are answered and never stored: who am I, may I, is this token good.

use std::sync::Arc;

use edgeward_objects::{ApiError, Object};
use http::StatusCode;
use serde_json::{Value, json};

use crate::auth::Identity;
use crate::authz::{self, Attributes, rules};
use crate::call::Call;
use crate::http::reply::Reply;
use crate::verbs::decode;

/// Answers a POST to a review resource.
pub(crate) async fn create(call: &Arc<Call>) -> Result<Reply, ApiError> {
    let mut review = call.body_object()?;
    if review.kind().is_empty() {
        review.set_gvk(&call.served.kind.gvk());
    }
    let status = match &*call.served.kind.plural {
        "selfsubjectreviews" => json!({"userInfo": user_info(&call.identity)}),
        "selfsubjectaccessreviews" => access(call, &call.identity, &review).await,
        "subjectaccessreviews" | "localsubjectaccessreviews" => access(call, &subject(&review), &review).await,
        "selfsubjectrulesreviews" => own_rules(call),
        "tokenreviews" => token(call, &review),
        "bindings" => return bind(call).await,
        _ => return Err(ApiError::method_not_supported(&call.served.resource, "create")),
    };
    review.map_mut(&["metadata"]);
    review.set(&["status"], status);
    Ok(Reply::object(StatusCode::CREATED, &review))
}

/// The old way of binding: the binding has the pod's name.
async fn bind(call: &Arc<Call>) -> Result<Reply, ApiError> {
    let binding = decode::object(call)?;
    let catalog = call.server.catalog();
    let served = catalog.find("", "v1", "pods").cloned().ok_or_else(ApiError::unknown_resource)?;
    let mut path = call.path.clone();
    path.resource = "pods".to_owned();
    path.name = Some(binding.name().to_owned());
    path.subresource = Some("binding".to_owned());
    let inner = Call {
        server: call.server.clone(),
        served,
        path,
        query: call.query.clone(),
        headers: call.headers.clone(),
        identity: call.identity.clone(),
        form: call.form,
        body: call.body.clone(),
        warnings: parking_lot::Mutex::default(),
    };
    super::pods::bind(&inner).await
}

fn user_info(identity: &Identity) -> Value {
    let mut info = json!({"username": identity.user, "groups": identity.groups});
    if !identity.uid.is_empty() {
        info["uid"] = json!(identity.uid);
    }
    info
}

fn subject(review: &Object) -> Identity {
    let groups = review.get_list(&["spec", "groups"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let text = |key: &str| review.get_str(&["spec", key]).unwrap_or_default().to_owned();
    Identity { user: text("user"), groups, uid: text("uid") }
}

async fn access(call: &Call, identity: &Identity, review: &Object) -> Value {
    let text = |path: [&str; 3]| review.get_str(&path).unwrap_or_default().to_owned();
    if review.get(&["spec", "nonResourceAttributes"]).is_some() {
        let (verb, path) =
            (text(["spec", "nonResourceAttributes", "verb"]), text(["spec", "nonResourceAttributes", "path"]));
        return json!({"allowed": authz::authorize_path(identity, &verb, &path).is_ok()});
    }
    let field = |key: &'static str| text(["spec", "resourceAttributes", key]);
    let asked = Attributes {
        verb: field("verb"),
        group: field("group"),
        resource: field("resource"),
        subresource: field("subresource"),
        namespace: field("namespace"),
        name: field("name"),
        selected_node: None,
        selected_name: None,
    };
    json!({"allowed": authz::allowed(&call.server, identity, &asked).await})
}

fn own_rules(call: &Call) -> Value {
    let trusted = authz::authorize_path(&call.identity, "get", "/").is_ok();
    let (resources, paths) = rules::of(&call.identity, trusted);
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

fn token(call: &Call, review: &Object) -> Value {
    let token = review.get_str(&["spec", "token"]).unwrap_or_default();
    match call.server.authenticator.token(token) {
        Some(identity) => json!({"authenticated": true, "user": user_info(&identity)}),
        None => {
            json!({"authenticated": false, "error": "the token is unknown, expired, or was signed by somebody else"})
        }
    }
}
