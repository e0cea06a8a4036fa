//! Starting the service, and its operations.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use edgeward_connect::{Connections, Schemas, Services};
use edgeward_service::Tasks;
use edgeward_sql::ast::{Statement, StreamKind, TableKind};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use crate::catalog::{Catalog, described};
use crate::conf::Confs;
use crate::definition::Definition;
use crate::error::{Code, Result, RulesError};
use crate::registry::Registry;
use crate::run::World;
use crate::shared::SharedStreams;
use crate::store::Store;
use crate::trace::Traces;
use crate::transfer::{AsyncImports, Imported};
use crate::trial::Trials;
use crate::uploads::Uploads;
use crate::{Hosts, Logs, Options, Tracing, columns, rest, status};

/// The rules service.
#[derive(Debug)]
pub struct Rules;

impl Rules {
    /// Opens the catalogue, starts the rules that ran when the program ended, and serves REST until `parent` is cancelled.
    ///
    /// # Errors
    /// The catalogue's file or the address of REST cannot be used.
    pub async fn start(options: Options, mut hosts: Hosts, parent: &Tasks) -> Result<Handle> {
        let folder = &options.data_dir;
        std::fs::create_dir_all(folder).map_err(|source| RulesError::Folder { path: folder.clone(), source })?;
        let store = Store::open(&folder.join(&options.database))?;
        let tasks = parent.child("rules");
        let plugins = options.plugins.clone();
        if let Some(plugins) = &plugins {
            hosts.users = Some(Arc::new(plugins.clone()));
        }
        hosts.connections = Arc::new(Connections::new(&tasks));
        hosts.schemas = Arc::new(Schemas::open(&folder.join("schemas"))?);
        let services = Arc::new(Services::open(&folder.join("services"), &tasks)?);
        if let Some(etc) = &options.etc_dir {
            services.add_folder(&etc.join("services"));
        }
        hosts.cache_dir = Some(folder.join("sinks"));
        let sinks = options.sink_options.clone();
        let confs = Confs::open(store.clone(), options.etc_dir.as_deref(), sinks, options.plugins.clone())?;
        let confs = Arc::new(confs);
        let catalog = Catalog::open(store.clone(), hosts.clone(), confs.clone())?;
        let told = rest::trace::told(&store)?;
        let traces = Traces::start(options.tracing.capacity, told.unwrap_or(options.tracing.target()), &tasks);
        let registry = Arc::new(Registry {
            world: World {
                catalog,
                confs,
                shared: SharedStreams::default(),
                traces,
                hosts,
                plugins,
                services,
                store,
                tasks: tasks.clone(),
            },
            rules: RwLock::new(BTreeMap::new()),
            changes: tokio::sync::Mutex::default(),
            zone: RwLock::new(options.timezone.clone()),
            rule_options: options.rule_options.clone(),
            max_definitions: options.max_definitions,
            patrol: options.rule_patrol_interval,
        });
        let stop = options.allow_stop.then(|| parent.clone());
        let mut handle = Handle {
            registry,
            address: None,
            stop,
            last_import: Arc::default(),
            imports: AsyncImports::default(),
            trials: Trials::default(),
            uploads: Arc::new(Uploads::new(folder, options.allow_external_files)),
            logs: options.logs.clone(),
            tracing: options.tracing.clone(),
        };
        let tls = options.rest_tls.as_ref().map(rest::tls::config).transpose()?;
        // Listening comes first: a taken port is told before any rule runs.
        let listener = match options.rest {
            Some(address) => Some(rest::listen(address).await?),
            None => None,
        };
        let prometheus = match options.prometheus {
            Some(address) => Some(rest::listen(address).await?),
            None => None,
        };
        handle.registry.world.confs.settle().await?;
        handle.open_connections();
        handle.registry.boot()?;
        handle.import_init(folder, options.etc_dir.as_deref()).await?;
        if let Some((listener, address)) = listener {
            handle.address = Some(address);
            let (max_body_bytes, keys) = (options.max_body_bytes, options.authentication);
            let behaviour = rest::Behaviour { tls, max_body_bytes, keys, audit: options.audit };
            rest::serve(listener, handle.clone(), behaviour, &tasks);
            tracing::info!(%address, "rules' REST started");
        }
        if let Some((listener, _)) = prometheus {
            rest::serve_metrics(listener, handle.clone(), &tasks);
        }
        Ok(handle)
    }
}

