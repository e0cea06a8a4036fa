//! Streams and tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_connect::{FormatRequest, Hosts, LookupRequest, Props, SourceRequest, decoder, registry};
use edgeward_engine::{ColumnType, Field, LookupOptions, LookupSource, Source, StreamDef};
use edgeward_sql::ast::{CreateStream, Statement, StreamKind, StreamOptions, TableKind};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::conf::{Confs, Scope};
use crate::definition::check_name;
use crate::error::{Code, Result, RulesError};
use crate::secrets;
use crate::store::{Kind, Store};

/// The streams and tables. Changes are made one at a time by whoever holds the registry's change lock.
pub(crate) struct Catalog {
    sources: RwLock<BTreeMap<String, CreateStream>>,
    store: Store,
    hosts: Hosts,
    confs: Arc<Confs>,
}

impl Catalog {
    pub(crate) fn open(store: Store, hosts: Hosts, confs: Arc<Confs>) -> Result<Catalog> {
        let mut sources = BTreeMap::new();
        for (name, sql) in store.load(Kind::Source)? {
            match edgeward_sql::parse(&sql) {
                Ok(Statement::Create(create)) => drop(sources.insert(name, *create)),
                other => tracing::error!(
                    name,
                    ?other,
                    "a stored stream cannot be read and is left out; drop and create it again"
                ),
            }
        }
        Ok(Catalog { sources: RwLock::new(sources), store, hosts, confs })
    }

    /// The same definitions, some replaced, for a rule on trial; nothing of it is kept.
    pub(crate) fn stand_in(&self, replaced: impl Fn(&CreateStream) -> Option<CreateStream>) -> Catalog {
        let mut sources = self.sources.read().clone();
        for create in sources.values_mut() {
            if let Some(other) = replaced(create) {
                *create = other;
            }
        }
        let (store, hosts, confs) = (self.store.clone(), self.hosts.clone(), self.confs.clone());
        Catalog { sources: RwLock::new(sources), store, hosts, confs }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sources.read().len()
    }

    /// Names of the streams or of the tables, of one kind if given.
    pub(crate) fn names(&self, kind: StreamKind, table: Option<TableKind>) -> Vec<String> {
        self.select(kind, table).map(|create| create.name)
    }

    /// `[{name,type,format}]`.
    pub(crate) fn details(&self, kind: StreamKind, table: Option<TableKind>) -> Value {
        let detail = |create: CreateStream| {
            let format = create.options.format.as_deref().unwrap_or("json").to_ascii_lowercase();
            json!({"name": create.name, "type": source_type(&create), "format": format})
        };
        Value::Array(self.select(kind, table).map(detail))
    }

    fn select(&self, kind: StreamKind, table: Option<TableKind>) -> Selected {
        let of_kind = |create: &&CreateStream| {
            let as_asked = table.is_none_or(|table| create.options.kind.unwrap_or(TableKind::Scan) == table);
            create.kind == kind && as_asked
        };
        Selected(self.sources.read().values().filter(of_kind).cloned().collect())
    }

    /// A definition by its name.
    pub(crate) fn get(&self, kind: StreamKind, name: &str) -> Result<CreateStream> {
        let found = self.sources.read().get(name).filter(|create| create.kind == kind).cloned();
        found.ok_or_else(|| RulesError::not_found(kind.not_found(name)))
    }

    /// What the planner asks for.
    pub(crate) fn stream(&self, name: &str) -> Option<CreateStream> {
        self.sources.read().get(name).cloned()
    }

    /// Creates a stream or table. `SHARED`, formats and properties are checked first.
    pub(crate) async fn create(&self, create: CreateStream) -> Result<()> {
        self.check(&create, "Create")?;
        if self.sources.read().contains_key(&create.name) {
            return Err(RulesError::refused(Code::Stream, create.exists()));
        }
        self.put(create).await
    }

    /// Replaces a stream or table by a newer version of it; one that is not there is created.
    pub(crate) async fn replace(&self, mut create: CreateStream) -> Result<()> {
        let old = self.stream(&create.name);
        if let Some((new, old)) =
            create.options.extra.as_mut().zip(old.as_ref().and_then(|old| old.options.extra.as_ref()))
        {
            *new = secrets::restored_text(new, old);
        }
        self.check(&create, "Replace")?;
        let refuse = |message| RulesError::refused(Code::Stream, message);
        match &old {
            Some(old) if old.kind != create.kind => return Err(refuse(create.exists())),
            Some(old) => create.may_replace(old).map_err(refuse)?,
            None => {}
        }
        self.put(create).await
    }

    async fn put(&self, create: CreateStream) -> Result<()> {
        if !create.options.temp {
            self.store.put(Kind::Source, &create.name, &create.to_string()).await?;
        } else if self.sources.read().get(&create.name).is_some_and(|old| !old.options.temp) {
            self.store.delete(Kind::Source, &create.name).await?;
        }
        self.sources.write().insert(create.name.clone(), create);
        Ok(())
    }

    pub(crate) async fn drop(&self, kind: StreamKind, name: &str) -> Result<()> {
        self.get(kind, name)?;
        self.store.delete(Kind::Source, name).await?;
        self.sources.write().remove(name);
        Ok(())
    }

    /// What a definition is refused for. Whether its source and format can be made is seen when a rule uses them, as in
    /// eKuiper: configuration keys, schemas and plugins may come later. `action` is what the sentences say fails.
    fn check(&self, create: &CreateStream, action: &str) -> Result<()> {
        check_name(create.kind.word(), &create.name)?;
        if is_lookup(create) && source_type(create) == "memory" && create.options.key.is_none() {
            let message = create.kind.fails(action, "'KEY' is required for memory lookup table");
            return Err(RulesError::refused(Code::Stream, message));
        }
        Ok(())
    }

