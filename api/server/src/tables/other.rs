//! The remaining groups: leases, certificates, permissions, classes, admission, devices, flow control.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cells, Printer, age, joined, name, number, own_age, str_of, text};

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match (group, plural) {
        ("coordination.k8s.io", "leases") => ("Name:name|Holder|Age", |o, now| {
            vec![name(o), json!(o.get_str(&["spec", "holderIdentity"]).unwrap_or_default()), own_age(o, now)]
        }),
        ("certificates.k8s.io", "certificatesigningrequests") => {
            ("Name:name|Age|SignerName|Requestor|RequestedDuration|Condition", certificate_request)
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            ("Name:name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy", priority_class)
        }
        ("node.k8s.io", "runtimeclasses") => {
            ("Name:name|Handler|Age", |o, now| vec![name(o), text(o, &["handler"]), own_age(o, now)])
        }
        ("apiregistration.k8s.io", "apiservices") => ("Name:name|Service|Available|Age", api_service),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            ("Name:name|Role|Age|Users:wide|Groups:wide|ServiceAccounts:wide", role_binding)
        }
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            ("Name:name|Webhooks:integer|Age", |o, now| {
                vec![name(o), json!(o.get_list(&["webhooks"]).len()), own_age(o, now)]
            })
        }
        ("admissionregistration.k8s.io", plural) => return policy(plural),
        ("resource.k8s.io" | "flowcontrol.apiserver.k8s.io", plural) => return device_or_flow(plural),
        _ => return None,
    };
    Some(Printer { columns, cells })
}

fn device_or_flow(plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match plural {
        "resourceslices" => ("Name:name|Node|Driver|Pool|Age", |o, now| {
            let field = |path: &[&str]| json!(o.get_str(path).unwrap_or_default());
            vec![
                name(o),
                text(o, &["spec", "nodeName"]),
                field(&["spec", "driver"]),
                field(&["spec", "pool", "name"]),
                own_age(o, now),
            ]
        }),
        "resourceclaims" => ("Name:name|State|Age", |o, now| {
            let allocated = o.get(&["status", "allocation"]).is_some();
            vec![name(o), json!(if allocated { "allocated" } else { "pending" }), own_age(o, now)]
        }),
        "flowschemas" => ("Name:name|PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL", flow_schema),
        "prioritylevelconfigurations" => {
            ("Name:name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age", priority_level)
        }
        _ => ("Name:name|Age", |o, now| vec![name(o), own_age(o, now)]),
    };
    Some(Printer { columns, cells })
}

fn policy(plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match plural {
        "mutatingadmissionpolicies" => ("Name:name|Mutations:integer|ParamKind|Age", |o, now| {
            vec![name(o), json!(o.get_list(&["spec", "mutations"]).len()), param_kind(o), own_age(o, now)]
        }),
        "validatingadmissionpolicies" => ("Name:name|Validations:integer|ParamKind|Age", |o, now| {
            vec![name(o), json!(o.get_list(&["spec", "validations"]).len()), param_kind(o), own_age(o, now)]
        }),
        _ => ("Name:name|PolicyName|ParamRef|Age", |o, now| {
            vec![name(o), text(o, &["spec", "policyName"]), text(o, &["spec", "paramRef", "name"]), own_age(o, now)]
        }),
    };
    Some(Printer { columns, cells })
}

fn param_kind(object: &Object) -> Value {
    match (object.get_str(&["spec", "paramKind", "apiVersion"]), object.get_str(&["spec", "paramKind", "kind"])) {
        (Some(version), Some(kind)) => json!(format!("{version}/{kind}")),
        _ => json!("<unset>"),
    }
}

