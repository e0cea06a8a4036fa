//! Rules over real tasks and queues: a source's payloads in, sink messages out.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgeward_engine::json::Printer;
use edgeward_engine::{
    Ack, Emission, Emitter, LookupOptions, LookupQuery, LookupSource, Map, Message, Plan, RuleOptions, RuleStatus,
    RuleTask, Sink, SinkError, SinkInput, SourceError, Stream, StreamDef, Value,
};
use edgeward_service::Tasks;
use edgeward_sql::ast::Statement;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

/// Hands every message on as its JSON text.
struct Collect(mpsc::Sender<String>);

impl Sink for Collect {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async {
            let mut text = Vec::new();
            emission
                .write_json(&Printer::default(), &mut text)
                .map_err(|error| SinkError::Rejected(error.to_string()))?;
            self.0
                .send(String::from_utf8(text).unwrap())
                .await
                .map_err(|error| SinkError::Recoverable(error.to_string()))
        })
    }
}

fn define(sql: &str) -> StreamDef {
    let Ok(Statement::Create(create)) = edgeward_sql::parse(sql) else { panic!("{sql}") };
    StreamDef::new(&create)
}

fn plan(sql: &str, definition: &StreamDef, options: &RuleOptions) -> Plan {
    let select = edgeward_sql::parse_select(sql).unwrap();
    Plan::new(&select, options, &|name| (name == definition.name).then(|| definition.clone())).unwrap()
}

fn collector() -> (SinkInput, mpsc::Receiver<String>) {
    let (sender, receiver) = mpsc::channel(1000);
    (
        SinkInput { kind: "memory".into(), sink: Box::new(Collect(sender)), buffer_length: 1024, omit_if_empty: false },
        receiver,
    )
}

