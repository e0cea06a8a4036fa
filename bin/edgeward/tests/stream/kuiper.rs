//! The command line `kuiper` against the program.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::Program;

fn kuiper(program: &Program, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgeward"));
    command.args(["kuiper", "--rest", &program.rest.to_string()]).args(words).env_remove("EDGEWARD_CONFIG");
    command
}

fn ok(program: &Program, words: &[&str]) -> String {
    let output = kuiper(program, words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn commands_of_kuiper() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("KUIPER__SOURCE__HTTPSERVERPORT", "0")];
    let program = Program::start(&folder.path().join("data"), &["--rest-listen", "127.0.0.1:0"], &environment);
    let conf = json!({"data": [{"a": 1}], "interval": "20ms", "loop": true}).to_string();
    program.ok("PUT", "/metadata/sources/simulator/confKeys/ones", &conf);
    let with = r#"() WITH (TYPE="simulator", CONF_KEY="ones", DATASOURCE="x")"#;
    assert_eq!(ok(&program, &["create", "stream", "demo", with]), "Stream demo is created.");
    let rule = folder.path().join("rule.json");
    std::fs::write(&rule, r#"{"sql": "SELECT a FROM demo", "actions": [{"nop": {}}]}"#).unwrap();
    let file = rule.to_str().unwrap();
    assert_eq!(
        ok(&program, &["create", "rule", "r1", "-f", file]),
        format!(
            "Creating a new rule from file {file}.\nRule r1 was created successfully, please use 'bin/kuiper getstatus rule \
             r1' command to get rule status."
        )
    );
    assert!(ok(&program, &["getstatus", "rule", "r1"]).starts_with("{\n  \"status\": \"running\",\n"));
    let same = ok(&program, &["validate", "rule", "r2", "-f", file]);
    assert!(same.ends_with("The rule has been successfully validated and is confirmed to be correct."), "{same}");
    let table = ok(&program, &["describe", "stream", "demo"]);
    assert!(table.starts_with("Fields\n-----") && table.contains("\nTYPE: simulator"), "{table}");
    assert_eq!(ok(&program, &["show", "tables"]), "No table definitions are found.");
    assert_eq!(ok(&program, &["stop", "rule", "r1"]), "Rule r1 was stopped.");
    let script = r#"{"script": "function one(a) { return a + 1 }"}"#;
    ok(&program, &["create", "script", "one", script]);
    assert_eq!(ok(&program, &["show", "scripts"]), "[\n  \"one\"\n]");
    let export = folder.path().join("export.json");
    ok(&program, &["export", "ruleset", export.to_str().unwrap()]);
    ok(&program, &["drop", "rule", "r1"]);
    ok(&program, &["drop", "stream", "demo"]);
    ok(&program, &["import", "ruleset", "-f", export.to_str().unwrap()]);
    assert_eq!(ok(&program, &["show", "streams"]), "demo");
    let wrong = kuiper(&program, &["describe", "rule", "none"]).output().unwrap();
    assert!(!wrong.status.success());
    assert_eq!(String::from_utf8_lossy(&wrong.stderr).trim(), "edgeward: describe rule error: Rule none is not found.");

    // Statements one after the other: what is wrong with one does not end the rest; results come until the pipe is closed.
    let mut query = kuiper(&program, &["query"]);
    let mut query = query.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = query.stdin.take().unwrap();
    input.write_all(b"SELECT FROM\nshow streams\nSELECT one(a) AS b FROM demo\n").unwrap();
    let mut lines = BufReader::new(query.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("found"));
    assert_eq!(lines.next().unwrap(), "demo");
    assert_eq!(lines.next().unwrap(), r#"[{"b":2}]"#);
    assert_eq!(lines.next().unwrap(), r#"[{"b":2}]"#);
    input.write_all(b"quit\n").unwrap();
    lines.by_ref().for_each(drop);
    assert!(query.wait().unwrap().success());
}
