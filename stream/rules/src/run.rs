//! One run of a rule, from start to stop.

use std::sync::Arc;
use std::time::Duration;

use edgeward_connect::{Hosts, Services, SinkRequest, registry};
use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{EngineError, Map, Plan, RuleHandle, RuleStatus, RuleTask, SinkInput};
use edgeward_functions::UserFunctions;
use edgeward_service::Tasks;
use edgeward_sql::ast::{CreateStream, StreamKind};

use crate::catalog::{Catalog, is_lookup};
use crate::conf::{Confs, Scope};
use crate::definition::Definition;
use crate::error::{Code, Result, RulesError};
use crate::shared::{Running, SharedStreams, is_shared};
use crate::store::Store;
use crate::trace::Traces;
use crate::users::Functions;

/// How long sinks may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// What every run needs.
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) confs: Arc<Confs>,
    pub(crate) shared: SharedStreams,
    pub(crate) traces: Traces,
    pub(crate) hosts: Hosts,
    pub(crate) plugins: Option<edgeward_plugins::Manager>,
    pub(crate) services: Arc<Services>,
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
}

/// A rule that was checked: everything that can be refused has been.
pub(crate) struct Checked {
    plan: Plan,
    inputs: Vec<CreateStream>,
}

impl Checked {
    /// Names of the streams, in the order of the statement.
    pub(crate) fn sources(&self) -> Vec<String> {
        self.inputs.iter().map(|create| create.name.clone()).collect()
    }
}

/// A rule that runs.
pub(crate) struct Run {
    pub(crate) handle: RuleHandle,
    streams: Vec<Arc<Running>>,
    /// Whether the source is this rule's own.
    owned: Vec<bool>,
    pub(crate) tasks: Tasks,
    /// The rule's id, if checkpoints are kept of it.
    pub(crate) saves: Option<String>,
    /// One is taken when the rule is stopped.
    saves_at_end: bool,
}

impl World {
    /// Deletes what the caches of a deleted rule's sinks have kept.
    pub(crate) async fn forget_caches(&self, id: &str) {
        let (hosts, rule) = (self.hosts.clone(), id.to_owned());
        let deleted = tokio::task::spawn_blocking(move || registry::forget_cache(&rule, &hosts)).await;
        if let Ok(Err(error)) = deleted {
            tracing::warn!(rule = id, %error, "what the sinks of a deleted rule have kept cannot be deleted");
        }
    }

    /// Plans a rule and makes its sinks once, to see whether it can be started.
    pub(crate) fn check(&self, definition: &Definition) -> Result<Checked> {
        let checked = self.plan(definition)?;
        self.sinks(definition, &Tasks::root("check"))?;
        Ok(checked)
    }

    fn plan(&self, definition: &Definition) -> Result<Checked> {
        let sql = &definition.sql;
        let select = edgeward_sql::parse_select(sql)
            .map_err(|error| RulesError::refused(Code::Parser, format!("Parse SQL {sql} error: {error}.")))?;
        let created = |name: &str| {
            let own = || definition.sources.iter().find(|create| create.name == name).cloned();
            self.catalog.stream(name).or_else(own)
        };
        let found = |name: &str| created(name).map(|create| Catalog::engine_definition(&create));
        let plugins = self.plugins.as_ref().map(|plugins| plugins.functions());
        let users: Option<Arc<dyn UserFunctions>> =
            Some(Arc::new(Functions { plugins, services: self.services.clone() }));
        let plan = Plan::with_functions(&select, &definition.options, &found, users)?;
        let inputs: Option<Vec<_>> = plan.inputs().map(|input| created(&input.name)).collect();
        let inputs = inputs.ok_or_else(|| EngineError::UnknownStream(select.from.name.clone()))?;
        if let Some(passing) = inputs.iter().find(|create| create.options.temp && !definition.temp) {
            let message =
                format!("temp stream {} cannot be used by rule {}, which is not temp", passing.name, definition.id);
            return Err(RulesError::refused(Code::Planner, message));
        }
        Ok(Checked { plan, inputs })
    }

    /// The steps of a rule's plan.
    pub(crate) fn explain(&self, definition: &Definition) -> Result<String> {
        Ok(self.check(definition)?.plan.explain()?)
    }

    /// As [`World::check`], and makes the sources once too: whatever refuses a new rule is known before it is kept.
    pub(crate) fn check_all(&self, definition: &Definition) -> Result<Checked> {
        let checked = self.check(definition)?;
        for create in &checked.inputs {
            if is_lookup(create) {
                self.catalog.lookup(create)?;
            } else {
                self.catalog.source(create, false)?;
                self.catalog.format(create)?;
            }
        }
        Ok(checked)
    }

