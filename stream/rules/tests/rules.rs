//! The service from outside: REST scenarios, and the lives of rules over restarts.

// A failed unwrap is a failed test; a test that is left out says so.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use edgeward_connect::HttpHost;
use edgeward_plugins::{Manager, ManagerOptions};
use edgeward_rules::{Handle, Hosts, Options, Rules, RulesError};
use edgeward_service::Tasks;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(folder: &Path) -> (Handle, Tasks) {
    start_with(folder, |options| options).await
}

async fn start_with(folder: &Path, change: impl FnOnce(Options) -> Options) -> (Handle, Tasks) {
    let tasks = Tasks::root("test");
    let rest = Some("127.0.0.1:0".parse().unwrap());
    let plugins = Manager::open(ManagerOptions::new(&folder.join("plugins")), &tasks).await.unwrap();
    let options = Options { rest, max_body_bytes: 10_000, plugins: Some(plugins), ..Options::new(folder) };
    let http = std::sync::Arc::new(HttpHost::new(([127, 0, 0, 1], 0).into()));
    (Rules::start(change(options), Hosts { http, ..Hosts::default() }, &tasks).await.unwrap(), tasks)
}

async fn stop(tasks: Tasks) {
    assert!(tasks.shutdown(Duration::from_secs(20)).await);
}

/// Status, headers and body.
async fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// Runs a file of requests against a service of its own; answers what was not as the file says.
async fn run_scenario(name: &str, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    let address = handle.rest_address().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (mut steps, mut wrong) = (0, Vec::new());
    for block in lines.join("\n").split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let (request, expected) = block.split_once("--- ").unwrap();
        let request = request.replace("\"@/", &format!("\"{}/tests/", env!("CARGO_MANIFEST_DIR")));
        let (line, body) = request.split_once('\n').unwrap();
        let (method, path) = line.split_once(' ').unwrap();
        let (status, expected) = expected.split_once('\n').unwrap_or((expected, ""));
        let (got_status, head, got) = call(address, method, path, body.trim()).await;
        let mut words = status.split_whitespace();
        let as_said = words.next() == Some(got_status.to_string().as_str())
            && words.next().is_none_or(|kind| head.contains(&format!("content-type: {kind}")))
            && is_body(expected, &got)
            && head.contains("access-control-allow-origin: *")
            && (!matches!(got_status, 400 | 404) || head.contains("content-type: text/plain; charset=utf-8"));
        if !as_said {
            wrong.push(format!("{name}: {request}expected {status}\n{expected}\ngot {got_status}\n{got}\n"));
        }
        steps += 1;
    }
    assert!(steps > 3, "{name} has steps");
    stop(tasks).await;
    wrong
}

/// `~` begins a part of the body, `{` and `[` JSON, anything else is the text.
fn is_body(expected: &str, got: &str) -> bool {
    match expected.strip_prefix("~ ") {
        Some(part) => got.contains(part),
        None if expected.starts_with(['{', '[']) => {
            serde_json::from_str::<Value>(got).is_ok_and(|got| got == serde_json::from_str::<Value>(expected).unwrap())
        }
        None => got.trim_end() == expected,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_answers_as_the_scenarios_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        wrong.extend(run_scenario(&path.file_name().unwrap().to_string_lossy(), &text).await);
        count += 1;
    }
    assert!(count >= 3);
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    let (status, ..) = call(handle.rest_address().unwrap(), "POST", "/rules", &"x".repeat(10_001)).await;
    assert_eq!(status, 413);
    let upload = json!({"name": "large", "content": "x".repeat(20_000)}).to_string();
    let (status, ..) = call(handle.rest_address().unwrap(), "POST", "/config/uploads", &upload).await;
    assert_eq!(status, 201, "uploads have a limit of their own");
    stop(tasks).await;
}

