use std::borrow::Cow;

use serde_json::Value;

use super::SelectorError;
use crate::{GroupResource, Object};

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Dotted path, such as `spec.nodeName`.
    pub field: String,
    /// Value compared with the field's text.
    pub value: String,
    /// False for `!=`.
    pub equal: bool,
}

/// Conditions on fields that all must hold: `spec.nodeName=edge-1,status.phase!=Failed`. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// Fields that can be selected on besides `metadata.name` and `metadata.namespace`, as Kubernetes 1.36 has them.
const FIELDS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    ("", "events", EVENT_FIELDS),
    ("events.k8s.io", "events", EVENT_FIELDS),
    ("", "secrets", &["type"]),
    ("", "nodes", &["spec.unschedulable"]),
    ("", "namespaces", &["status.phase"]),
    ("", "services", &["spec.clusterIP", "spec.type"]),
    ("", "replicationcontrollers", &["status.replicas"]),
    ("apps", "replicasets", &["status.replicas"]),
    ("batch", "jobs", &["status.successful"]),
    ("certificates.k8s.io", "certificatesigningrequests", &["spec.signerName"]),
];

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

impl FieldSelector {
    /// Parses `a=b,c==d,e!=f`; `\,` `\=` and `\\` in values are the characters themselves.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let clauses = split_escaped(text).into_iter().filter(|clause| !clause.is_empty());
        Ok(Self { requirements: clauses.map(parse_clause).collect::<Result<_, _>>()? })
    }

    /// Refuses fields this resource cannot be selected on, with the text of a 400.
    pub fn check(&self, resource: &GroupResource) -> Result<(), SelectorError> {
        let row = FIELDS.iter().find(|(group, plural, _)| *group == &*resource.group && *plural == &*resource.plural);
        let extra = row.map_or(&[] as &[&str], |(_, _, fields)| fields);
        let known = |field: &str| matches!(field, "metadata.name" | "metadata.namespace") || extra.contains(&field);
        match self.requirements.iter().find(|wanted| !known(&wanted.field)) {
            Some(wanted) => Err(SelectorError(format!("field label not supported: {}", wanted.field))),
            None => Ok(()),
        }
    }

    /// The conditions.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value `field` must have, if a condition says so: lets a list of one name become a get.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|wanted| wanted.equal && wanted.field == field).map(|wanted| &*wanted.value)
    }

    /// Whether an object satisfies all conditions. Missing fields count as empty text, missing booleans as `false`.
    pub fn matches(&self, object: &Object) -> bool {
        self.requirements.iter().all(|wanted| {
            let path: Vec<&str> = wanted.field.split('.').collect();
            let text = match object.get(&path) {
                Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
                None | Some(Value::Null) => Cow::Borrowed(missing(&wanted.field)),
                Some(other) => Cow::Owned(other.to_string()),
            };
            (text == wanted.value.as_str()) == wanted.equal
        })
    }
}

fn missing(field: &str) -> &'static str {
    match field {
        "spec.unschedulable" | "spec.hostNetwork" => "false",
        "status.replicas" | "status.successful" => "0",
        _ => "",
    }
}

fn split_escaped(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        if char == ',' && !escaped {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        escaped = char == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn parse_clause(clause: &str) -> Result<FieldRequirement, SelectorError> {
    let invalid = || SelectorError(format!("invalid selector: '{clause}'; can't understand '{clause}'"));
    let at = clause.find(['=', '!']).ok_or_else(invalid)?;
    let (field, rest) = clause.split_at(at);
    let signs = [("!=", false), ("==", true), ("=", true)];
    let (value, equal) =
        signs.iter().find_map(|(sign, equal)| Some((rest.strip_prefix(sign)?, *equal))).ok_or_else(invalid)?;
    Ok(FieldRequirement { field: field.trim().to_owned(), value: unescape(value).ok_or_else(invalid)?, equal })
}

/// `None` for an escape of anything but a comma, an equals sign or a backslash, and for a bare equals sign.
fn unescape(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.push(chars.next().filter(|next| matches!(next, ',' | '=' | '\\'))?),
            '=' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}
