use serde_json::Value;

use super::{Requirement, SelectorError};

/// Terms of which one must hold: required node affinity, `nodeSelector` of a Device v1alpha2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelector {
    terms: Vec<NodeSelectorTerm>,
}

/// Conditions on labels and fields of a node that all must hold. An empty term holds for no node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelectorTerm {
    expressions: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl NodeSelector {
    /// Reads `{nodeSelectorTerms: [...]}`.
    pub fn from_value(value: &Value) -> Result<Self, SelectorError> {
        let terms = value.get("nodeSelectorTerms").and_then(Value::as_array).into_iter().flatten();
        Ok(Self { terms: terms.map(NodeSelectorTerm::from_value).collect::<Result<_, _>>()? })
    }

    /// Whether a node satisfies one of the terms.
    pub fn matches<'a>(&self, name: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().any(|term| term.matches(name, &label))
    }
}

impl NodeSelectorTerm {
    /// Reads `{matchExpressions: [...], matchFields: [...]}`.
    pub fn from_value(value: &Value) -> Result<Self, SelectorError> {
        let list = |key: &str| {
            let items = value.get(key).and_then(Value::as_array).into_iter().flatten();
            items.map(Requirement::from_value).collect::<Result<Vec<_>, _>>()
        };
        let (expressions, fields) = (list("matchExpressions")?, list("matchFields")?);
        match fields.iter().find(|field| field.key != "metadata.name") {
            Some(field) => Err(SelectorError(format!("{:?} is not a valid field selector key", field.key))),
            None => Ok(Self { expressions, fields }),
        }
    }

    /// Whether a node satisfies all conditions. The only field is its name.
    pub fn matches<'a>(&self, name: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let any = !self.expressions.is_empty() || !self.fields.is_empty();
        any && self.expressions.iter().all(|wanted| wanted.matches(label(&wanted.key)))
            && self.fields.iter().all(|wanted| wanted.matches(Some(name)))
    }
}
