use std::sync::Arc;

use indexmap::IndexMap;
use regex::Regex;
use serde_json::Value;

/// One place in a document.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// Null means absent: in built-in types and object metadata.
    pub(crate) drops_null: bool,
    /// Unknown fields stay.
    pub(crate) open: bool,
    /// A whole object with `apiVersion`, `kind` and `metadata`.
    pub(crate) embedded: bool,
    pub(crate) properties: IndexMap<Box<str>, Arc<Node>>,
    /// The values of a map with free keys.
    pub(crate) additional: Option<Arc<Node>>,
    pub(crate) items: Option<Arc<Node>>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) default: Option<Value>,
    /// Rarely used limits, apart to keep the usual node small.
    pub(crate) rules: Option<Box<Rules>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
    Quantity,
    Time,
}

/// What `type` cannot say.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) choices: Vec<Value>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) format: Option<Box<str>>,
    pub(crate) minimum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) list: List,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// `x-kubernetes-list-type`: which elements count as equal.
#[derive(Debug, Default)]
pub(crate) enum List {
    #[default]
    Atomic,
    Set,
    /// Maps, equal if these fields are.
    Map(Vec<Box<str>>),
}

impl Node {
    /// The root of a kind about which nothing is known but that it is an object.
    pub(crate) fn open_root() -> Self {
        let mut root = Self { kind: Kind::Object, open: true, ..Self::default() };
        root.embed();
        root
    }

    /// Makes this the node of a whole object. A CRD may say more about metadata (usually of `name`), never less.
    pub(crate) fn embed(&mut self) {
        self.embedded = true;
        let text = || Arc::new(Self { kind: Kind::String, ..Self::default() });
        self.properties.entry("apiVersion".into()).or_insert_with(text);
        self.properties.entry("kind".into()).or_insert_with(text);
        let known = crate::builtin::metadata();
        let said = self.properties.get("metadata").and_then(|said| said.rules.is_none().then(|| said.clone()));
        let properties = said.iter().flat_map(|said| &said.properties).map(|(name, node)| (name.clone(), node.clone()));
        let metadata = Self {
            kind: Kind::Object,
            drops_null: true,
            properties: known.properties.iter().map(|(k, v)| (k.clone(), v.clone())).chain(properties).collect(),
            required: said.iter().flat_map(|said| said.required.iter().cloned()).collect(),
            ..Self::default()
        };
        self.properties.insert("metadata".into(), Arc::new(metadata));
    }

    /// What is known of a field; `None` for an unknown one.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Self>> {
        self.properties.get(name).or(self.additional.as_ref())
    }

    /// Whether fields nobody named stay: in open maps, and where the schema says nothing about fields at all.
    pub(crate) fn keeps_unknown(&self) -> bool {
        self.open || self.kind == Kind::Any
    }
}

/// A path such as `spec.list[0].name`, grown and cut while walking.
#[derive(Default)]
pub(crate) struct Path(String);

impl Path {
    /// Goes one field down. Returns what [`Path::cut`] needs to come back.
    pub(crate) fn push_field(&mut self, name: &str) -> usize {
        let length = self.0.len();
        if length > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        length
    }

    /// Goes into one element of the list here. Returns what [`Path::cut`] needs to come back.
    pub(crate) fn push_index(&mut self, at: usize) -> usize {
        let length = self.0.len();
        self.0.push_str(&format!("[{at}]"));
        length
    }

    pub(crate) fn cut(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