    /// Makes the source of a stream.
    pub(crate) fn source(&self, create: &CreateStream, acknowledge: bool) -> Result<Box<dyn Source>> {
        let datasource = create.options.datasource.clone().unwrap_or_default();
        let request =
            SourceRequest { stream: create.name.clone(), datasource, props: self.props(create)?, acknowledge };
        Ok(registry::source(source_type(create), &request, &self.hosts)?)
    }

    /// Makes what a lookup table asks, with the `lookup` block of its configuration.
    pub(crate) fn lookup(&self, create: &CreateStream) -> Result<(Box<dyn LookupSource>, LookupOptions)> {
        let props = self.props(create)?;
        let options = LookupOptions::from_json(props.get("lookup").unwrap_or(&Value::Null))?;
        let datasource = create.options.datasource.clone().unwrap_or_default();
        let (table, key) = (create.name.clone(), create.options.key.clone());
        let request = LookupRequest { table, datasource, key, props };
        Ok((registry::lookup(source_type(create), &request, &self.hosts)?, options))
    }

    /// A configuration section overlaid with EXTRA.
    fn props(&self, create: &CreateStream) -> Result<Props> {
        let mut props = self.confs.source(source_type(create), create.options.conf_key.as_deref())?;
        if let Some(extra) = &create.options.extra {
            let extra: serde_json::Result<Map<String, Value>> = serde_json::from_str(extra);
            let bad = |error| RulesError::refused(Code::Stream, format!("option EXTRA is no JSON object: {error}"));
            props = props.overlaid(extra.map_err(bad)?);
        }
        self.confs.resolved(Scope::Sources, source_type(create), &props)
    }

    /// Makes the decoder of a stream; none for JSON.
    pub(crate) fn format(&self, create: &CreateStream) -> Result<Option<Box<dyn edgeward_engine::Decode>>> {
        let (options, props) = (&create.options, self.props(create)?);
        let request = FormatRequest {
            format: options.format.as_deref().unwrap_or_default(),
            schema_id: options.schema_id.as_deref(),
            delimiter: options.delimiter.as_deref(),
            fields: &create.fields,
            props: Some(&props),
        };
        Ok(decoder(&request, &self.hosts.schemas)?)
    }

    /// What the engine decodes by.
    pub(crate) fn engine_definition(create: &CreateStream) -> StreamDef {
        StreamDef::new(create)
    }
}

/// Definitions picked from the catalogue.
struct Selected(Vec<CreateStream>);

impl Selected {
    fn map<T>(self, turn: impl FnMut(CreateStream) -> T) -> Vec<T> {
        self.0.into_iter().map(turn).collect()
    }
}

/// Whether it is a table that is asked by key.
pub(crate) fn is_lookup(create: &CreateStream) -> bool {
    create.kind == StreamKind::Table && create.options.kind == Some(TableKind::Lookup)
}

/// TYPE, with eKuiper's defaults.
fn source_type(create: &CreateStream) -> &str {
    let default = if create.kind == StreamKind::Stream { "mqtt" } else { "file" };
    create.options.source_type.as_deref().unwrap_or(default)
}

/// A definition as GET shows it: `{Name,StreamFields,Options,Statement}`.
pub(crate) fn described(create: &CreateStream) -> Value {
    let fields: Vec<Value> = create.fields.iter().map(field).collect();
    json!({"Name": create.name, "StreamFields": fields, "Options": options(&create.options), "Statement": null})
}

/// Columns as `/streams/{name}/schema` shows them: `{column: {type, items | properties}}`.
pub(crate) fn schema(fields: &[Field]) -> Value {
    fields.iter().map(|field| (field.name.clone(), schema_type(&field.data_type))).collect::<Map<_, _>>().into()
}

pub(crate) fn schema_type(data_type: &ColumnType) -> Value {
    match data_type {
        ColumnType::Array(item) => json!({"type": "array", "items": schema_type(item)}),
        ColumnType::Struct(fields) => json!({"type": "struct", "properties": schema(fields)}),
        simple => json!({"type": simple.to_string().to_ascii_lowercase()}),
    }
}

fn field(field: &Field) -> Value {
    json!({"FieldType": column_type(&field.data_type), "Name": field.name})
}

fn column_type(data_type: &ColumnType) -> Value {
    match data_type {
        ColumnType::Array(item) => json!({"Type": "array", "ElementType": column_type(item)}),
        ColumnType::Struct(fields) => {
            let fields: Vec<Value> = fields.iter().map(field).collect();
            json!({"Type": "struct", "Fields": fields})
        }
        simple => simple.to_string().to_ascii_lowercase().into(),
    }
}

fn options(options: &StreamOptions) -> Value {
    let flag = |set: bool| set.then(|| Value::Bool(true));
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let kind = options.kind.map(|kind| if kind == TableKind::Scan { "scan".into() } else { "lookup".into() });
    let all = [
        ("datasource", text(&options.datasource)),
        ("key", text(&options.key)),
        ("format", text(&options.format)),
        ("confKey", text(&options.conf_key)),
        ("type", text(&options.source_type)),
        ("strictValidation", flag(options.strict_validation)),
        ("timestamp", text(&options.timestamp)),
        ("timestampFormat", text(&options.timestamp_format)),
        ("retainSize", options.retain_size.map(Value::from)),
        ("shared", flag(options.shared)),
        ("schemaid", text(&options.schema_id)),
        ("extra", options.extra.as_deref().map(|extra| secrets::masked_text(extra).into())),
        ("delimiter", text(&options.delimiter)),
        ("kind", kind),
        ("temp", flag(options.temp)),
        ("version", text(&options.version)),
    ];
    all.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), value))).collect::<Map<_, _>>().into()
}
