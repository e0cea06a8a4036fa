//! A stream with one rule `SELECT *` over the source under test, for the connectors' tests.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{
    Emission, Emitter, OutRow, Plan, RuleHandle, RuleOptions, RuleTask, Sink, SinkError, SinkInput, Source,
    SourceContext, Stream, StreamDef, Value,
};
use edgeward_functions::json::Printer;
use edgeward_service::Tasks;
use edgeward_sql::ast::{CreateStream, Statement};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::{
    ConnectError, FormatRequest, Hosts, HttpHost, LookupQuery, LookupSource, Props, SinkRequest, SourceRequest,
    decoder, registry,
};

pub(crate) fn props(value: &serde_json::Value) -> Props {
    Props::new(value.as_object().unwrap().clone())
}

pub(crate) fn request(props_of: &serde_json::Value) -> SinkRequest {
    SinkRequest { rule: "r".into(), props: props(props_of), tasks: Tasks::root("test") }
}

/// A shared server at a port nobody else has.
pub(crate) fn any_port() -> Arc<HttpHost> {
    Arc::new(HttpHost::new(([127, 0, 0, 1], 0).into()))
}

pub(crate) fn emission(rows: &str) -> Emission {
    let rows = parse(rows.as_bytes(), Numbers::Float).unwrap();
    let rows = rows.as_array().unwrap().iter().map(|row| OutRow::Free(row.as_map().unwrap().clone()));
    Emission::of_rows(7, rows.collect())
}

/// A running source.
pub(crate) struct Running {
    pub(crate) tasks: Tasks,
    rows: mpsc::Receiver<String>,
    stream: Arc<Stream>,
    pub(crate) rule: RuleHandle,
    ended: tokio::sync::oneshot::Receiver<Result<(), String>>,
}

/// Hands what it gets to the test.
struct Collect(mpsc::Sender<String>);

impl Sink for Collect {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            for row in &emission.rows {
                let mut text = Vec::new();
                row.write_json(&Printer::default(), &mut text).unwrap();
                self.0.send(String::from_utf8(text).unwrap()).await.unwrap();
            }
            Ok(())
        })
    }
}

/// Starts a source of a stream with these columns and this format.
pub(crate) fn start(
    kind: &str,
    create: &str,
    properties: &serde_json::Value,
    hosts: &Hosts,
) -> Result<Running, ConnectError> {
    start_rule("SELECT * FROM s", (kind, create, properties), &[], hosts)
}

/// Starts a source with a rule over its stream `s` and these lookup tables.
pub(crate) fn start_rule(
    select: &str,
    (kind, create, properties): (&str, &str, &serde_json::Value),
    tables: &[Arc<Stream>],
    hosts: &Hosts,
) -> Result<Running, ConnectError> {
    let parsed = parsed(create);
    let source = source(kind, &parsed, properties, hosts)?;
    run((select, tables), &parsed, &props(properties), source, hosts, None)
}

/// Starts a rule from a checkpoint of another like it.
pub(crate) fn start_saved(
    select: &str,
    (kind, create, properties): (&str, &str, &serde_json::Value),
    saved: Option<&[u8]>,
) -> Result<Running, ConnectError> {
    let (parsed, hosts) = (parsed(create), Hosts::default());
    let source = source(kind, &parsed, properties, &hosts)?;
    run((select, &[]), &parsed, &props(properties), source, &hosts, saved)
}

fn source(
    kind: &str,
    create: &CreateStream,
    properties: &serde_json::Value,
    hosts: &Hosts,
) -> Result<Box<dyn Source>, ConnectError> {
    let request = SourceRequest {
        stream: create.name.clone(),
        datasource: create.options.datasource.clone().unwrap_or_default(),
        props: props(properties),
        acknowledge: true,
    };
    registry::source(kind, &request, hosts)
}

/// Starts a source that was made already.
pub(crate) fn start_source(create: &str, source: Box<dyn Source>) -> Running {
    run(("SELECT * FROM s", &[]), &parsed(create), &Props::default(), source, &Hosts::default(), None).unwrap()
}

