//! `/scale`: the replicas of a workload as an `autoscaling/v1 Scale`.

use edgeward_objects::{ApiError, LabelSelector, Object};
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::catalog::ScalePaths;
use crate::http::reply::Reply;
use crate::verbs::Verb;
use crate::verbs::patch::Patch;
use crate::verbs::update::{self, Part};
use crate::{render, select};

/// How often a scale is repeated when somebody else changed the object meanwhile.
const TRIES: usize = 64;

pub(super) async fn handle(call: &Call, verb: Verb) -> Result<Reply, ApiError> {
    if verb == Verb::Get {
        let object = render::object(&*call.stored().await?, &call.served)?;
        return Ok(Reply::object(StatusCode::OK, &scale(call, &object)));
    }
    let patch = if verb == Verb::Patch { Some(Patch::parse(call)?) } else { None };
    let mut tries = 0;
    loop {
        let old = call.stored().await?;
        let object = render::object(&old, &call.served)?;
        let sent = match &patch {
            Some(patch) => patch.apply_plain(&scale(call, &object))?,
            None => call.body_object()?,
        };
        let conditional = patch.is_none() && !sent.resource_version().is_empty();
        let wanted = with_replicas(call, object.clone(), &sent)?;
        match update::change(call, Part::Main, &old, &object, wanted).await {
            Err(error) if error.code == 409 && !conditional && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
            Ok(_) => {
                let now = render::object(&*call.stored().await?, &call.served)?;
                return Ok(Reply::object(StatusCode::OK, &scale(call, &now)));
            }
        }
    }
}

fn paths(call: &Call) -> ScalePaths {
    let builtin = || ScalePaths { spec: ".spec.replicas".into(), status: ".status.replicas".into(), selector: None };
    call.served.custom.as_ref().and_then(|custom| custom.scale.clone()).unwrap_or_else(builtin)
}

/// `.spec.replicas` as keys.
fn keys(path: &str) -> Vec<&str> {
    path.split('.').filter(|key| !key.is_empty()).collect()
}

/// The Scale of an object.
fn scale(call: &Call, object: &Object) -> Object {
    let paths = paths(call);
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get(&["metadata", key]) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let number = |path: &str| object.get_i64(&keys(path));
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": number(&paths.spec).unwrap_or(0)},
        "status": {"replicas": number(&paths.status).unwrap_or(0)},
    });
    let selector = match &paths.selector {
        Some(path) => object.get_str(&keys(path)).map(str::to_owned),
        None if call.served.custom.is_none() => selector_text(object.get(&["spec", "selector"])),
        None => None,
    };
    if let Some(selector) = selector {
        scale["status"]["selector"] = json!(selector);
    }
    Object::from_value(scale).unwrap_or_default() // the literal above is a map
}

/// A label selector as query text, which is how autoscalers read it.
fn selector_text(selector: Option<&Value>) -> Option<String> {
    LabelSelector::from_value(selector).ok().map(|selector| select::text(&selector))
}

fn with_replicas(call: &Call, mut object: Object, sent: &Object) -> Result<Object, ApiError> {
    let replicas = sent.get(&["spec", "replicas"]).cloned().unwrap_or(json!(0));
    if replicas.as_i64().is_none_or(|replicas| !(0..=i64::from(i32::MAX)).contains(&replicas)) {
        let cause = edgeward_objects::Cause::invalid("spec.replicas", &replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid("autoscaling", "Scale", call.name(), vec![cause]));
    }
    let paths = paths(call);
    object.set(&keys(&paths.spec), replicas);
    match sent.get(&["metadata", "resourceVersion"]) {
        Some(version) => object.set(&["metadata", "resourceVersion"], version.clone()),
        None => {
            object.remove(&["metadata", "resourceVersion"]);
        }
    }
    Ok(object)
}