fn certificate_request(object: &Object, now: Timestamp) -> Vec<Value> {
    let conditions = object.get_list(&["status", "conditions"]);
    let has = |kind: &str| conditions.iter().any(|condition| str_of(condition, "type") == kind);
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if object.get_str(&["status", "certificate"]).is_some_and(|certificate| !certificate.is_empty()) {
        state.push_str(",Issued");
    }
    let duration = object.get_i64(&["spec", "expirationSeconds"]).map_or_else(|| "<none>".to_owned(), age::human);
    vec![
        name(object),
        own_age(object, now),
        text(object, &["spec", "signerName"]),
        text(object, &["spec", "username"]),
        json!(duration),
        json!(state),
    ]
}

fn priority_class(object: &Object, now: Timestamp) -> Vec<Value> {
    let default = object.get_bool(&["globalDefault"]).unwrap_or(false);
    let preemption = object.get_str(&["preemptionPolicy"]).unwrap_or("PreemptLowerPriority");
    vec![name(object), number(object, &["value"]), json!(default), own_age(object, now), json!(preemption)]
}

fn api_service(object: &Object, now: Timestamp) -> Vec<Value> {
    let service =
        match (object.get_str(&["spec", "service", "namespace"]), object.get_str(&["spec", "service", "name"])) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            _ => "Local".to_owned(),
        };
    let available =
        object.get_list(&["status", "conditions"]).iter().find(|condition| str_of(condition, "type") == "Available");
    vec![
        name(object),
        json!(service),
        json!(available.map_or("Unknown", |condition| str_of(condition, "status"))),
        own_age(object, now),
    ]
}

fn role_binding(object: &Object, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let list = object.get_list(&["subjects"]).iter().filter(|subject| str_of(subject, "kind") == kind);
        let names: Vec<String> = list
            .map(|subject| match (kind, str_of(subject, "namespace")) {
                ("ServiceAccount", namespace) => format!("{namespace}/{}", str_of(subject, "name")),
                _ => str_of(subject, "name").to_owned(),
            })
            .collect();
        json!(names.join(", "))
    };
    let role = |key: &str| object.get_str(&["roleRef", key]).unwrap_or_default();
    vec![
        name(object),
        json!(format!("{}/{}", role("kind"), role("name"))),
        own_age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn flow_schema(object: &Object, now: Timestamp) -> Vec<Value> {
    let dangling =
        object.get_list(&["status", "conditions"]).iter().find(|condition| str_of(condition, "type") == "Dangling");
    let missing = dangling.map_or("?", |condition| str_of(condition, "status"));
    vec![
        name(object),
        text(object, &["spec", "priorityLevelConfiguration", "name"]),
        json!(object.get_i64(&["spec", "matchingPrecedence"]).unwrap_or(0).to_string()),
        text(object, &["spec", "distinguisherMethod", "type"]),
        own_age(object, now),
        json!(missing),
    ]
}

fn priority_level(object: &Object, now: Timestamp) -> Vec<Value> {
    let queue = |key: &str| {
        let number = object.get_i64(&["spec", "limited", "limitResponse", "queuing", key]);
        json!(number.map_or_else(|| "<none>".to_owned(), |number| number.to_string()))
    };
    let shares = object.get_i64(&["spec", "limited", "nominalConcurrencyShares"]);
    vec![
        name(object),
        text(object, &["spec", "type"]),
        joined(shares.map(|shares| shares.to_string())),
        queue("queues"),
        queue("handSize"),
        queue("queueLengthLimit"),
        own_age(object, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_requests_tell_their_state() {
        let with = |conditions: &[&str], certificate: &str| {
            let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind})).collect();
            let document =
                json!({"metadata": {"name": "x"}, "status": {"conditions": conditions, "certificate": certificate}});
            certificate_request(&Object::from_value(document).unwrap(), Timestamp::UNIX_EPOCH)[5].clone()
        };
        let cases = [
            (&[][..], "", "Pending"),
            (&["Approved"], "", "Approved"),
            (&["Approved"], "x", "Approved,Issued"),
            (&["Denied"], "", "Denied"),
        ];
        for (conditions, certificate, expected) in cases {
            assert_eq!(with(conditions, certificate), expected);
        }
    }
}
