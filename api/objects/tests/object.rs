//! The dynamic object and the Status errors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use edgeward_objects::{ApiError, Cause, CauseReason, GroupResource, GroupVersionKind, Object};
use serde_json::{Value, json};

fn deployments() -> GroupResource {
    GroupResource::new("apps", "deployments")
}

#[test]
fn an_object_keeps_the_bytes_it_was_given() {
    let text =
        r#"{"kind":"Pod","apiVersion":"v1","spec":{"z":1,"a":[1.5,null,"é"]},"metadata":{"name":"x"},"other":{}}"#;
    let object = Object::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(object.to_bytes()).unwrap(), text);
    for bad in ["", "[]", "1", "null", "{", "{}x", "\"a\""] {
        assert!(Object::from_bytes(bad.as_bytes()).is_err(), "{bad}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(200), "}".repeat(200));
    assert!(Object::from_bytes(deep.as_bytes()).is_err(), "nesting is bounded");
}

#[test]
fn paths_read_and_write() {
    let mut object = Object::new(&GroupVersionKind::new("apps", "v1", "Deployment"), Some("ns"), "web");
    assert_eq!(
        (object.api_version(), object.kind(), object.namespace(), object.name()),
        ("apps/v1", "Deployment", Some("ns"), "web")
    );
    object.set(&["spec", "a", "b"], 1);
    object.set(&["spec", "a", "c"], "x");
    assert_eq!(object.get(&["spec", "a"]), Some(&json!({"b": 1, "c": "x"})));
    assert_eq!((object.get_i64(&["spec", "a", "b"]), object.get_str(&["spec", "a", "b"])), (Some(1), None));
    assert_eq!(object.get(&["spec", "a", "b", "c"]), None);
    assert_eq!(object.remove(&["spec", "a", "b"]), Some(json!(1)));
    assert_eq!(object.remove(&["nowhere", "x"]), None);
    object.set(&["spec", "a", "c", "d"], true);
    assert_eq!(object.get(&["spec"]), Some(&json!({"a": {"c": {"d": true}}})), "a scalar on the way is replaced");
    assert_eq!(object.get(&[]), None);
}

#[test]
fn metadata_of_the_wrong_shape_is_absent() {
    let object =
        Object::from_value(json!({"metadata": {"name": 1, "labels": ["a"], "finalizers": [1, "f"], "generation": "x",
        "ownerReferences": [3, {"apiVersion": "v1", "kind": "K", "name": "o", "uid": "u", "controller": true}]}}))
        .unwrap();
    assert_eq!((object.name(), object.generation(), object.labels().count()), ("", 0, 0));
    assert_eq!(object.finalizers().collect::<Vec<_>>(), ["f"]);
    let owner = object.controller().unwrap();
    assert_eq!((owner.uid.as_str(), owner.block_owner_deletion), ("u", false));
    assert_eq!(owner.to_value(), json!({"apiVersion": "v1", "kind": "K", "name": "o", "uid": "u", "controller": true}));
    assert!(!object.is_deleting());
}

#[test]
fn errors_say_what_clients_match_on() {
    let pods = GroupResource::new("", "pods");
    for (error, code, reason, message) in [
        (ApiError::not_found(&pods, "x"), 404, "NotFound", "pods \"x\" not found"),
        (ApiError::not_found(&deployments(), "x"), 404, "NotFound", "deployments.apps \"x\" not found"),
        (ApiError::already_exists(&pods, "x"), 409, "AlreadyExists", "pods \"x\" already exists"),
        (
            ApiError::modified(&pods, "x"),
            409,
            "Conflict",
            "Operation cannot be fulfilled on pods \"x\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (ApiError::forbidden(&pods, "", "no"), 403, "Forbidden", "pods is forbidden: no"),
        (ApiError::forbidden(&pods, "x", "no"), 403, "Forbidden", "pods \"x\" is forbidden: no"),
        (ApiError::unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (ApiError::bad_request("odd"), 400, "BadRequest", "odd"),
        (
            ApiError::strict_decoding("v1", "Pod", &["unknown field \"spec.dat\"".into()]),
            400,
            "BadRequest",
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.dat\"",
        ),
        (ApiError::too_old_resource_version(1, 591), 410, "Expired", "too old resource version: 1 (591)"),
        (
            ApiError::too_large_resource_version(9, 5),
            504,
            "Timeout",
            "Timeout: Too large resource version: 9, current: 5",
        ),
        (ApiError::internal("disk"), 500, "InternalError", "Internal error occurred: disk"),
        (
            ApiError::method_not_supported(&pods, "patch"),
            405,
            "MethodNotAllowed",
            "patch is not supported on resources of kind \"pods\"",
        ),
        (ApiError::unknown_resource(), 404, "NotFound", "the server could not find the requested resource"),
        (ApiError::too_many_requests("slow down", 2), 429, "TooManyRequests", "slow down"),
    ] {
        let status = error.to_status();
        assert_eq!((status.get_i64(&["code"]), status.get_str(&["reason"])), (Some(code), Some(reason)), "{error}");
        assert_eq!((status.get_str(&["message"]), status.get_str(&["status"])), (Some(message), Some("Failure")));
        assert_eq!((status.kind(), status.api_version()), ("Status", "v1"));
    }
}

#[test]
fn an_invalid_object_lists_its_causes() {
    let causes = vec![
        Cause::required("spec.selector", ""),
        Cause::invalid("spec.replicas", &json!(-1), "must be greater than or equal to 0"),
        Cause::required("spec.selector", ""),
    ];
    let status = ApiError::invalid("apps", "Deployment", "web", causes).to_status();
    let message = "Deployment.apps \"web\" is invalid: [spec.selector: Required value, spec.replicas: Invalid value: -1: must be greater than or equal to 0]";
    assert_eq!(status.get_str(&["message"]), Some(message));
    assert_eq!(status.get_map(&["details"]).map(|details| details.get("kind")), Some(Some(&json!("Deployment"))));
    let first = json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.selector"});
    assert_eq!(status.get_list(&["details", "causes"])[0], first);
    let one = ApiError::invalid("", "Pod", "x", vec![Cause::required("spec", "")]);
    assert_eq!(one.message, "Pod \"x\" is invalid: spec: Required value");
}

#[test]
fn details_carry_what_clients_read() {
    let details = |error: ApiError| Value::from(error.to_status().get_map(&["details"]).unwrap().clone());
    let not_found = details(ApiError::not_found(&deployments(), "x"));
    assert_eq!(not_found, json!({"name": "x", "group": "apps", "kind": "deployments"}));
    let too_large = details(ApiError::too_large_resource_version(9, 5));
    assert_eq!(
        too_large["causes"][0],
        json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"})
    );
    assert_eq!(too_large["retryAfterSeconds"], 1);
    assert_eq!(ApiError::too_many_requests("x", 7).retry_after_seconds(), Some(7));
    assert_eq!(ApiError::bad_request("x").to_status().get(&["details"]), None);
    let conflict = ApiError::apply_conflict(vec![Cause::new(
        CauseReason::FieldManagerConflict,
        ".spec.replicas",
        "conflict with \"kubectl\"",
    )]);
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas");
}