/// Waits until a condition on the rule's status holds.
async fn until(handle: &Handle, rule: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let status = handle.rule_status(rule).unwrap();
        if holds(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true: {}", handle.rule_status(rule).unwrap());
}

fn rule(id: &str, sql: &str, actions: Value, options: Value) -> String {
    json!({"id": id, "sql": sql, "actions": actions, "options": options}).to_string()
}

/// A stream over a file with lines of JSON.
async fn file_stream(handle: &Handle, folder: &Path, name: &str, lines: &str, more: Value) {
    std::fs::write(folder.join(name), lines).unwrap();
    let mut extra = json!({"path": folder, "fileType": "lines"});
    extra.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let extra = extra.to_string().replace('"', "\\\"");
    let sql = format!("CREATE STREAM {name} () WITH (DATASOURCE=\"{name}\", TYPE=\"file\", EXTRA=\"{extra}\")");
    assert_eq!(handle.execute(&sql).await.unwrap(), format!("Stream {name} is created."));
}

#[tokio::test]
async fn a_finite_source_ends_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    file_stream(&handle, folder.path(), "input", "{\"a\":1}\n{\"a\":5}\n{\"a\":9}\n", json!({})).await;
    let out = folder.path().join("out");
    let actions = json!([{"file": {"path": out, "sendSingle": true}}]);
    handle.create_rule(&rule("r", "SELECT a FROM input WHERE a > 3", actions, json!({"qos": 1}))).await.unwrap();
    let status = until(&handle, "r", |status| status["status"] == "stopped").await;
    assert_eq!(status["message"], "done");
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().collect::<Vec<_>>(), [r#"{"a":5}"#, r#"{"a":9}"#]);
    handle.start_rule("r").await.unwrap();
    until(&handle, "r", |status| status["status"] == "stopped").await;
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 4, "it was read again");
    stop(tasks).await;
}

#[tokio::test]
async fn a_failing_source_stops_its_rule_by_error() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    file_stream(&handle, folder.path(), "input", "", json!({"path": "/no/such/folder"})).await;
    handle.create_rule(&rule("r", "SELECT * FROM input", json!([{"nop": {}}]), json!({}))).await.unwrap();
    let status = until(&handle, "r", |status| status["status"] == "stopped by error").await;
    assert!(status["message"].as_str().unwrap().contains("/no/such/folder"), "{status}");
    stop(tasks).await;
}

#[tokio::test]
async fn a_failed_rule_with_a_restart_strategy_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let patrol = Duration::from_millis(20);
    let (handle, tasks) =
        start_with(folder.path(), |options| Options { rule_patrol_interval: patrol, ..options }).await;
    let later = folder.path().join("later");
    file_stream(&handle, folder.path(), "input", "", json!({"path": later})).await;
    let options = json!({"restartStrategy": {"attempts": 1, "delay": 1}});
    handle.create_rule(&rule("r", "SELECT * FROM input", json!([{"nop": {}}]), options)).await.unwrap();
    until(&handle, "r", |status| status["status"] == "stopped by error").await;
    std::fs::create_dir(&later).unwrap();
    std::fs::write(later.join("input"), "{\"a\":1}\n").unwrap();
    let status = until(&handle, "r", |status| status["message"] == "done").await;
    assert_eq!(status["status"], "stopped");
    stop(tasks).await;
}

