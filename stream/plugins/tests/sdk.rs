//! A plugin written with the SDK from PyPI, unchanged: functions, source, sink, and what happens when its process dies.
//!
//! All of it is one test over one process, as a user's plugin lives.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod common;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Emission, OutRow, Sink, SinkError};
use edgeward_functions::json::{self, Numbers, Printer};
use edgeward_functions::{Context, Value};
use edgeward_plugins::portable::{Meta, Options, Plugin, PortableFunction, PortableSink, PortableSource, read_spec};
use edgeward_service::Tasks;
use serde_json::{Map, json};

use common::own;

fn meta(rule: &str) -> Meta {
    Meta { rule_id: format!("{rule}{}", std::process::id()), op_id: "op".into(), instance_id: 0 }
}

fn object(value: serde_json::Value) -> Map<String, serde_json::Value> {
    value.as_object().unwrap().clone()
}

fn value(text: &str) -> Value {
    json::parse(text.as_bytes(), Numbers::Float).unwrap()
}

/// Calls a function the way a rule's own thread does.
async fn call(function: &PortableFunction, args: &str) -> String {
    let (function, args) = (function.clone(), value(args));
    let task = tokio::task::spawn_blocking(move || {
        let args: Vec<Cow<'_, Value>> = args.as_array().unwrap().iter().map(Cow::Borrowed).collect();
        let context = Context { rule_id: "r1".into(), ..Context::default() };
        match function.call(&args, &context) {
            Ok(value) => Printer::new(context.zone.clone()).text(&value).unwrap(),
            Err(error) => error.to_string(),
        }
    });
    task.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_the_python_sdk() {
    let Some(python) = common::python("portable plugins with the Python SDK") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (name, files) = common::demo();
    let demo = folder.path().join(&name);
    std::fs::create_dir(&demo).unwrap();
    for (file, text) in files {
        std::fs::write(demo.join(file), text).unwrap();
    }
    let restart = (Duration::from_millis(10), Duration::from_millis(100));
    let recv_timeout = Duration::from_secs(6);
    let options = Options { python, restart, recv_timeout, ..Options::new(folder.path()) };
    let tasks = Tasks::root("test");
    let plugin = Plugin::open(read_spec(&demo, &name).unwrap(), Arc::new(options), &tasks);
    assert_eq!(plugin.status().status, "stop");

    functions(&plugin).await;
    source(&plugin).await;
    sink(&plugin, folder.path(), &tasks).await;
    death(&plugin).await;

    let pid = plugin.status().pid;
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    plugin.close().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the process must end with its plugin");
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

async fn functions(plugin: &Plugin) {
    let twice = PortableFunction::open(plugin, &own("twice"));
    assert_eq!(call(&twice, "[21]").await, r#"{"rule":"r1","value":42}"#);
    assert_eq!(call(&twice, r#"["ab"]"#).await, r#"{"rule":"r1","value":"abab"}"#);
    let error = call(&twice, "[null]").await;
    assert!(error.starts_with("call func twice_") && error.contains("nothing to double"), "{error}");
    let total = PortableFunction::open(plugin, &own("total"));
    assert_eq!(call(&total, "[[1, 2, 3.5]]").await, "6.5");
    let sleepy = PortableFunction::open(plugin, &own("sleepy"));
    let error = call(&sleepy, "[7]").await;
    assert!(error.contains("did not answer within 6s"), "{error}");
    // The late answer of the call before must not be taken for this one's.
    assert_eq!(call(&sleepy, "[0.25]").await, "0.25");
    // Idle for longer than the SDK waits before it repeats its handshake.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(call(&twice, "[1]").await, r#"{"rule":"r1","value":2}"#);
    let asked = tokio::task::spawn_blocking(move || {
        let bad = twice.validate("[1,2]").unwrap_err().to_string();
        (total.is_aggregate().unwrap(), twice.is_aggregate().unwrap(), twice.validate("[1]").is_ok(), bad)
    });
    let (total, twice, good, bad) = asked.await.unwrap();
    assert!(total && !twice && good, "{total} {twice} {good}");
    assert!(bad.contains("Expect 1 argument but found 2."), "{bad}");
    assert_eq!(plugin.status().status, "running");
}

async fn source(plugin: &Plugin) {
    use edgeward_engine::{Plan, RuleOptions, RuleTask, SinkInput, SourceContext, Stream, StreamDef};
    struct Collect(tokio::sync::mpsc::Sender<String>);
    impl Sink for Collect {
        fn send<'a>(&'a mut self, emission: &'a Emission) -> futures::future::BoxFuture<'a, Result<(), SinkError>> {
            let mut text = Vec::new();
            emission.write_json(&Printer::new(Context::default().zone), &mut text).unwrap();
            Box::pin(async {
                self.0.send(String::from_utf8(text).unwrap()).await.unwrap();
                Ok(())
            })
        }
    }
    let tasks = Tasks::root("source");
    let edgeward_sql::ast::Statement::Create(create) =
        edgeward_sql::parse(r#"CREATE STREAM demo () WITH (DATASOURCE="x", FORMAT="json")"#).unwrap()
    else {
        panic!("no stream")
    };
    let definition = StreamDef::new(&create);
    let select = edgeward_sql::parse_select("SELECT n, name, meta(rule) AS rule FROM demo").unwrap();
    let options = RuleOptions { send_error: true, ..RuleOptions::default() };
    let plan = Plan::new(&select, &options, &|_| Some(definition.clone())).unwrap();
    let stream = Stream::new(definition.clone(), None);
    let (sender, mut results) = tokio::sync::mpsc::channel(16);
    let sink =
        SinkInput { kind: "collect".into(), sink: Box::new(Collect(sender)), buffer_length: 16, omit_if_empty: false };
    let _rule = RuleTask::start("r1", &plan, vec![stream.clone()], vec![sink], None, &tasks).unwrap();
    let place = meta("src");
    let source =
        PortableSource::new(plugin, &own("counter"), place.clone(), "a/b", object(json!({"count": 3}))).unwrap();
    let context = SourceContext::new(edgeward_engine::Emitter::new(stream), tasks.clone());
    let running = edgeward_engine::Source::run(Box::new(source), context);
    tasks.spawn("source", async move { running.await.unwrap() });
    for n in 0..3 {
        let expect = format!(r#"[{{"n":{n},"name":"a/b","rule":"{}"}}]"#, place.rule_id);
        assert_eq!(results.recv().await.unwrap(), expect);
    }
    assert!(results.recv().await.unwrap().contains("counted to the end"));
    assert!(plugin.status().ref_count.contains_key(&place.rule_id));
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

fn emission(row: &str) -> Emission {
    Emission::of_rows(0, vec![OutRow::Free(value(row).as_map().unwrap().clone())])
}

async fn sink(plugin: &Plugin, folder: &Path, tasks: &Tasks) {
    let path = folder.join("written");
    let encode = Box::new(|emission: &Emission| {
        let mut text = Vec::new();
        emission.write_json(&Printer::new(Context::default().zone), &mut text).unwrap();
        Ok(vec![text.into()])
    });
    let config = object(json!({"path": path, "requireAck": true}));
    let mut sink = PortableSink::new(plugin, &own("writer"), meta("snk"), config, encode, tasks).unwrap();
    sink.send(&emission(r#"{"a":1}"#)).await.unwrap();
    // Acknowledged means written.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "[{\"a\":1}]\n");
    let refused = sink.send(&emission(r#"{"bad":true}"#)).await;
    assert!(
        matches!(&refused, Err(SinkError::Recoverable(text)) if text.contains("will not write this")),
        "{refused:?}"
    );
    sink.send(&emission(r#"{"a":2}"#)).await.unwrap();
    sink.close().await;
    let written = || std::fs::read_to_string(&path).unwrap();
    for _ in 0..500 {
        if written().ends_with("closed\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(written(), "[{\"a\":1}]\n[{\"a\":2}]\nclosed\n");
}

/// A process that dies is started again with what ran in it.
async fn death(plugin: &Plugin) {
    let (twice, die) = (PortableFunction::open(plugin, &own("twice2")), PortableFunction::open(plugin, &own("die")));
    // A symbol the plugin does not know is its error, not a reason to end the process.
    let before = plugin.status().pid;
    let error = call(&twice, "[1]").await;
    assert!(error.contains("twice2"), "{error}");
    assert_eq!(plugin.status().pid, before);
    let error = call(&die, "[]").await;
    assert!(error.starts_with("call func die_"), "{error}");
    assert!(error.contains("its process ended before it answered"), "{error}");
    let total = PortableFunction::open(plugin, &own("total"));
    let back = async {
        while call(&total, "[[1, 2]]").await != "3" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(60), back).await;
    assert!(back.is_ok(), "the plugin did not come back: {:?}", plugin.status());
    let after = plugin.status().pid;
    assert_ne!(after, before);
    // The call that killed the first process is not repeated to the second.
    for _ in 0..20 {
        assert_eq!(call(&total, "[[1, 2]]").await, "3");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(plugin.status().pid, after);
}
