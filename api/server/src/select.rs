//! Label and field selectors of lists and watches.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use edgeward_objects::{ApiError, FieldSelector, LabelSelector, Object, Operator, Requirement};
use edgeward_store::Entry;
use serde::Deserialize;

use crate::catalog::Served;
use crate::http::query::Query;

/// What a list or watch lets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A watch on one object.
    name: Option<String>,
    labels: Option<LabelSelector>,
    fields: Option<FieldSelector>,
}

/// What selectors look at, read from stored bytes as far as needed.
#[derive(Debug, Default)]
pub(crate) struct Facets {
    labels: OnceLock<BTreeMap<String, String>>,
    object: OnceLock<Object>,
}

impl Filter {
    /// Reads `labelSelector` and `fieldSelector`; 400 for what cannot be parsed or is not selectable on this resource.
    pub(crate) fn parse(query: &Query, served: &Served) -> Result<Self, ApiError> {
        let labels = query.get("labelSelector").map(LabelSelector::parse).transpose();
        let labels = labels.map_err(|error| ApiError::bad_request(format!("unable to parse requirement: {error}")))?;
        let fields = query.get("fieldSelector").map(FieldSelector::parse).transpose();
        let fields = fields.map_err(|error| ApiError::bad_request(error.to_string()))?;
        if let Some(fields) = &fields {
            fields.check(&served.storage).map_err(|error| ApiError::bad_request(error.to_string()))?;
        }
        Ok(Self {
            name: None,
            labels: labels.filter(|labels| !labels.is_everything()),
            fields: fields.filter(|fields| !fields.is_everything()),
        })
    }

    /// The same, for one object only.
    pub(crate) fn and_name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Whether everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.labels.is_none() && self.fields.is_none()
    }

    /// The one name this filter lets through, if it pins it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.exactly("metadata.name"))
    }

    /// The one value a field must have.
    pub(crate) fn exactly(&self, field: &str) -> Option<&str> {
        self.fields.as_ref()?.exact(field)
    }

    /// Whether an object passes. Names are compared first: most filtered watches are on one object.
    pub(crate) fn passes(&self, entry: &Entry, facets: &Facets) -> bool {
        self.name().is_none_or(|name| *entry.key.name == *name)
            && self.labels.as_ref().is_none_or(|labels| {
                let own = facets.labels(entry);
                labels.matches(|key| own.get(key).map(String::as_str))
            })
            && self.fields.as_ref().is_none_or(|fields| fields.matches(facets.object(entry)))
    }

    /// Whether a stored object passes; reads it only if it must.
    pub(crate) fn lets_through(&self, entry: &Entry) -> bool {
        self.is_empty() || self.passes(entry, &Facets::default())
    }
}

impl Facets {
    /// The labels, read without building the object. An object that cannot be read has none.
    fn labels(&self, entry: &Entry) -> &BTreeMap<String, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Labelled {
            metadata: Metadata,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Metadata {
            labels: Option<BTreeMap<String, String>>,
        }
        self.labels.get_or_init(|| {
            let labelled: Labelled = serde_json::from_slice(&entry.value).unwrap_or_default();
            labelled.metadata.labels.unwrap_or_default()
        })
    }

    fn object(&self, entry: &Entry) -> &Object {
        self.object.get_or_init(|| Object::from_bytes(&entry.value).unwrap_or_default())
    }
}

/// A selector as query text, which is how kubectl prints it and autoscalers read it; keys sorted as upstream does.
pub(crate) fn text(selector: &LabelSelector) -> String {
    let mut requirements: Vec<&Requirement> = selector.requirements().iter().collect();
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    let one = |requirement: &&Requirement| {
        let (key, values) = (&requirement.key, requirement.values.join(","));
        match requirement.operator {
            Operator::In if requirement.values.len() == 1 => format!("{key}={values}"),
            Operator::In => format!("{key} in ({values})"),
            Operator::NotIn if requirement.values.len() == 1 => format!("{key}!={values}"),
            Operator::NotIn => format!("{key} notin ({values})"),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
            Operator::Gt => format!("{key}>{values}"),
            Operator::Lt => format!("{key}<{values}"),
        }
    };
    requirements.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use edgeward_objects::GroupResource;
    use edgeward_store::Key;
    use serde_json::json;

    use super::*;

    #[test]
    fn lets_through_what_is_selected() {
        let key = Key::new(GroupResource::new("", "pods"), Some("ns"), "x");
        let value = json!({
            "metadata": {"name": "x", "namespace": "ns", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running"},
        });
        let entry = Entry { key, value: value.to_string().into(), created: 1, revision: 1 };
        let cases = [
            ("", "", true),
            ("app=web", "", true),
            ("app!=web", "", false),
            ("!tier", "spec.nodeName=n1", true),
            ("", "spec.nodeName=n2", false),
            ("", "spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed", true),
            ("", "metadata.name=x", true),
            ("", "metadata.name=y", false),
            ("", "metadata.namespace!=ns", false),
        ];
        for (labels, fields, expected) in cases {
            let filter = Filter {
                name: None,
                labels: Some(LabelSelector::parse(labels).unwrap()),
                fields: Some(FieldSelector::parse(fields).unwrap()),
            };
            assert_eq!(filter.lets_through(&entry), expected, "{labels} {fields}");
        }
        assert!(!Filter::default().and_name("y").lets_through(&entry));
    }
}