#[tokio::test]
async fn many_rules_come_and_go_by_one_import() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    let rules: serde_json::Map<String, Value> = (0..500)
        .map(|n| {
            let sql = format!("SELECT a FROM s WHERE a > {n}");
            (format!("r{n}"), rule(&format!("r{n}"), &sql, json!([{"nop": {}}]), json!({})).into())
        })
        .collect();
    let stream = "CREATE STREAM s () WITH (DATASOURCE=\"t\", TYPE=\"memory\", SHARED=\"true\")";
    let content = json!({"streams": {"s": stream}, "rules": rules}).to_string();
    let body = json!({"content": content}).to_string();
    let renamed = body.replace("r499", "later");
    let address = handle.rest_address().unwrap();
    for path in ["/data/import", "/data/import?partial=1", "/data/import"] {
        let (status, _, answer) = call(address, "POST", path, &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(handle.rule_status("r499").unwrap()["status"], "running");
    }
    stop(tasks).await;
    let (handle, tasks) = start(folder.path()).await;
    assert_eq!(handle.rule_status("r0").unwrap()["status"], "running");
    // A client that goes away leaves no half of an import behind.
    let mut stream = TcpStream::connect(handle.rest_address().unwrap()).await.unwrap();
    let head = format!("POST /data/import HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", renamed.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(renamed.as_bytes()).await.unwrap();
    drop(stream);
    for _ in 0..6_000 {
        if handle.rule_status("later").is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(handle.rule_status("later").unwrap()["status"], "running");
    stop(tasks).await;
}

#[tokio::test]
async fn rules_feed_rules_over_memory_topics_and_shared_streams() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    for (name, topic, shared) in [("middle", "m/+", "true"), ("last", "l", "false")] {
        let sql =
            format!("CREATE STREAM {name} () WITH (DATASOURCE=\"{topic}\", TYPE=\"memory\", SHARED=\"{shared}\")");
        handle.execute(&sql).await.unwrap();
    }
    file_stream(&handle, folder.path(), "input", "{\"a\":1}\n{\"a\":2}\n", json!({"interval": "10ms"})).await;
    let to = |topic: &str| json!([{"memory": {"topic": topic}}]);
    for (id, sql, topic) in
        [("b", "SELECT a * 10 AS b FROM middle WHERE a = 1", "l"), ("c", "SELECT a FROM middle WHERE a = 2", "none")]
    {
        handle.create_rule(&rule(id, sql, to(topic), json!({}))).await.unwrap();
    }
    let out = folder.path().join("out");
    handle.create_rule(&rule("d", "SELECT b FROM last", json!([{"file": {"path": out}}]), json!({}))).await.unwrap();
    handle.create_rule(&rule("a", "SELECT a FROM input", to("m/x"), json!({}))).await.unwrap();
    until(&handle, "d", |status| status["sink_file_0_0_records_out_total"].as_u64() >= Some(2)).await;
    assert!(std::fs::read_to_string(&out).unwrap().starts_with("[{\"b\":10}]\n[{\"b\":10}]"));
    handle.stop_rule("b").await.unwrap();
    let before = handle.rule_status("c").unwrap()["sink_memory_0_0_records_out_total"].as_u64();
    until(&handle, "c", |status| status["sink_memory_0_0_records_out_total"].as_u64() > before).await;
    stop(tasks).await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    handle.execute("CREATE STREAM s (a BIGINT) WITH (DATASOURCE=\"t\", TYPE=\"memory\")").await.unwrap();
    handle.execute("CREATE STREAM passing () WITH (DATASOURCE=\"t\", TYPE=\"memory\", TEMP=\"true\")").await.unwrap();
    let nop = || json!([{"nop": {}}]);
    for id in ["running", "halted"] {
        handle.create_rule(&rule(id, "SELECT a FROM s", nop(), json!({}))).await.unwrap();
    }
    handle.stop_rule("halted").await.unwrap();
    handle.execute("CREATE STREAM gone () WITH (DATASOURCE=\"t\", TYPE=\"memory\")").await.unwrap();
    handle.create_rule(&rule("later-broken", "SELECT a FROM gone", nop(), json!({}))).await.unwrap();
    handle.drop_stream(edgeward_sql::ast::StreamKind::Stream, "gone", true).await.unwrap();
    stop(tasks).await;

    let (handle, tasks) = start(folder.path()).await;
    let kind = edgeward_sql::ast::StreamKind::Stream;
    assert_eq!(handle.stream_names(kind, None), ["s"]);
    assert_eq!(handle.describe(kind, "s").unwrap()["StreamFields"][0]["FieldType"], "bigint");
    for (id, state) in [("running", "running"), ("halted", "stopped"), ("later-broken", "stopped by error")] {
        assert_eq!(handle.rule_status(id).unwrap()["status"], state, "{id}");
    }
    handle.delete_rule("running").await.unwrap();
    stop(tasks).await;

    let (handle, tasks) = start(folder.path()).await;
    assert!(handle.rule_status("running").is_err());
    stop(tasks).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let options = Options { rest: None, ..Options::new(folder.path().join(name)) };
        Rules::start(options, Hosts::default(), &Tasks::root("test")).await.err()
    };
    std::fs::create_dir(folder.path().join("garbage")).unwrap();
    std::fs::write(folder.path().join("garbage/rules.db"), "not a database, but long enough for one".repeat(50))
        .unwrap();
    assert!(matches!(open("garbage").await, Some(RulesError::Store { .. })));
    assert!(matches!(open("garbage/rules.db").await, Some(RulesError::Folder { .. })));
    assert!(open("newer").await.is_none());
    let file = rusqlite::Connection::open(folder.path().join("newer/rules.db")).unwrap();
    file.pragma_update(None, "user_version", 2).unwrap();
    drop(file);
    assert!(matches!(open("newer").await, Some(RulesError::NewerStore { found: 2, .. })));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { rest: Some(taken.local_addr().unwrap()), ..Options::new(folder.path().join("port")) };
    let result = Rules::start(options, Hosts::default(), &Tasks::root("test")).await;
    assert!(matches!(result.err(), Some(RulesError::Listen { .. })));
}

