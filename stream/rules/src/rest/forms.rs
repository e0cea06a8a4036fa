//! `/metadata`: the forms of the manager.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use edgeward_connect::registry::{sink_kinds, source_kinds};
use serde_json::{Map, Value, json};

use super::reply::{Prefixed, Reply, document};
use crate::Handle;
use crate::conf::Scope;
use crate::error::{Result, RulesError};
use crate::metadata::{self, Form, Kind, form, names};

/// Names that exist only to keep old rules working.
const HIDDEN: [&str; 2] = ["logToMemory", "tdengine"];

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/metadata/functions", get(functions))
        .route("/metadata/operators", get(operators))
        .route("/metadata/resources", get(resources))
        .route("/metadata/resource", get(resources))
        .merge(of_kind(Kind::Source, ["/metadata/sources", "/metadata/sources/{n}"]))
        .merge(of_kind(Kind::Sink, ["/metadata/sinks", "/metadata/sinks/{n}"]))
        .merge(of_kind(Kind::Connection, ["/metadata/connections", "/metadata/connections/{n}"]))
}

fn of_kind(kind: Kind, [all, one]: [&'static str; 2]) -> Router<Handle> {
    let list = move |State(handle): State<Handle>| async move {
        let entries = handle.connector_types(kind).into_iter();
        document(entries.map(|(name, origin)| handle.form_of(kind, &name).entry(&name, origin)).collect())
    };
    let show = move |State(handle): State<Handle>, Path(name): Path<String>| async move {
        document(handle.form(kind, &name).or_fail("")?)
    };
    Router::new().route(all, get(list)).route(one, get(show))
}

impl Handle {
    /// Names and origins of all connectors of a kind.
    fn connector_types(&self, kind: Kind) -> Vec<(String, &'static str)> {
        let built_in = |names: &mut dyn Iterator<Item = &'static str>| -> Vec<(String, &'static str)> {
            names.filter(|name| !HIDDEN.contains(name)).map(|name| (name.to_owned(), "internal")).collect()
        };
        let (mut all, member) = match kind {
            Kind::Source => (built_in(&mut source_kinds()), "sources"),
            Kind::Sink => (built_in(&mut sink_kinds()), "sinks"),
            Kind::Connection | Kind::Operator => return built_in(&mut names(kind)),
        };
        let plugins = self.registry.world.plugins.as_ref().map(|plugins| plugins.list_portables()).unwrap_or_default();
        let brought = plugins.as_array().into_iter().flatten().filter_map(|plugin| plugin[member].as_array());
        all.extend(brought.flatten().filter_map(Value::as_str).map(|name| (name.to_owned(), "portable")));
        all
    }

    /// The form of a connector: its author's, if there is a file of it.
    fn form_of(&self, kind: Kind, name: &str) -> Form {
        match self.registry.world.confs.form(kind.folder(), name) {
            Some(file) => Form::of_file(kind, name, &file),
            None => form(kind, name),
        }
    }

    fn form(&self, kind: Kind, name: &str) -> Result<Value> {
        let types = self.connector_types(kind);
        let known = types.iter().find(|(known, _)| known == name);
        let (_, origin) = known.ok_or_else(|| RulesError::not_found(format!("{name} is not found")))?;
        let form = self.form_of(kind, name);
        let keys = |scope| match self.registry.world.confs.of(scope, name) {
            Value::Object(keys) => keys,
            _ => Map::new(),
        };
        let properties = match kind {
            Kind::Source => form.by_key(&keys(Scope::Sources)),
            Kind::Connection => form.by_key(&keys(Scope::Connections)),
            Kind::Sink | Kind::Operator => form.fields(),
        };
        Ok(form.shown(name, origin, properties))
    }
}

async fn functions(State(handle): State<Handle>) -> Reply {
    let world = &handle.registry.world;
    let mut users = world.plugins.as_ref().map(|plugins| plugins.function_names()).unwrap_or_default();
    users.extend(world.services.functions());
    let described = world.plugins.as_ref().map(|plugins| plugins.extras("functions/")).unwrap_or_default();
    document(metadata::functions(&users, described))
}

async fn operators() -> Reply {
    let shown = |name: &'static str| {
        let form = form(Kind::Operator, name);
        let properties = form.fields();
        form.shown(name, "internal", properties)
    };
    document(names(Kind::Operator).map(shown).collect())
}

/// The configuration keys that were set by REST, by the type they belong to: `{"sources": [{KEY: TYPE, …}], "sinks": null}`.
async fn resources(State(handle): State<Handle>) -> Reply {
    let kept = handle.registry.world.confs.kept();
    let of = |wanted: Scope| {
        let mut types: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (_, kind, key) in kept.iter().filter(|(scope, ..)| *scope == wanted) {
            types.entry(kind).or_default().insert(key.clone(), kind.as_str().into());
        }
        // As Go shows a list that was never made.
        if types.is_empty() { Value::Null } else { types.into_values().map(Value::from).collect() }
    };
    document(json!({"sources": of(Scope::Sources), "sinks": of(Scope::Sinks)}))
}
