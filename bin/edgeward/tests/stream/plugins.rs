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
    let (beside, counter) = (folder.path().join("sources"), sdk::own("counter"));
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join(format!("{counter}.yaml")), "default:\n  count: 9\n").unwrap();
    let form = json!({"about": {"description": {"en_US": "Counts for the tests"}}, "properties": {"default": []}});
    std::fs::write(beside.join(format!("{counter}.json")), form.to_string()).unwrap();
    let package = folder.path().join("package.zip");
    let mut zip = Command::new(&python);
    zip.current_dir(folder.path()).args(["-m", "zipfile", "-c"]).arg(&package);
    assert!(zip.args(files.iter().map(|(file, _)| file)).arg("sources").status().unwrap().success());

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
    let path = format!("/plugins/portables/{name}");
    let status = program.ok("GET", &format!("{path}/status"), "");
    assert!(status.contains(r#""status":"running""#), "{status}");

    // What a package brings beside its code: keys of a source, and its form.
    let keys = program.ok("GET", &format!("/metadata/sources/yaml/{}", sdk::own("counter")), "");
    assert!(keys.contains(r#""default":{"count":9}"#), "{keys}");
    let form = program.ok("GET", &format!("/metadata/sources/{}", sdk::own("counter")), "");
    assert!(form.contains("Counts for the tests"), "{form}");

    // Not while a rule reads it; then it goes, and an import brings it back.
    let (code, refused) = program.call("DELETE", &path, "");
    assert!(code == 400 && refused.contains("is used by rule"), "{code} {refused}");
    let exported: serde_json::Value = serde_json::from_str(&program.ok("GET", "/data/export", "")).unwrap();
    let content = json!({"portablePlugins": exported["portablePlugins"]}).to_string();
    for id in [id.as_str(), "doubles"] {
        program.ok("DELETE", &format!("/rules/{id}"), "");
    }
    program.ok("DELETE", "/streams/counted", "");
    crate::program::eventually("the plugin at rest", || (program.call("DELETE", &path, "").0 == 200).then_some(()));
    assert_eq!(program.ok("GET", "/plugins/portables", "").trim(), "[]");
    program.ok("POST", "/data/import?partial=1", &json!({"content": content}).to_string());
    assert!(program.ok("GET", "/plugins/udfs", "").contains(&sdk::own("twice")));
}

/// A module with `alloc` and `echo`, which answers the arguments it is given; by hand, for want of a compiler.
const ECHO: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0c\x02\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x01\x7e\
    \x03\x03\x02\0\x01\
    \x05\x03\x01\0\x01\
    \x07\x19\x03\x06memory\x02\0\x05alloc\0\0\x04echo\0\x01\
    \x0a\x14\x02\x05\0\x41\x80\x08\x0b\x0c\0\x20\0\xad\x42\x20\x86\x20\x01\xad\x84\x0b";

#[test]
fn functions_of_wasm_modules() {
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("plugins/wasm");
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(modules.join("lab.wasm"), ECHO).unwrap();
    std::fs::write(modules.join("bad.wasm"), b"\0asm").unwrap();
    let program = Program::start(folder.path(), &["--rest-listen", "127.0.0.1:0"], &[]);
    assert_eq!(program.ok("GET", "/plugins/udfs", "").trim(), r#"["echo"]"#);
    numbers(&program);
    let out = folder.path().join("out");
    rule(&program, "echoes", r#"SELECT echo(n, "x") AS e FROM numbers WHERE n > 2"#, &out);
    line(&out, r#"{"e":[3,"x"]}"#);
}
