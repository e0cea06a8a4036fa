//! JSON command files of kuiper-kubernetes-tool.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Program, eventually};

fn file(commands: &[(&str, &str, Value)]) -> String {
    let entry = |(method, url, data): &(&str, &str, Value)| json!({"url": url, "description": "d", "method": method, "data": data});
    json!({"commands": commands.iter().map(entry).collect::<Vec<_>>()}).to_string()
}

fn stream(name: &str) -> Value {
    json!({"sql": format!("CREATE STREAM {name} () WITH (TYPE=\"memory\", DATASOURCE=\"{name}\")")})
}

#[test]
fn command_files_run_at_start_and_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (data, commands) = (folder.path().join("data"), folder.path().join("commands"));
    fs::create_dir(&commands).unwrap();
    let rule = json!({"id": "r", "sql": "SELECT * FROM one", "actions": [{"nop": {}}]});
    let all = file(&[("post", "/streams", stream("one")), ("POST", "/rules", rule), ("get", "/streams", Value::Null)]);
    fs::write(commands.join("a.json"), all).unwrap();
    // Stops at its first failure; the other files run all the same.
    let failing = [("post", "/streams", stream("one")), ("post", "/streams", stream("never"))];
    fs::write(commands.join("b.json"), file(&failing)).unwrap();
    fs::write(commands.join("c.json"), "{").unwrap();
    fs::write(commands.join("d.json"), file(&[("post", "/streams", stream("two"))])).unwrap();
    fs::write(commands.join("readme.txt"), "no command file").unwrap();
    let arguments = ["--rest-listen", "127.0.0.1:0", "--command-dir", commands.to_str().unwrap()];
    let program = Program::start(&data, &arguments, &[]);
    let streams = |program: &Program| program.ok("GET", "/streams", "").trim().to_owned();
    assert_eq!(streams(&program), r#"["one","two"]"#);
    assert!(program.ok("GET", "/rules", "").contains(r#""id":"r""#));
    let history: Value = serde_json::from_slice(&fs::read(commands.join(".history")).unwrap()).unwrap();
    assert_eq!(history[0]["name"], "a.json");
    assert!(history[0]["loadTime"].as_u64().unwrap() > 1_600_000_000, "{history}");

    // A change runs that file, and only it.
    fs::write(commands.join("d.json"), file(&[("delete", "/streams/two", Value::Null)])).unwrap();
    eventually("the changed file's effect", || (streams(&program) == r#"["one"]"#).then_some(()));
    program.ok("DELETE", "/rules/r", "");
    drop(program);

    // Not again at the next start.
    let program = Program::start(&data, &arguments, &[]);
    assert_eq!(streams(&program), r#"["one"]"#);
    assert_eq!(program.ok("GET", "/rules", "").trim(), "[]");
}

/// A ConfigMap's files are links through `..data`, a link to a folder that is replaced by a rename.
#[test]
fn a_new_version_of_a_config_map_runs() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("mount");
    let version = |name: &str, text: String| {
        fs::create_dir_all(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("a.json"), text).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..1", file(&[("post", "/streams", stream("one"))]));
    symlink("..data/a.json", mount.join("a.json")).unwrap();
    let arguments = ["--rest-listen", "127.0.0.1:0", "--command-dir", mount.to_str().unwrap()];
    let program = Program::start(&folder.path().join("data"), &arguments, &[]);
    assert_eq!(program.ok("GET", "/streams", "").trim(), r#"["one"]"#);
    version("..2", file(&[("post", "/streams", stream("two"))]));
    fs::remove_dir_all(mount.join("..1")).unwrap();
    eventually("the new version", || (program.ok("GET", "/streams", "").trim() == r#"["one","two"]"#).then_some(()));
}
