//! `etc/kuiper.yaml` and its neighbours.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Program, command, eventually};

const ANY: [&str; 2] = ["--rest-listen", "127.0.0.1:0"];

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The arguments with an etc folder.
fn with_etc(etc: &Path) -> Vec<&str> {
    [&["--etc", etc.to_str().unwrap()], &ANY[..]].concat()
}

#[test]
fn settings_take_effect_or_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    let yaml = "basic:\n  restPort: 1\n  timezone: Asia/Tokyo\n  ignoreCase: false\n  colour: red\n  allowExternalFileAccess: false\n\
                rule:\n  sendError: true\nsource:\n  httpServerPort: 0\n";
    write(&etc, "kuiper.yaml", yaml);
    let out = folder.path().join("data/out");
    write(
        &etc,
        "sources/simulator.yaml",
        "default:\n  data: [{a: 1}]\n  interval: 20ms\n  loop: true\ntwo:\n  data: [{a: 2}]\n",
    );
    write(&etc, "sinks/file.yaml", &format!("mine:\n  path: {}\n  fileType: lines\n", out.display()));
    write(&etc, "init.json", &json!({"streams": {"demo": "CREATE STREAM demo () WITH (TYPE=\"simulator\", CONF_KEY=\"two\", DATASOURCE=\"x\")"}, "tables": {}, "rules": {}}).to_string());
    let environment =
        [("KUIPER__BASIC__LOGLEVEL", "info"), ("KUIPER__BASIC__PORT", "3"), ("SIMULATOR__TWO__DATA", "[]")];
    let (program, log) = Program::start_logged(&folder.path().join("data"), &with_etc(&etc), &environment[..2]);

    // Every key without effect is named, once.
    let named: Vec<&str> = log.iter().filter_map(|line| line["fields"]["keys"].as_str()).collect();
    assert_eq!(named, ["basic.ignoreCase, basic.port", "basic.colour"]);

    // init.json was imported; configuration keys of sources and sinks are found; rules have the defaults of `rule:`.
    assert_eq!(program.ok("GET", "/streams", "").trim(), r#"["demo"]"#);
    let rule = json!({"id": "r", "sql": "SELECT a, hour(now()) AS h, a + \"x\" AS e FROM demo",
        "actions": [{"file": {"resourceId": "mine", "sendSingle": true}}]});
    program.ok("POST", "/rules", &rule.to_string());
    eventually("an error row of the rule", || fs::read_to_string(&out).ok()?.contains(r#""error""#).then_some(()));

    // Files outside of the uploads are not read.
    let (status, answer) = program.call("POST", "/ruleset/import", r#"{"file": "/etc/hostname"}"#);
    assert!(status == 400 && answer.contains("allowExternalFileAccess"), "{status} {answer}");
    let (status, answer) =
        program.call("POST", "/plugins/portables", r#"{"name": "x", "file": "file:///etc/hostname.zip"}"#);
    assert!(status == 400 && answer.contains("allowExternalFileAccess"), "{status} {answer}");

    // What was imported once and dropped does not come back.
    program.ok("DELETE", "/rules/r", "");
    program.ok("DELETE", "/streams/demo", "");
    drop(program);
    let program = Program::start(&folder.path().join("data"), &with_etc(&etc), &environment);
    assert_eq!(program.ok("GET", "/streams", "").trim(), "[]");
    // The environment wins over the file.
    let keys: Value = serde_json::from_str(&program.ok("GET", "/metadata/sources/yaml/simulator", "")).unwrap();
    assert_eq!((&keys["two"]["data"], &keys["default"]["loop"]), (&json!([]), &json!(true)), "{keys}");
}

#[test]
fn wrong_files_end_the_program_with_one_line() {
    for (file, text, expect) in [
        ("kuiper.yaml", "basic:\n  restPort: many\n", "basic.restPort: must be a whole number, not many"),
        ("kuiper.yaml", "basic:\n  timezone: Mars/Base\n", "basic.timezone: must be Local, UTC or a name"),
        (
            "kuiper.yaml",
            "basic:\n  restTls:\n    certfile: /none\n    keyfile: /none\n",
            "basic.restTls.certfile: /none",
        ),
        ("kuiper.yaml", "basic: [\n", "not valid YAML"),
        ("mqtt_source.yaml", "default: 7\n", "mqtt_source.yaml: default: must be a section with keys"),
        ("connections/connection.yaml", "a: {b", "connection.yaml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), file, text);
        let output = command(&folder.path().join("data"), &with_etc(folder.path()), &[("EDGEWARD_LOG", "off")]);
        let output = { output }.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expect), "{file}: {text}{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("edgeward: ")).count(), 1, "{said}");
    }
}

/// A token as eKuiper's clients make it, signed by the command line of OpenSSL; none where there is no OpenSSL.
fn token(etc: &Path, audience: &str) -> Option<String> {
    use std::process::Command;
    let (key, public) = (etc.join("key.pem"), etc.join("mgmt/someone"));
    fs::create_dir_all(etc.join("mgmt")).unwrap();
    let run = |command: &mut Command| command.output().ok().filter(|output| output.status.success());
    if !key.exists() {
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"))?;
        run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public))?;
    }
    let script = format!(
        "b() {{ openssl base64 -A | tr '+/' '-_' | tr -d '='; }}\n\
         head=$(printf '%s' '{{\"alg\":\"RS256\",\"typ\":\"JWT\"}}' | b)\n\
         body=$(printf '%s' '{{\"iss\":\"someone\",\"aud\":\"{audience}\"}}' | b)\n\
         sign=$(printf '%s' \"$head.$body\" | openssl dgst -sha256 -sign \"$0\" -binary | b)\n\
         printf '%s' \"$head.$body.$sign\""
    );
    let made = run(Command::new("sh").arg("-c").arg(script).arg(&key))?;
    Some(String::from_utf8(made.stdout).unwrap())
}

#[test]
fn authentication_asks_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    write(&etc, "kuiper.yaml", "basic:\n  authentication: true\n");
    let Some(good) = token(&etc, "eKuiper") else {
        eprintln!("!!! LEFT OUT: authentication of `edgeward stream`: no openssl");
        return;
    };
    let program = Program::start(&folder.path().join("data"), &with_etc(&etc), &[]);
    let with = |token: &str| program.call_with("GET", "/streams", "", &format!("Authorization: {token}\r\n"));
    assert_eq!(program.call("GET", "/ping", "").0, 200);
    assert_eq!(program.call("GET", "/streams", ""), (401, "missing_token\n".into()));
    assert_eq!(with(&good).0, 200);
    let refused = |token: &str, expect: &str| assert_eq!(with(token), (401, format!("{expect}\n")));
    refused(&token(&etc, "other").unwrap(), "token has invalid claims: token has invalid audience");
    refused("a.b", "token is malformed: token contains an invalid number of segments");
    let (signed, _) = good.rsplit_once('.').unwrap();
    refused(&format!("{signed}.AAAA"), "token signature is invalid: crypto/rsa: verification error");
    fs::rename(etc.join("mgmt/someone"), etc.join("mgmt/other")).unwrap();
    refused(&good, "token is unverifiable: error while executing keyfunc: not found issuer someone");
}

/// Key and certificate of 127.0.0.1, where there are OpenSSL and curl.
fn certificate(folder: &Path) -> Option<(String, String)> {
    use std::process::Command;
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    make.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    let tools = make.output().is_ok_and(|made| made.status.success());
    let tools = tools && Command::new("curl").arg("--version").output().is_ok();
    tools.then(|| (key.to_str().unwrap().to_owned(), certificate.to_str().unwrap().to_owned()))
}

#[test]
fn rest_over_tls() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let Some((key, certificate)) = certificate(folder.path()) else {
        eprintln!("!!! LEFT OUT: REST over TLS: no openssl or no curl");
        return;
    };
    let environment =
        [("KUIPER__BASIC__RESTTLS__CERTFILE", certificate.as_str()), ("KUIPER__BASIC__RESTTLS__KEYFILE", key.as_str())];
    let program = Program::start(&folder.path().join("data"), &ANY, &environment);
    let url = format!("https://{}/streams", program.rest);
    let answer = Command::new("curl")
        .args(["-sS", "--max-time", "60", "--cacert"])
        .arg(&certificate)
        .arg(&url)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "[]", "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn the_log_goes_to_files_when_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment = [
        ("KUIPER__BASIC__FILELOG", "true"),
        ("KUIPER__BASIC__CONSOLELOG", "true"),
        ("KUIPER__BASIC__LOGDISABLETIMESTAMP", "true"),
        ("KUIPER__BASIC__ENABLERESTAUDITLOG", "true"),
        ("KUIPER__BASIC__ROTATESIZE", "2000"),
        ("KUIPER__BASIC__ROTATECOUNT", "2"),
    ];
    let program = Program::start(&data, &ANY, &environment);
    let log = || fs::read_to_string(data.join("log/stream.log")).unwrap_or_default();
    eventually("the log in a file", || log().contains("stream engine ready").then_some(()));
    assert!(!log().contains("\"timestamp\":\"2"), "{}", log());
    // Nothing is written while it is switched off.
    program.ok("PATCH", "/configs", r#"{"fileLog": false}"#);
    let before = log();
    program.call("POST", "/streams", "{");
    assert_eq!(log(), before);
    program.ok("PATCH", "/configs", r#"{"fileLog": true, "logLevel": "debug"}"#);
    // Files are put aside when they are full, and two of them kept.
    eventually("files put aside", || {
        program.ok("POST", "/streams", r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"memory\", DATASOURCE=\"x\")"}"#);
        program.ok("POST", "/rules", r#"{"id":"r","sql":"SELECT * FROM s","actions":[{"log":{}}]}"#);
        program.ok("DELETE", "/rules/r", "");
        program.ok("DELETE", "/streams/s", "");
        let files = fs::read_dir(data.join("log")).unwrap().count();
        assert!(files <= 3, "{files} files");
        (files == 3).then_some(())
    });
}

#[test]
fn the_shared_server_speaks_tls() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let Some((key, certificate)) = certificate(folder.path()) else {
        eprintln!("!!! LEFT OUT: TLS of the shared HTTP server: no openssl or no curl");
        return;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let environment = [
        ("KUIPER__SOURCE__HTTPSERVERTLS__CERTFILE", certificate.as_str()),
        ("KUIPER__SOURCE__HTTPSERVERTLS__KEYFILE", key.as_str()),
        ("KUIPER__SOURCE__HTTPSERVERPORT", port.as_str()),
    ];
    let program = Program::start(&folder.path().join("data"), &ANY, &environment);
    let out = folder.path().join("out");
    program.ok(
        "POST",
        "/streams",
        r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"httppush\", DATASOURCE=\"/in\", FORMAT=\"json\")"}"#,
    );
    let rule = json!({"id": "r", "sql": "SELECT a FROM s", "actions": [{"file": {"path": out, "sendSingle": true}}]});
    program.ok("POST", "/rules", &rule.to_string());
    eventually("a row pushed over TLS", || {
        let mut push = Command::new("curl");
        push.args(["-sS", "--max-time", "60", "--cacert", &certificate, "-d", r#"{"a":7}"#]);
        push.arg(format!("https://127.0.0.1:{port}/in")).output().unwrap();
        fs::read_to_string(&out).ok()?.contains(r#"{"a":7}"#).then_some(())
    });
}

#[test]
fn files_elsewhere_are_out_of_bounds_when_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment = [("KUIPER__BASIC__ALLOWEXTERNALFILEACCESS", "false")];
    let program = Program::start(&data, &ANY, &environment);
    program.ok("POST", "/streams", r#"{"sql":"CREATE STREAM m () WITH (TYPE=\"memory\", DATASOURCE=\"m\")"}"#);
    let rule =
        |path: &Path| json!({"id": "r", "sql": "SELECT * FROM m", "actions": [{"file": {"path": path}}]}).to_string();
    let (status, answer) = program.call("POST", "/rules", &rule(&folder.path().join("out")));
    assert!(status == 400 && answer.contains("allowExternalFileAccess"), "{status} {answer}");
    program.ok("POST", "/rules", &rule(&data.join("uploads/out")));
}