    fn sinks(&self, definition: &Definition, tasks: &Tasks) -> Result<Vec<SinkInput>> {
        let make = |(kind, props): &(String, edgeward_connect::Props)| -> Result<SinkInput> {
            let props = self.confs.resolved(Scope::Sinks, kind, props)?;
            let request = SinkRequest { rule: definition.id.clone(), props, tasks: tasks.clone() };
            Ok(registry::sink(kind, &request, &self.hosts)?)
        };
        definition.actions.iter().map(make).collect()
    }

    /// Starts a rule, from its saved state if its `qos` asks for that.
    pub(crate) fn start(&self, definition: &Definition) -> Result<Run> {
        let Checked { plan, inputs } = self.plan(definition)?;
        let tasks = self.tasks.child(format!("rule {}", definition.id));
        let acknowledge = definition.options.qos > 0;
        let open = |create: &CreateStream| {
            let node = if is_shared(create) { &self.tasks } else { &tasks };
            self.shared.open(&self.catalog, create, acknowledge, node)
        };
        let streams: Vec<Arc<Running>> = inputs.iter().map(open).collect::<Result<_>>()?;
        let saved = if acknowledge { self.store.states(&definition.id)? } else { Vec::new() };
        let start = |saved: Option<&[u8]>| -> Result<RuleHandle> {
            let engine_streams = streams.iter().map(|running| running.stream.clone()).collect();
            Ok(RuleTask::start(
                &definition.id,
                &plan,
                engine_streams,
                self.traces.watch_all(&definition.id, self.sinks(definition, &tasks)?),
                saved,
                &tasks,
            )?)
        };
        let restored = saved.iter().find_map(|state| match start(Some(state)) {
            Ok(handle) => Some(handle),
            Err(error) => {
                tracing::warn!(rule = definition.id, %error, "a saved state of the rule cannot be used; it starts with an older one or none");
                None
            }
        });
        let handle = restored.map_or_else(|| start(None), Ok)?;
        // Tables begin first: what they hold is there for the streams' first rows.
        let (tables, rest): (Vec<_>, Vec<_>) =
            streams.iter().zip(&inputs).partition(|(_, create)| create.kind == StreamKind::Table);
        tables.iter().chain(&rest).for_each(|(running, _)| running.start());
        let owned = inputs.iter().map(|create| !is_shared(create)).collect();
        let (saves, saves_at_end) = (acknowledge.then(|| definition.id.clone()), definition.options.save_before_stop);
        Ok(Run { handle, streams, owned, tasks, saves, saves_at_end })
    }
}

impl Run {
    /// Why the rule ended with this status; none for a finished input.
    pub(crate) fn failure(&self, status: RuleStatus) -> Option<String> {
        let failure = self.streams.iter().find_map(|running| running.failure());
        if status == RuleStatus::Done { failure } else { None }
    }

    /// Moves the source of a stream to where `input` says.
    pub(crate) fn reset(&self, stream: &str, input: &serde_json::Value) -> Result<()> {
        let refused = |text: String| RulesError::refused(Code::Rule, text);
        let running = self.streams.iter().find(|running| running.stream.definition().name == stream);
        let running = running.ok_or_else(|| refused(format!("stream {stream} not found in topo")))?;
        let reset = running.reset.as_ref();
        let reset = reset.ok_or_else(|| refused(format!("source of stream {stream} not support reset offset")))?;
        let input = parse(input.to_string().as_bytes(), Numbers::WholeAsInt);
        let input = input.map_err(|error| refused(error.to_string()))?;
        reset(input.as_map().map_or(&Map::new(), |map| map)).map_err(refused)
    }

    /// Stops the sources and takes a last checkpoint, if the rule asks for that; none if the sinks do not get done with what
    /// was sent before.
    pub(crate) async fn last_checkpoint(&self) -> Option<Vec<u8>> {
        if !self.saves_at_end {
            return None;
        }
        self.stop_sources();
        tokio::time::timeout(GRACE, self.handle.checkpoint()).await.ok()?
    }

    /// Stops sources, rule and sinks, in this order, so that nothing is acknowledged that was only on its way.
    pub(crate) async fn stop(&self) {
        self.stop_sources();
        self.handle.stop().await;
        self.tasks.shutdown(GRACE).await;
    }

    fn stop_sources(&self) {
        let owned = self.streams.iter().zip(&self.owned).filter(|(_, owned)| **owned);
        owned.for_each(|(running, _)| running.stop());
    }
}
