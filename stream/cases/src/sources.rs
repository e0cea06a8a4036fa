//! The streams and tables of a case. Nothing is connected: any TYPE is accepted and fed by the case.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_connect::{FormatRequest, Hosts, SchemaFile, Schemas};
use edgeward_engine::{Decode, StreamDef};
use edgeward_functions::Map;
use edgeward_functions::json::Numbers;
use edgeward_sql::ast::{CreateStream, Statement, StreamKind};
use jiff::tz::TimeZone;
use serde_json::{Map as Object, Value as Json};

use crate::Case;
use crate::report::Stage;
use crate::run::{Result, Stop};
use crate::statements::check;

/// Definitions by name.
pub(crate) struct Sources {
    by_name: BTreeMap<String, Source>,
    /// What SCHEMAID names.
    schemas: Arc<Schemas>,
}

struct Source {
    create: CreateStream,
    engine: StreamDef,
}

impl Sources {
    /// Executes the definitions of a case in the order written.
    pub(crate) fn define(case: &Case, zone: &TimeZone) -> Result<Sources> {
        let mut sources = Sources { by_name: BTreeMap::new(), schemas: Arc::default() };
        for (file, text) in &case.schemas {
            let text = text.as_str().ok_or_else(|| Stop::Invalid(format!("the schema {file} is no text")))?;
            let name = file.strip_suffix(".proto").unwrap_or(file);
            let made = sources.schemas.create("protobuf", name, SchemaFile::Text(text.to_owned()), "");
            made.map_err(|error| Stop::Invalid(error.to_string()))?;
        }
        for (name, sql) in &case.streams {
            let sql = sql.as_str().ok_or_else(|| Stop::Invalid(format!("the statement of {name} is no text")))?;
            let source = Source::define(name, sql, &case.conf, zone)?;
            sources.by_name.insert(name.clone(), source);
        }
        sources.are_fed(case)?;
        Ok(sources)
    }

    /// The definition the engine plans by.
    pub(crate) fn engine(&self, name: &str) -> Option<StreamDef> {
        self.by_name.get(name).map(|source| source.engine.clone())
    }

    /// Temporary streams are for temporary rules.
    ///
    /// # Errors
    /// The text that refuses the rule.
    pub(crate) fn last_as_long_as<'a>(
        &self,
        rule: &str,
        temp: bool,
        mut inputs: impl Iterator<Item = &'a StreamDef>,
    ) -> std::result::Result<(), String> {
        let passing =
            |input: &&StreamDef| self.by_name.get(&input.name).is_some_and(|source| source.create.options.temp);
        match inputs.find(passing).filter(|_| !temp) {
            Some(input) => Err(format!("temp stream {} cannot be used by rule {rule}, which is not temp", input.name)),
            None => Ok(()),
        }
    }

    /// What sinks find around them: nothing but the schemas.
    pub(crate) fn hosts(&self) -> Hosts {
        Hosts { schemas: self.schemas.clone(), ..Hosts::default() }
    }

    /// The decoder of a stream's FORMAT; none for JSON.
    pub(crate) fn decoder(&self, name: &str) -> Option<Box<dyn Decode>> {
        let create = &self.by_name.get(name)?.create;
        let request = FormatRequest {
            format: create.options.format.as_deref().unwrap_or_default(),
            schema_id: create.options.schema_id.as_deref(),
            delimiter: create.options.delimiter.as_deref(),
            fields: &create.fields,
            props: None,
        };
        match edgeward_connect::decoder(&request, &self.schemas) {
            Ok(decoder) => decoder,
            // Rows need no decoder; only a payload misses it.
            Err(error) => Some(Box::new(Missing(error.to_string()))),
        }
    }

    /// Inputs and contents must be for what is defined.
    fn are_fed(&self, case: &Case) -> Result<()> {
        let invalid = |text| Err(Stop::Invalid(text));
        for name in case.input.iter().filter_map(|input| input.stream.as_ref()) {
            if !self.by_name.contains_key(name) {
                return invalid(format!("an input is for {name}, which streams does not define"));
            }
        }
        for (name, rows) in &case.tables {
            if self.by_name.get(name).is_none_or(|source| source.create.kind != StreamKind::Table) {
                return invalid(format!("tables has contents of {name}, which streams does not define as a table"));
            }
            if !rows.as_array().is_some_and(|rows| rows.iter().all(Json::is_object)) {
                return invalid(format!("the contents of {name} are no list of rows"));
            }
        }
        Ok(())
    }
}

impl Source {
    fn define(name: &str, sql: &str, conf: &Object<String, Json>, zone: &TimeZone) -> Result<Source> {
        let refused = |text: String| Stop::Refused(Stage::Ddl, text);
        let statement = edgeward_sql::parse(sql).map_err(|error| refused(error.to_string()))?;
        let Statement::Create(create) = statement else {
            return Err(Stop::Invalid(format!("the statement of {name} is no CREATE statement")));
        };
        if create.name != name {
            return Err(Stop::Invalid(format!("the statement of {name} defines {}", create.name)));
        }
        check(&create).map_err(refused)?;
        let mut engine = StreamDef::new(&create);
        engine.timezone = zone.clone();
        if properties(&create, conf)?.get("useInt64ForWholeNumber").and_then(Json::as_bool) == Some(true) {
            engine.numbers = Numbers::WholeAsInt;
        }
        Ok(Source { create: *create, engine })
    }
}

/// What a stream's configuration says: the sections of `conf` from the widest to the narrowest (all, its type's `default`, its
/// CONF_KEY, its own name), then EXTRA.
fn properties(create: &CreateStream, conf: &Object<String, Json>) -> Result<Object<String, Json>> {
    let options = &create.options;
    let default = if create.kind == StreamKind::Stream { "mqtt" } else { "file" };
    let kind = options.source_type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or(default);
    let of_kind = conf.get(kind).and_then(Json::as_object);
    let key = options.conf_key.as_deref().filter(|key| !key.is_empty());
    let sections = [
        of_kind.and_then(|of_kind| of_kind.get("default")),
        conf.get("default"),
        key.and_then(|key| of_kind?.get(key)),
        key.and_then(|key| conf.get(key)),
        conf.get(&create.name),
    ];
    let mut all = conf.clone();
    all.extend(of_kind.cloned().unwrap_or_default());
    for section in sections.into_iter().flatten().filter_map(Json::as_object) {
        all.extend(section.clone());
    }
    if let Some(extra) = &options.extra {
        let extra: serde_json::Result<Object<String, Json>> = serde_json::from_str(extra);
        all.extend(
            extra.map_err(|error| Stop::Refused(Stage::Ddl, format!("invalid EXTRA of {}: {error}", create.name)))?,
        );
    }
    Ok(all)
}

/// Stands for a decoder that could not be made.
struct Missing(String);

impl Decode for Missing {
    fn decode(&mut self, _: &Bytes, _: &mut Vec<Arc<Map>>) -> std::result::Result<(), String> {
        Err(self.0.clone())
    }
}
