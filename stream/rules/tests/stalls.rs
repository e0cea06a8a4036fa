//! A sink that hangs and a function that is slow hold up their own rules and no others; what that costs is bounded and counted.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use edgeward_plugins::{Manager, ManagerOptions};
use edgeward_rules::{Handle, Hosts, Options, Rules};
use edgeward_service::Tasks;
use serde_json::{Value, json};

/// Entries of every queue of the rules that are held up.
const BUFFER: u64 = 4;

async fn create(handle: &Handle, id: &str, sql: &str, action: Value, options: Value) {
    let rule = json!({"id": id, "sql": sql, "actions": [action], "options": options});
    handle.create_rule(&rule.to_string()).await.unwrap();
}

/// A counter of a rule.
fn count(handle: &Handle, rule: &str, metric: &str) -> u64 {
    let status = handle.rule_status(rule).unwrap();
    status[metric].as_u64().unwrap_or_else(|| panic!("no {metric} in {status}"))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_is_held_up_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let plugins = Manager::open(ManagerOptions::new(&folder.path().join("plugins")), &tasks).await.unwrap();
    let script = "function slow(x) { const end = Date.now() + 20; while (Date.now() < end) {} return x }";
    plugins.create_script(&json!({"id": "slow", "script": script}).to_string()).await.unwrap();
    let options = Options { rest: None, plugins: Some(plugins), ..Options::new(folder.path()) };
    let handle = Rules::start(options, Hosts::default(), &tasks).await.unwrap();
    let rows = json!({"data": [{"a": 1}, {"a": 2}], "interval": 1, "loop": true}).to_string().replace('"', "\\\"");
    let stream =
        format!(r#"CREATE STREAM s () WITH (DATASOURCE="s", TYPE="simulator", SHARED="true", EXTRA="{rows}")"#);
    handle.execute(&stream).await.unwrap();

    // It takes connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let hangs = json!({"rest": {"url": url, "method": "post", "timeout": 600_000, "bufferLength": BUFFER}});
    create(&handle, "stuck", "SELECT a FROM s", hangs, json!({})).await;
    create(&handle, "slow", "SELECT slow(a) AS a FROM s", json!({"nop": {}}), json!({"bufferLength": BUFFER})).await;
    create(&handle, "well", "SELECT a FROM s WHERE a > 1", json!({"nop": {}}), json!({})).await;

    until("messages for the sink that hangs are dropped", || {
        count(&handle, "stuck", "sink_rest_0_0_exceptions_total") > 0
    })
    .await;
    until("rows for the slow function are dropped", || count(&handle, "slow", "op_2_project_0_exceptions_total") > 0)
        .await;
    let sent = count(&handle, "well", "sink_nop_0_0_records_out_total");
    until("the third rule goes on", || count(&handle, "well", "sink_nop_0_0_records_out_total") > sent + 50).await;
    for (rule, node) in [("stuck", "sink_rest_0_0"), ("slow", "op_2_project_0")] {
        let waiting = count(&handle, rule, &format!("{node}_buffer_length"));
        assert!(waiting <= BUFFER, "{waiting} wait in {rule}");
    }
    for node in ["op_2_filter_0", "op_3_project_0", "sink_nop_0_0"] {
        assert_eq!(count(&handle, "well", &format!("{node}_exceptions_total")), 0, "{node}");
    }
    handle.delete_rule("stuck").await.unwrap();
    handle.stop_rule("slow").await.unwrap();
    assert_eq!(handle.rule_status("well").unwrap()["status"], "running");
    assert!(tasks.shutdown(Duration::from_secs(30)).await);
}
