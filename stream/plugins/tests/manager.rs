//! Installing and removing through the manager, as REST does, and its functions in rules.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod common;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use edgeward_engine::{
    Emission, Message, Plan, RuleHandle, RuleOptions, RuleTask, Sink, SinkError, SinkInput, Stream, StreamDef,
};
use edgeward_functions::json::Printer;
use edgeward_functions::{Context, UserFunctions};
use edgeward_plugins::{Manager, ManagerOptions};
use edgeward_service::Tasks;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;

use common::own;

struct Collect(mpsc::Sender<String>);

impl Sink for Collect {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async {
            let mut text = Vec::new();
            emission.write_json(&Printer::new(Context::default().zone), &mut text).unwrap();
            self.0.send(String::from_utf8(text).unwrap()).await.unwrap();
            Ok(())
        })
    }
}

/// A rule over a stream without schema, its stream and its results.
fn rule(sql: &str, manager: &Manager, tasks: &Tasks) -> Result<(RuleHandle, mpsc::Receiver<String>), String> {
    let created = edgeward_sql::parse(r#"CREATE STREAM demo () WITH (DATASOURCE="x", FORMAT="json")"#).unwrap();
    let edgeward_sql::ast::Statement::Create(create) = created else { panic!("no stream") };
    let definition = StreamDef::new(&create);
    let select = edgeward_sql::parse_select(sql).unwrap();
    let options = RuleOptions { send_error: true, ..RuleOptions::default() };
    let plan = Plan::with_functions(&select, &options, &|_| Some(definition.clone()), Some(manager.functions()))
        .map_err(|error| error.to_string())?;
    let stream = Stream::new(definition, None);
    let (sender, results) = mpsc::channel(100);
    let sink =
        SinkInput { kind: "collect".into(), sink: Box::new(Collect(sender)), buffer_length: 100, omit_if_empty: false };
    let rule = RuleTask::start("r1", &plan, vec![stream.clone()], vec![sink], None, tasks).unwrap();
    let emitter = edgeward_engine::Emitter::new(stream);
    for n in 1..=3 {
        emitter.emit_now(Message::payload(format!(r#"{{"n":{n}}}"#)));
    }
    Ok((rule, results))
}

async fn next(results: &mut mpsc::Receiver<String>) -> String {
    tokio::time::timeout(Duration::from_secs(60), results.recv()).await.unwrap().unwrap()
}

#[cfg(feature = "javascript")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let manager = Manager::open(ManagerOptions::new(folder.path()), &tasks).await.unwrap();
    let body = |id: &str, script: &str, agg: bool| {
        json!({"id": id, "description": "d", "script": script, "isAgg": agg}).to_string()
    };
    let answer = manager.create_script(&body("area", "function area(x) { return x * x }", false)).await.unwrap();
    assert_eq!(answer, "JavaScript function area is created");
    let spread = "function spread(xs) { return Math.max(...xs) - Math.min(...xs) }";
    manager.create_script(&body("spread", spread, true)).await.unwrap();
    for (bad, expect) in [
        (body("area", "function area() {}", false), "script area already exists"),
        (body("h", "function {", false), "failed to interpret script: "),
        (body("a/b", "", false), "invalid name"),
        (body("g", "function h() {}", false), "cannot find function \"g\" in script"),
        ("{".into(), "Error decoding the json"),
    ] {
        let error = manager.create_script(&bad).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let (_rule, mut results) = rule("SELECT area(n) AS a FROM demo WHERE area(n) > 3", &manager, &tasks).unwrap();
    assert_eq!(next(&mut results).await, r#"[{"a":4}]"#);
    assert_eq!(next(&mut results).await, r#"[{"a":9}]"#);
    let (_rule, mut results) =
        rule("SELECT spread(n) AS s FROM demo GROUP BY COUNTWINDOW(3)", &manager, &tasks).unwrap();
    assert_eq!(next(&mut results).await, r#"[{"s":2}]"#);
    assert_eq!(
        rule("SELECT nothere(n) FROM demo", &manager, &tasks).map(drop).unwrap_err(),
        "function nothere not found"
    );

    // A function that never ends holds up neither the others nor questions about its own rule.
    manager.create_script(&body("spin", "function spin() { for (;;) {} }", false)).await.unwrap();
    let (stuck, mut errors) = rule("SELECT spin() FROM demo", &manager, &tasks).unwrap();
    let (_rule, mut results) = rule("SELECT area(n) AS a FROM demo", &manager, &tasks).unwrap();
    assert_eq!(next(&mut results).await, r#"[{"a":1}]"#);
    stuck.metrics();
    assert!(errors.try_recv().is_err(), "the other rule waited for the stuck one");
    assert!(next(&mut errors).await.contains("call func spin error: interrupted"));

    // Kept over a restart.
    drop(manager);
    let manager = Manager::open(ManagerOptions::new(folder.path()), &tasks).await.unwrap();
    assert_eq!(manager.list_scripts(), json!(["area", "spin", "spread"]));
    assert_eq!(manager.describe_script("spread").unwrap()["isAgg"], json!(true));
    assert_eq!(manager.list_udfs(), manager.list_scripts());
    assert_eq!(manager.delete_script("area").await.unwrap(), "JavaScript function area is deleted");
    assert!(manager.describe_script("area").is_err() && manager.find("area").is_none());
}

/// The demo plugin packed as `name`, and the body that installs it.
fn package(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.zip"));
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let (demo, files) = common::demo();
    for (file, text) in files {
        zip.start_file(file.replace(&demo, name), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.replace(&demo, name).as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    json!({"name": name, "file": format!("file://{}", path.display())}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn portables() {
    let Some(python) = common::python("installing portable plugins") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let mut options = ManagerOptions::new(&folder.path().join("plugins"));
    options.portable.python = python;
    let manager = Manager::open(options.clone(), &tasks).await.unwrap();
    let (name, twice, total) = (own("managed"), own("twice"), own("total"));
    let body = package(folder.path(), &name);
    assert_eq!(manager.create_portable(&body).await.unwrap(), format!("portable plugin {name} is created"));
    let again = manager.create_portable(&body).await.unwrap_err().to_string();
    assert_eq!(again, format!("invalid name {name}: duplicate"));
    let exported = manager.exported_portables();
    assert_eq!((exported.len(), exported[0].1.as_str()), (1, body.as_str()));
    let other = manager.create_portable(&package(folder.path(), &own("other"))).await.unwrap_err().to_string();
    let counter = own("counter");
    assert_eq!(other, format!("{counter} belongs to plugin {name} already; rename it or delete that plugin"));
    assert_eq!(manager.list_portables()[0]["functions"][0], json!(twice));
    assert_eq!(manager.portable_status(&name).unwrap()["status"], "running");
    assert_eq!(manager.describe_udf(&twice).unwrap(), json!({"name": twice, "plugin": name}));

    let (_rule, mut results) =
        rule(&format!("SELECT {twice}(n) AS t FROM demo WHERE n > 2"), &manager, &tasks).unwrap();
    assert_eq!(next(&mut results).await, r#"[{"t":{"rule":"r1","value":6}}]"#);
    let (_rule, mut results) =
        rule(&format!("SELECT {total}(n) AS t FROM demo GROUP BY COUNTWINDOW(3)"), &manager, &tasks).unwrap();
    assert_eq!(next(&mut results).await, r#"[{"t":6}]"#);

    // After a restart it is known which function aggregates, though no process was started for that.
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
    let tasks = Tasks::root("again");
    let manager = Manager::open(options, &tasks).await.unwrap();
    assert_eq!(manager.portable_status(&name).unwrap()["status"], "stop");
    assert!(manager.find(&total).unwrap().is_aggregate() && !manager.find(&twice).unwrap().is_aggregate());
    assert_eq!(manager.update_portable(&name, &body).await.unwrap(), format!("portable plugin {name} is updated"));
    assert_eq!(manager.delete_portable(&name).await.unwrap(), format!("portable plugin {name} is deleted"));
    assert_eq!(manager.list_portables(), json!([]));
    assert_eq!(std::fs::read_dir(folder.path().join("plugins/portable")).unwrap().count(), 0);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}
