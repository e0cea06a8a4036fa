use serde_json::{Map, Value, json};

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnerReference {
    /// `apps/v1`.
    pub api_version: String,
    /// `ReplicaSet`.
    pub kind: String,
    /// Name of the owner, in the same namespace or cluster-scoped.
    pub name: String,
    /// Uid of the owner; a recreated owner has another one.
    pub uid: String,
    /// True for the one owner that manages the object.
    pub controller: bool,
    /// With foreground deletion: the owner waits for this dependent.
    pub block_owner_deletion: bool,
}

impl OwnerReference {
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        Some(Self {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            uid: text("uid"),
            controller: flag("controller"),
            block_owner_deletion: flag("blockOwnerDeletion"),
        })
    }

    /// The JSON form; flags that are false are left out, as Kubernetes does.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("apiVersion".into(), json!(self.api_version));
        map.insert("kind".into(), json!(self.kind));
        map.insert("name".into(), json!(self.name));
        map.insert("uid".into(), json!(self.uid));
        if self.controller {
            map.insert("controller".into(), Value::Bool(true));
        }
        if self.block_owner_deletion {
            map.insert("blockOwnerDeletion".into(), Value::Bool(true));
        }
        Value::Object(map)
    }
}