/// The operations REST offers. Clones are the same service.
#[derive(Clone)]
pub struct Handle {
    pub(crate) registry: Arc<Registry>,
    address: Option<SocketAddr>,
    /// What `/stop` ends.
    pub(crate) stop: Option<Tasks>,
    pub(crate) last_import: Arc<Mutex<Imported>>,
    pub(crate) imports: AsyncImports,
    pub(crate) trials: Trials,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) logs: Option<Logs>,
    pub(crate) tracing: Tracing,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Handle").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Handle {
    /// Where REST listens, with the real port.
    pub fn rest_address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Runs a statement about streams or tables (CREATE, DROP, DESCRIBE, SHOW, EXPLAIN) and returns eKuiper's answer.
    ///
    /// # Errors
    /// The statement is not one of these, or cannot be done.
    pub async fn execute(&self, sql: &str) -> Result<String> {
        match edgeward_sql::parse(sql)? {
            Statement::Create(create) => {
                let _changes = self.registry.changes.lock().await;
                let answer = create.created();
                if self.registry.world.catalog.len() >= self.registry.max_definitions {
                    return Err(RulesError::refused(Code::Stream, "too many streams; drop some or raise the limit"));
                }
                self.registry.world.catalog.create(*create).await?;
                Ok(answer)
            }
            Statement::Drop(kind, name) => {
                let failed = |error: RulesError| match error.code() {
                    Code::NotFound => RulesError::refused(Code::Stream, kind.fails("Drop", &error.to_string())),
                    _ => error,
                };
                self.drop_stream(kind, &name, false).await.map_err(failed)
            }
            Statement::Describe(kind, name) => Ok(self.registry.world.catalog.get(kind, &name)?.described()),
            Statement::Show(kind) => Ok(match self.stream_names(kind, None) {
                names if names.is_empty() => format!("No {} definitions are found.", kind.word()),
                names => names.join("\n"),
            }),
            Statement::Explain(kind, name) => {
                self.registry.world.catalog.get(kind, &name).map(|_| "TO BE SUPPORTED".into())
            }
            Statement::Select(_) => {
                Err(RulesError::refused(Code::Stream, format!("Invalid stream statement: {}", sql.trim())))
            }
        }
    }

    /// Replaces the definition of a stream or table, or makes one; rules use it from their next start.
    ///
    /// # Errors
    /// No CREATE statement for this name, or not newer.
    pub async fn replace_stream(&self, kind: StreamKind, name: &str, sql: &str) -> Result<String> {
        let _changes = self.registry.changes.lock().await;
        match edgeward_sql::parse(sql)? {
            Statement::Create(create) if create.kind == kind && create.name == name => {
                let answer = create.replaced();
                self.registry.world.catalog.replace(*create).await?;
                self.registry.world.shared.forget(name);
                Ok(answer)
            }
            Statement::Create(create) if create.kind == kind => {
                let message = format!("Replace {name} fails: the sql statement must update the {name} source.");
                Err(RulesError::refused(Code::Stream, message))
            }
            _ => {
                let message = format!("Invalid {} statement: {}", kind.word(), sql.trim());
                Err(RulesError::refused(Code::Stream, message))
            }
        }
    }

    /// Removes a stream or table; refused while rules read it unless `force` is set.
    ///
    /// # Errors
    /// It is not defined, or in use.
    pub async fn drop_stream(&self, kind: StreamKind, name: &str, force: bool) -> Result<String> {
        let _changes = self.registry.changes.lock().await;
        let readers = self.registry.readers(name);
        if !force && let Some(reader) = readers.first() {
            let message = kind.fails("Drop", &format!("{name} is used by rule {reader}"));
            return Err(RulesError::refused(Code::Stream, message));
        }
        self.registry.world.catalog.drop(kind, name).await?;
        self.registry.world.shared.forget(name);
        Ok(kind.dropped(name))
    }

    /// A definition as JSON.
    ///
    /// # Errors
    /// It is not defined.
    pub fn describe(&self, kind: StreamKind, name: &str) -> Result<Value> {
        Ok(described(&self.registry.world.catalog.get(kind, name)?))
    }

    /// Names of the streams or tables.
    pub fn stream_names(&self, kind: StreamKind, table: Option<TableKind>) -> Vec<String> {
        self.registry.world.catalog.names(kind, table)
    }

    /// Creates a rule from its JSON, starts it unless told otherwise, and returns its id.
    ///
    /// # Errors
    /// The rule is wrong, its id is taken, or it cannot be started.
    pub async fn create_rule(&self, json: &str) -> Result<String> {
        self.registry.create(None, json).await
    }

    /// Replaces a rule or creates it; true if it replaced one.
    ///
    /// # Errors
    /// As for [`Handle::create_rule`]; the old rule then goes on.
    pub async fn update_rule(&self, id: &str, json: &str) -> Result<bool> {
        self.registry.update(id, json).await
    }

    /// Stops and removes a rule.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn delete_rule(&self, id: &str) -> Result<()> {
        self.registry.delete(id).await
    }

    /// Starts a rule, now and at every boot.
    ///
    /// # Errors
    /// There is none of this id, or it cannot be started.
    pub async fn start_rule(&self, id: &str) -> Result<()> {
        self.registry.start(id).await
    }

    /// Stops a rule for good.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn stop_rule(&self, id: &str) -> Result<()> {
        self.registry.stop(id).await
    }

    /// State and counters of a rule, as REST shows them.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn rule_status(&self, id: &str) -> Result<Value> {
        Ok(status::of(&*self.registry.get(id)?, &self.registry.zone()))
    }

    /// Names of the streams a rule would read.
    ///
    /// # Errors
    /// The rule is wrong.
    pub fn validate_rule(&self, json: &str) -> Result<Vec<String>> {
        let definition = Definition::parse(json, None, &self.registry.defaults())?;
        Ok(self.registry.world.check_all(&definition)?.sources())
    }

    /// The steps of a rule's plan.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn explain_rule(&self, id: &str) -> Result<String> {
        self.registry.world.explain(&self.registry.definition_of(id)?)
    }

    /// The columns a rule's statement gives, with the types that can be told: `{name: {"type": …}}`.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn rule_schema(&self, id: &str) -> Result<Value> {
        let definition = self.registry.definition_of(id)?;
        Ok(columns::schema(&edgeward_sql::parse_select(&definition.sql)?, &|name| {
            self.registry.world.catalog.stream(name)
        }))
    }

    /// Names of the scan tables a rule reads.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn rule_scan_tables(&self, id: &str) -> Result<Vec<String>> {
        let definition = self.registry.definition_of(id)?;
        let select = edgeward_sql::parse_select(&definition.sql)?;
        let sources = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.source));
        let scan = |name: &String| {
            self.registry.world.catalog.stream(name).is_some_and(|create| {
                create.kind == StreamKind::Table && create.options.kind.unwrap_or(TableKind::Scan) == TableKind::Scan
            })
        };
        Ok(sources.map(|source| source.name.clone()).filter(scan).collect())
    }
}
