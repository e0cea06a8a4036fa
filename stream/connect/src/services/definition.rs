//! `NAME.json` of a service (eKuiper 2.4's external services).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refused;
use crate::ConnectError;

#[derive(Debug, Deserialize)]
pub(super) struct Definition {
    /// Who made it, for people.
    #[serde(default)]
    pub(super) about: Value,
    pub(super) interfaces: BTreeMap<String, Interface>,
}

/// How a server is called.
#[derive(Debug, Deserialize)]
pub(super) struct Interface {
    /// For people, in each language.
    #[serde(default)]
    description: Value,
    #[serde(default)]
    pub(super) address: String,
    pub(super) protocol: Protocol,
    #[serde(default, rename = "schemaType")]
    pub(super) schema_type: SchemaType,
    /// Its file below `schemas/`.
    #[serde(default, rename = "schemaFile")]
    pub(super) schema_file: String,
    #[serde(default)]
    pub(super) functions: Vec<Mapping>,
    /// `headers`, `insecureSkipVerify` and the TLS properties.
    #[serde(default)]
    pub(super) options: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    Rest,
    Grpc,
    #[serde(rename = "msgpack-rpc")]
    MsgpackRpc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SchemaType {
    #[default]
    Protobuf,
    Schemaless,
}

/// A function in SQL and what it is called at the server.
#[derive(Debug, Deserialize)]
pub(super) struct Mapping {
    pub(super) name: String,
    #[serde(default, rename = "serviceName")]
    pub(super) service_name: String,
}

impl Definition {
    /// Reads a definition and refuses what cannot be called.
    pub(super) fn read(document: &Value) -> Result<Definition, ConnectError> {
        let read = Definition::deserialize(document);
        let definition = read.map_err(|error| refused(format!("invalid service definition: {error}")))?;
        if definition.interfaces.is_empty() {
            return Err(refused("invalid service definition: interfaces is empty"));
        }
        definition.interfaces.iter().try_for_each(|(name, interface)| interface.check(name))?;
        Ok(definition)
    }
}

impl Interface {
    /// What a client sees; `functions` are the names in SQL. Secrets among the options stay secret.
    pub(super) fn shown(&self, functions: Value) -> Value {
        json!({
            "Desc": self.description,
            "Addr": self.address,
            "Protocol": self.protocol,
            "Schema": {"SchemaType": self.schema_type, "SchemaFile": self.schema_file},
            "Functions": functions,
            "Options": if self.options.is_empty() { Value::Null } else { self.options.clone().into() },
        })
    }

    fn check(&self, name: &str) -> Result<(), ConnectError> {
        let bad = |reason: &str| Err(refused(format!("invalid interface {name}: {reason}")));
        match (self.protocol, self.schema_type) {
            (Protocol::Grpc | Protocol::MsgpackRpc, SchemaType::Schemaless) => {
                bad("schemaless is only for the protocol rest")
            }
            (_, SchemaType::Protobuf) if self.schema_file.is_empty() => bad("schemaFile is missing"),
            (_, SchemaType::Schemaless) if self.functions.is_empty() => bad("functions is missing"),
            _ if self.address.is_empty() => bad("address is missing"),
            _ => Ok(()),
        }
    }
}