fn parsed(create: &str) -> CreateStream {
    let Ok(Statement::Create(create)) = edgeward_sql::parse(create) else { panic!("not a stream: {create}") };
    *create
}

fn run(
    (select, tables): (&str, &[Arc<Stream>]),
    create: &CreateStream,
    props: &Props,
    source: Box<dyn Source>,
    hosts: &Hosts,
    saved: Option<&[u8]>,
) -> Result<Running, ConnectError> {
    let options = RuleOptions { disable_buffer_full_discard: true, send_error: true, qos: 1, ..RuleOptions::default() };
    let Ok(Statement::Select(select)) = edgeward_sql::parse(select) else { panic!("no select: {select}") };
    let definition = StreamDef::new(create);
    let format = FormatRequest {
        format: create.options.format.as_deref().unwrap_or_default(),
        schema_id: create.options.schema_id.as_deref(),
        delimiter: create.options.delimiter.as_deref(),
        fields: &create.fields,
        props: Some(props),
    };
    let decoder = decoder(&format, &hosts.schemas)?;
    let stream = Stream::new(definition.clone(), decoder);
    let table = |name: &str| tables.iter().map(|table| table.definition()).find(|table| *table.name == *name);
    let plan = Plan::new(&select, &options, &|name| Some(table(name).unwrap_or(&definition).clone())).unwrap();
    let tasks = Tasks::root("test");
    let (sender, rows) = mpsc::channel(10_000);
    let sink =
        SinkInput { kind: "test".into(), sink: Box::new(Collect(sender)), buffer_length: 10_000, omit_if_empty: false };
    let streams = [std::slice::from_ref(&stream), tables].concat();
    let rule = RuleTask::start("r", &plan, streams, vec![sink], saved, &tasks).unwrap();
    let running = stream.clone();
    let (done, ended) = tokio::sync::oneshot::channel();
    let context = SourceContext::new(Emitter::new(stream.clone()), tasks.clone());
    tasks.spawn("source", async move {
        let result = source.run(context).await;
        stream.end();
        let _ = done.send(result.map_err(|error| error.to_string()));
    });
    Ok(Running { tasks, rows, stream: running, rule, ended })
}

impl Running {
    pub(crate) async fn row(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(60), self.rows.recv()).await.expect("a row").expect("a row")
    }

    /// A row that is waiting.
    pub(crate) fn row_soon(&mut self) -> Option<String> {
        self.rows.try_recv().ok()
    }

    /// Whether no row is waiting.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.rows.try_recv().is_err()
    }

    /// Waits until the source is connected.
    pub(crate) async fn connected(&self) {
        until(|| self.stream.connection() == Some(edgeward_engine::Connection::Connected)).await;
    }

    /// All rows of a source that ends, and how it ended.
    pub(crate) async fn all(mut self) -> (Vec<String>, Result<(), String>) {
        let ended = tokio::time::timeout(Duration::from_secs(60), self.ended).await.unwrap().unwrap();
        self.rule.ended().await;
        let mut rows = Vec::new();
        while let Some(row) = self.rows.recv().await {
            rows.push(row);
        }
        (rows, ended)
    }

    pub(crate) async fn stop(self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await);
    }
}

/// Waits until something holds that another task brings about.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}

/// Tries until something is there.
pub(crate) async fn until_some<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came")
}

/// The rows of a lookup by columns `id`, as JSON text.
pub(crate) async fn look(table: &dyn LookupSource, values: &[Value]) -> Result<String, String> {
    let keys: Vec<Arc<str>> = values.iter().map(|_| "id".into()).collect();
    look_by(table, &keys, values).await
}

/// The rows of a lookup, as JSON text.
pub(crate) async fn look_by(table: &dyn LookupSource, keys: &[Arc<str>], values: &[Value]) -> Result<String, String> {
    let rows = table.lookup(LookupQuery { columns: &[], keys, values }).await.map_err(|error| error.0)?;
    let rows = rows.into_iter().map(Value::Map).collect();
    Ok(Printer::default().text(&Value::array(rows)).unwrap())
}