#[tokio::test]
async fn a_filter_rule_runs_end_to_end_and_acknowledges() {
    let tasks = Tasks::root("test");
    let definition = define(r#"CREATE STREAM demo () WITH (DATASOURCE="demo", SHARED="true")"#);
    let stream = Stream::new(definition.clone(), None);
    let options = RuleOptions { send_error: true, ..RuleOptions::default() };
    let (sink, mut out) = collector();
    let plan =
        plan("SELECT temperature, temperature * 2 AS twice FROM demo WHERE temperature > 50", &definition, &options);
    let rule = RuleTask::start("r1", &plan, vec![stream.clone()], vec![sink], None, &tasks).unwrap();
    let emitter = Emitter::new(stream.clone());
    let (acked, mut acks) = mpsc::channel(10);
    for (id, payload) in [
        r#"{"temperature": 20}"#,
        r#" {"x":[1,{"y":2}], "temperature":70.5}"#,
        r#"{"temperature"#,
        r#"[{"temperature":51},{"temperature":52}]"#,
    ]
    .iter()
    .enumerate()
    {
        let acked = acked.clone();
        let ack = Ack::new(move |ok| acked.try_send((id, ok)).unwrap());
        emitter.emit(Message::payload(payload.as_bytes()).with_ack(ack)).await;
    }
    assert_eq!(out.recv().await.unwrap(), r#"[{"temperature":70.5,"twice":141}]"#);
    assert_eq!(
        out.recv().await.unwrap(),
        r#"[{"error":"cannot parse JSON: cannot parse object: cannot parse object key: missing closing '\"'; unparsed tail: \"\""}]"#
    );
    assert_eq!(out.recv().await.unwrap(), r#"[{"temperature":51,"twice":102}]"#);
    assert_eq!(out.recv().await.unwrap(), r#"[{"temperature":52,"twice":104}]"#);
    let mut done = Vec::new();
    while done.len() < 4 {
        done.push(acks.recv().await.unwrap());
    }
    done.sort_unstable();
    assert_eq!(done, [(0, true), (1, true), (2, true), (3, true)]);
    stream.end();
    assert_eq!(rule.ended().await, RuleStatus::Done);
    let metrics = rule.metrics();
    let names: Vec<&str> = metrics.iter().map(|node| node.name.as_str()).collect();
    let operators = ["source_demo_0", "op_2_decoder_0", "op_3_filter_0", "op_4_project_0"];
    assert_eq!(names[..4], operators);
    assert_eq!(names[4..], ["op_memory_0_0_transform_0", "sink_memory_0_0"]);
    assert_eq!((metrics[0].records_in, metrics[1].exceptions, metrics[5].records_out), (4, 1, 4));
    let nodes = edgeward_engine::topology(&metrics);
    assert_eq!(nodes["edges"]["op_4_project"][0], "op_memory_0_0_transform");
    rule.stop().await;
    assert_eq!(stream.rules(), 0);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn one_decode_serves_rules_that_come_and_go() {
    let tasks = Tasks::root("test");
    let definition = define(r#"CREATE STREAM demo () WITH (DATASOURCE="demo", SHARED="true")"#);
    let stream = Stream::new(definition.clone(), None);
    let emitter = Emitter::new(stream.clone());
    let options = RuleOptions::default();
    let mut rules = Vec::new();
    for index in 0..3 {
        let (sink, out) = collector();
        let plan = plan(&format!("SELECT a{index}, b FROM demo WHERE a{index} = {index}"), &definition, &options);
        rules.push((
            RuleTask::start(&format!("r{index}"), &plan, vec![stream.clone()], vec![sink], None, &tasks).unwrap(),
            out,
        ));
        emitter.emit(Message::payload(r#"{"b":"x","a0":0,"a1":1,"a2":2}"#)).await;
    }
    for (index, (rule, mut out)) in rules.into_iter().enumerate() {
        for _ in index..3 {
            assert_eq!(out.recv().await.unwrap(), format!(r#"[{{"a{index}":{index},"b":"x"}}]"#));
        }
        rule.stop().await;
        assert_eq!(out.recv().await, None);
    }
}

#[tokio::test]
async fn a_tumbling_window_ticks_on_the_wall_clock() {
    let tasks = Tasks::root("test");
    let definition = define(r#"CREATE STREAM demo () WITH (DATASOURCE="demo")"#);
    let stream = Stream::new(definition.clone(), None);
    let (sink, mut out) = collector();
    let plan = plan(
        "SELECT deviceid, avg(t) AS a FROM demo GROUP BY deviceid, TUMBLINGWINDOW(ms, 50)",
        &definition,
        &RuleOptions::default(),
    );
    let rule = RuleTask::start("r1", &plan, vec![stream.clone()], vec![sink], None, &tasks).unwrap();
    Emitter::new(stream).emit(Message::payload(r#"{"deviceid":"d1","t":2.5}"#)).await;
    loop {
        let message = out.recv().await.unwrap();
        if message != "[]" {
            assert_eq!(message, r#"[{"a":2.5,"deviceid":"d1"}]"#);
            break;
        }
    }
    rule.stop().await;
}

/// A table of the ids 1 to 5 that counts how often it is asked.
struct Names(Arc<AtomicUsize>);

impl LookupSource for Names {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        Box::pin(async move {
            assert_eq!((query.keys.len(), &*query.keys[0]), (1, "id"));
            self.0.fetch_add(1, Ordering::SeqCst);
            let id = query.values[0].as_f64().unwrap();
            let row =
                Map::from([("id".into(), query.values[0].clone()), ("name".into(), Value::str(format!("n{id}")))]);
            Ok((1.0..=5.0).contains(&id).then(|| Arc::new(row)).into_iter().collect())
        })
    }
}

#[tokio::test]
async fn a_lookup_table_is_asked_and_its_answers_are_kept() {
    let create = r#"CREATE TABLE t () WITH (DATASOURCE="t", TYPE="memory", KIND="lookup", KEY="id")"#;
    let definitions = [define(r#"CREATE STREAM demo () WITH (DATASOURCE="demo")"#), define(create)];
    for (kind, cache, cache_missing_key, asked, expect) in [
        ("INNER", false, false, 5, r#"[{"id":1,"name":"n1"}] [{"id":1,"name":"n1"}] [{"id":2,"name":"n2"}]"#),
        ("INNER", true, false, 4, r#"[{"id":1,"name":"n1"}] [{"id":1,"name":"n1"}] [{"id":2,"name":"n2"}]"#),
        (
            "LEFT",
            true,
            true,
            3,
            r#"[{"id":1,"name":"n1"}] [{"id":1,"name":"n1"}] [{"id":9}] [{"id":9}] [{"id":2,"name":"n2"}]"#,
        ),
    ] {
        let tasks = Tasks::root("test");
        let count = Arc::new(AtomicUsize::new(0));
        let options = LookupOptions { cache, cache_missing_key, ..LookupOptions::default() };
        let table = Stream::of_lookup(definitions[1].clone(), Box::new(Names(count.clone())), options);
        let stream = Stream::new(definitions[0].clone(), None);
        let sql = format!("SELECT demo.id, name FROM demo {kind} JOIN t ON demo.id = t.id WHERE demo.id > 0");
        let select = edgeward_sql::parse_select(&sql).unwrap();
        let found = |name: &str| definitions.iter().find(|definition| definition.name == name).cloned();
        let plan = Plan::new(&select, &RuleOptions::default(), &found).unwrap();
        let (sink, mut out) = collector();
        let rule = RuleTask::start("r", &plan, vec![stream.clone(), table], vec![sink], None, &tasks).unwrap();
        let emitter = Emitter::new(stream.clone());
        for id in [1, 1, 9, 9, 2] {
            emitter.emit(Message::payload(format!("{{\"id\":{id}}}"))).await;
        }
        stream.end();
        assert_eq!(rule.ended().await, RuleStatus::Done);
        rule.stop().await;
        let mut got = Vec::new();
        while let Some(message) = out.recv().await {
            got.push(message);
        }
        assert_eq!(got.join(" "), expect, "{kind} {cache} {cache_missing_key}");
        assert_eq!(count.load(Ordering::SeqCst), asked, "{kind} {cache} {cache_missing_key}");
        assert!(tasks.shutdown(Duration::from_secs(30)).await);
    }
}