#[tokio::test]
async fn a_trial_sends_its_rows_to_whoever_listens() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    handle.execute("CREATE STREAM s (a BIGINT) WITH (DATASOURCE=\"t\", TYPE=\"memory\")").await.unwrap();
    let address = handle.rest_address().unwrap();
    let body = json!({"id": "t", "sql": "SELECT a, 1 / a AS b FROM s", "sinkProps": {"sendSingle": true},
        "mockSource": {"s": {"data": [{"a": 1}, {"a": 0}], "interval": "1ms", "loop": true}}});
    let (status, _, answer) = call(address, "POST", "/ruletest", &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let port = serde_json::from_str::<Value>(&answer).unwrap()["port"].as_u64().unwrap();
    let mut listener = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).await.unwrap();
    listener.write_all(b"GET /test/t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let (status, ..) = call(address, "POST", "/ruletest/t/start", "").await;
    assert_eq!(status, 200);
    let mut seen = String::new();
    while !(seen.contains(r#"data: {"a":1,"b":1}"#) && seen.contains(r#"data: {"error":"#)) {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(30), listener.read(&mut part)).await.unwrap().unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
    let (status, ..) = call(address, "DELETE", "/ruletest/t", "").await;
    assert_eq!(status, 200);
    while listener.read(&mut [0; 4096]).await.unwrap() > 0 {}
    stop(tasks).await;
}

/// Whether a request's path is of a route: `{name}` stands for one segment.
fn is_of(route: &str, path: &str) -> bool {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len() && route.iter().zip(&path).all(|(want, got)| want == got || want.starts_with('{'))
}

#[test]
fn every_route_has_a_scenario() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let scenarios: Vec<String> = std::fs::read_dir(folder.join("scenarios"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let requests: Vec<(&str, &str)> =
        scenarios.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(" /")).collect();
    let routes = std::fs::read_to_string(folder.join("routes.txt")).unwrap();
    let missing: Vec<&str> = routes
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(|line| {
            let (method, route) = line.split_once(" /").unwrap();
            !requests.iter().any(|(known, path)| *known == method && is_of(route, path))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The body of a request that must succeed.
async fn ok(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let (status, _, answer) = call(address, method, path, body).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// What a collector gets while `/tracer` says so, in OTLP over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn traces_reach_a_collector() {
    let (sender, mut taken) = tokio::sync::mpsc::channel::<Value>(64);
    let take = move |body: String| {
        let sender = sender.clone();
        async move { drop(sender.try_send(serde_json::from_str(&body).unwrap())) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let folder = tempfile::tempdir().unwrap();
    let (handle, tasks) = start(folder.path()).await;
    let address = handle.rest_address().unwrap();
    let tracer = |action: bool| {
        json!({"action": action, "service_name": "lab", "collector_url": collector.to_string()}).to_string()
    };
    ok(address, "POST", "/tracer", &tracer(true)).await;
    ok(address, "PUT", "/metadata/sources/simulator/confKeys/fast", r#"{"data":[{"a":1}],"interval":"20ms"}"#).await;
    let sql = r#"{"sql":"CREATE STREAM demo () WITH (TYPE=\"simulator\", CONF_KEY=\"fast\", DATASOURCE=\"x\")"}"#;
    ok(address, "POST", "/streams", sql).await;
    ok(address, "POST", "/rules", r#"{"id":"traced","sql":"SELECT a FROM demo","actions":[{"nop":{}}]}"#).await;
    ok(address, "POST", "/rules/traced/trace/start", r#"{"strategy":"always"}"#).await;
    let patience = Duration::from_secs(60);
    let got = tokio::time::timeout(patience, taken.recv()).await.unwrap().unwrap();
    let resource = &got["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "lab");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!((&spans[0]["name"], &spans[1]["parentSpanId"]), (&json!("traced"), &spans[0]["spanId"]));
    // The same trace is shown here.
    let id = spans[0]["traceId"].as_str().unwrap();
    let shown: Value = serde_json::from_str(&ok(address, "GET", &format!("/trace/{id}"), "").await).unwrap();
    assert_eq!(shown["ChildSpan"][0]["SpanID"], spans[1]["spanId"]);

    // The last word of /tracer holds after a restart, too.
    stop(tasks).await;
    while taken.try_recv().is_ok() {}
    let (handle, tasks) = start(folder.path()).await;
    let address = handle.rest_address().unwrap();
    ok(address, "POST", "/rules/traced/trace/start", r#"{"strategy":"always"}"#).await;
    assert!(tokio::time::timeout(patience, taken.recv()).await.unwrap().is_some());
    ok(address, "POST", "/tracer", &tracer(false)).await;
    stop(tasks).await;
    server.abort();
}
