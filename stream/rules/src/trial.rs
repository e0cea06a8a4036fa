//! Trial runs (`/ruletest`): a rule that is not kept, over rows from the request instead of its sources, with its results at
//! `/test/ID` of the shared server, as events and over WebSocket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_connect::{Hosts, Props, SinkRequest, registry};
use edgeward_engine::SinkInput;
use edgeward_service::{Tasks, clock};
use edgeward_sql::ast::CreateStream;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Handle;
use crate::definition::Definition;
use crate::error::{Code, Result, RulesError};
use crate::run::{Run, World};
use crate::shared::SharedStreams;
use crate::trace::Traces;

/// How long a trial lasts, as in eKuiper.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// Most trials at a time.
const MAX_TRIALS: usize = 100;

/// The trials by id.
pub(crate) type Trials = Arc<Mutex<BTreeMap<String, Arc<Trial>>>>;

/// `POST /ruletest`.
#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(default)]
    id: String,
    #[serde(default)]
    sql: String,
    #[serde(default, rename = "mockSource")]
    mocks: BTreeMap<String, Mock>,
    #[serde(default, rename = "sinkProps")]
    sink: Map<String, Value>,
    #[serde(default)]
    options: Map<String, Value>,
}

/// What stands in for the source of a stream.
#[derive(Deserialize)]
struct Mock {
    data: Vec<Map<String, Value>>,
    /// Between two rows: ms, or Go's text.
    #[serde(default)]
    interval: Value,
    #[serde(default, rename = "loop")]
    looped: bool,
}

impl Mock {
    /// The stream over these rows: its columns stay, whatever says where it reads from goes.
    fn stream(&self, create: &CreateStream) -> CreateStream {
        let mut create = create.clone();
        let options = &mut create.options;
        let interval = if self.interval.is_null() { json!(1) } else { self.interval.clone() };
        options.extra = Some(json!({"data": self.data, "interval": interval, "loop": self.looped}).to_string());
        options.source_type = Some("simulator".into());
        options.datasource = Some(String::new());
        options.shared = false;
        (options.format, options.conf_key, options.schema_id, options.delimiter) = (None, None, None, None);
        create
    }
}

/// One trial.
pub(crate) struct Trial {
    definition: Definition,
    world: World,
    /// Holds the path from before the first row until the trial is removed: clients may come early and stay late.
    /// In a mutex only because sinks are not `Sync`.
    _path: Mutex<Vec<SinkInput>>,
    run: Mutex<Option<Arc<Run>>>,
    tasks: Tasks,
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Handle {
    /// Prepares a trial, replacing one of the same id; answers its id and the port of its results.
    pub(crate) async fn create_trial(&self, request: Request) -> Result<(String, u16)> {
        let world = &self.registry.world;
        let bound = world.hosts.http.start().await;
        let port =
            bound.map_err(|error| RulesError::refused(Code::Io, format!("cannot serve results: {error}")))?.port();
        let id = if request.id.is_empty() { format!("trial_{}", clock::now_ms()) } else { request.id.clone() };
        let definition = Definition::new(document(&id, &request), None, &self.registry.defaults())?;
        let tasks = world.tasks.child(format!("trial {id}"));
        let mocked = world.catalog.stand_in(|create| request.mocks.get(&create.name).map(|mock| mock.stream(create)));
        let world = World {
            catalog: mocked,
            confs: world.confs.clone(),
            shared: SharedStreams::default(),
            traces: Traces::start(1, None, &tasks),
            hosts: world.hosts.clone(),
            plugins: world.plugins.clone(),
            services: world.services.clone(),
            store: world.store.clone(),
            tasks: tasks.clone(),
        };
        world.check_all(&definition)?;
        let path = places(&definition, &world.hosts, &tasks)?;
        self.remove_trial(&id).await;
        let trial =
            Arc::new(Trial { definition, world, _path: Mutex::new(path), run: Mutex::default(), tasks: tasks.clone() });
        {
            let mut trials = self.trials.lock();
            if trials.len() >= MAX_TRIALS {
                return Err(RulesError::refused(Code::Rule, format!("{MAX_TRIALS} trial rules exist; delete some")));
            }
            trials.insert(id.clone(), trial);
        }
        let (trials, name, node) = (self.trials.clone(), id.clone(), tasks.clone());
        tasks.spawn_until_cancelled("trial-end", async move {
            tokio::time::sleep(LIFE).await;
            trials.lock().remove(&name);
            node.token().cancel();
        });
        Ok((id, port))
    }

    /// Lets the rows flow.
    pub(crate) async fn start_trial(&self, id: &str) -> Result<()> {
        let trial = self.trials.lock().get(id).cloned();
        let trial = trial.ok_or_else(|| RulesError::not_found(format!("test rule {id} not found")))?;
        let before = trial.run.lock().take();
        if let Some(run) = before {
            run.stop().await;
        }
        let run = Arc::new(trial.world.start(&trial.definition)?);
        *trial.run.lock() = Some(run);
        Ok(())
    }

    /// Ends a trial, if there is one.
    pub(crate) async fn remove_trial(&self, id: &str) {
        let Some(trial) = self.trials.lock().remove(id) else { return };
        let run = trial.run.lock().take();
        if let Some(run) = run {
            run.stop().await;
        }
    }
}

/// The rule as a document: the results go to both kinds of clients, errors included.
fn document(id: &str, request: &Request) -> Map<String, Value> {
    let to = |key: &str| {
        let mut props = request.sink.clone();
        props.insert(key.into(), format!("/test/{id}").into());
        Value::Object(props)
    };
    let mut options = request.options.clone();
    options.extend([("sendError".to_owned(), true.into()), ("qos".to_owned(), 0.into())]);
    let actions = json!([{"sse": to("endpoint")}, {"websocket": to("path")}]);
    let document = [("id", json!(id)), ("sql", json!(request.sql)), ("actions", actions), ("options", options.into())];
    document.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn places(definition: &Definition, hosts: &Hosts, tasks: &Tasks) -> Result<Vec<SinkInput>> {
    let place = |(kind, props): &(String, Props)| {
        let request = SinkRequest { rule: definition.id.clone(), props: props.clone(), tasks: tasks.clone() };
        Ok(registry::sink(kind, &request, hosts)?)
    };
    definition.actions.iter().map(place).collect()
}
