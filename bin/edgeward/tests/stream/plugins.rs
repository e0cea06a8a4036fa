//! Functions, sources and sinks that users bring, in rules of the program.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::program::{Program, eventually};
use crate::sdk;

/// A stream that repeats `{"n": 1}`, `{"n": 2}`, `{"n": 3}`, and a configuration key for it.
fn numbers(program: &Program) {
    let conf = json!({"data": [{"n": 1}, {"n": 2}, {"n": 3}], "interval": "20ms", "loop": true}).to_string();
    program.ok("PUT", "/metadata/sources/simulator/confKeys/numbers", &conf);
    let sql = r#"CREATE STREAM numbers () WITH (TYPE="simulator", CONF_KEY="numbers", FORMAT="json", DATASOURCE="x")"#;
    assert_eq!(program.ok("POST", "/streams", &json!({"sql": sql}).to_string()), "Stream numbers is created.");
}

/// Creates a rule that writes its rows as lines to `path`.
fn rule(program: &Program, id: &str, sql: &str, path: &Path) {
    let action = json!({"file": {"path": path, "sendSingle": true, "fileType": "lines"}});
    program.ok("POST", "/rules", &json!({"id": id, "sql": sql, "actions": [action]}).to_string());
}

/// Waits for a line that holds `text`.
fn line(path: &Path, text: &str) {
    eventually(&format!("{text} in {}", path.display()), || {
        std::fs::read_to_string(path).ok()?.lines().any(|line| line.contains(text)).then_some(())
    });
}

#[test]
fn javascript_functions_in_rules() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let program = Program::start(folder.path(), &["--rest-listen", "127.0.0.1:0"], &[]);
    let script =
        json!({"id": "area", "description": "", "script": "function area(a, b) { return a * b }", "isAgg": false});
    program.ok("POST", "/udf/javascript", &script.to_string());
    assert_eq!(program.ok("GET", "/udf/javascript", "").trim(), r#"["area"]"#);
    numbers(&program);
    rule(&program, "areas", "SELECT area(n, 10) AS a FROM numbers WHERE area(n, n) > 8", &out);
    line(&out, r#"{"a":30}"#);
    drop(program);
    // Stored with the rest: the rule finds it after a restart.
    std::fs::remove_file(&out).unwrap();
    let program = Program::start(folder.path(), &["--rest-listen", "127.0.0.1:0"], &[]);
    line(&out, r#"{"a":30}"#);
    assert_eq!(program.ok("DELETE", "/rules/areas", "").trim(), "Rule areas is dropped.");
}

#[test]
fn the_python_sdk_in_rules() {
    let Some(python) = sdk::python("portable plugins of `edgeward stream`") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (name, files) = sdk::demo();
    for (file, text) in &files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let package = folder.path().join("package.zip");
    let mut zip = Command::new(&python);
    zip.current_dir(folder.path()).args(["-m", "zipfile", "-c"]).arg(&package);
    assert!(zip.args(files.iter().map(|(file, _)| file)).status().unwrap().success());

    let environment = [("KUIPER__PORTABLE__PYTHONBIN", python.to_str().unwrap())];
    let program = Program::start(&folder.path().join("data"), &["--rest-listen", "127.0.0.1:0"], &environment);
    let body = json!({"name": name, "file": format!("file://{}", package.display())});
    program.ok("POST", "/plugins/portables", &body.to_string());
    let names: serde_json::Value = serde_json::from_str(&program.ok("GET", "/plugins/udfs", "")).unwrap();
    assert!(names.as_array().unwrap().contains(&json!(sdk::own("twice"))), "{names}");

    // A function.
    numbers(&program);
    let doubled = folder.path().join("doubled");
    rule(&program, "doubles", &format!("SELECT {}(n) AS t FROM numbers WHERE n > 2", sdk::own("twice")), &doubled);
    line(&doubled, r#"{"t":{"rule":"doubles","value":6}}"#);

    // Its source, and its sink.
    program.ok("PUT", &format!("/metadata/sources/{}/confKeys/three", sdk::own("counter")), r#"{"count": 3}"#);
    let sql = format!(
        r#"CREATE STREAM counted () WITH (TYPE="{}", CONF_KEY="three", DATASOURCE="here", FORMAT="json")"#,
        sdk::own("counter")
    );
    program.ok("POST", "/streams", &json!({"sql": sql}).to_string());
    let (written, id) = (folder.path().join("written"), sdk::own("counting"));
    let mut action = serde_json::Map::new();
    action.insert(sdk::own("writer"), json!({"path": written, "sendSingle": true}));
    let rule = json!({"id": id, "sql": "SELECT n, name FROM counted", "actions": [action]});
    program.ok("POST", "/rules", &rule.to_string());
    line(&written, r#"{"n":2,"name":"here"}"#);
    let status = program.ok("GET", &format!("/plugins/portables/{name}/status"), "");
    assert!(status.contains(r#""status":"running""#), "{status}");
}
