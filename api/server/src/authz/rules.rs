//! What an identity may do, as rules for SelfSubjectRulesReview (dashboards and `kubectl auth can-i --list`).

use serde_json::{Value, json};

use crate::auth::Identity;

/// Resource rules and path rules.
pub(crate) fn of(identity: &Identity, trusted: bool) -> (Value, Value) {
    let review = json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]});
    let paths = json!([{"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version"]}]);
    if trusted {
        let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        return (json!([all]), json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]));
    }
    let mut rules = vec![review];
    if let Some(node) = identity.as_node() {
        rules.push(json!({"verbs": ["get", "update", "patch"], "apiGroups": [""], "resources": ["nodes", "nodes/status"], "resourceNames": [node]}));
        rules.push(json!({"verbs": ["get", "update", "patch"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [node]}));
        rules.push(json!({"verbs": ["create", "patch"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]}));
        rules.push(json!({"verbs": ["get", "list", "watch", "delete"], "apiGroups": [""], "resources": ["pods", "pods/status"]}));
    }
    (Value::Array(rules), paths)
}
