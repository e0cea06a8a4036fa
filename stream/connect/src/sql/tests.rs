//! Statements as text, a SQLite file, and a real PostgreSQL and MariaDB.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use edgeward_engine::{Connection, SinkError, Value};
use serde_json::{Value as Json, json};

use super::config::{SinkConfig, SourceConfig};
use super::database::Database;
use super::dialect::statements;
use super::place::Place;
use crate::peer::{Peer, certificate, free_port, left_out, run};
use crate::testing::{emission, look_by, props, request, start, until_some};
use crate::{Hosts, LookupRequest, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

fn check(url: &str, properties: Json, rows: &str, expect: &[&str]) {
    let mut all = json!({"url": url, "table": "t"});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    let config = SinkConfig::read(&props(&all)).unwrap();
    let maps: Vec<_> = emission(rows).rows.iter().map(|row| row.to_map()).collect();
    let maps: Vec<_> = maps.iter().map(|map| &**map).collect();
    let got = statements(&config, "t", &maps).unwrap_or_else(|error| vec![format!("error: {error}")]);
    assert_eq!(got, expect, "{url} {properties}");
}

#[test]
fn writes_statements() {
    let (lite, pg, my) = ("sqlite://x", "postgres://h", "mysql://h");
    let rows = r#"[{"a":1,"b":"it's \\"},{"a":2.5,"b":null},{"a":3}]"#;
    check(
        lite,
        json!({}),
        rows,
        &[r"INSERT INTO t (a,b) VALUES (1,'it''s \'),(2.5,NULL)", "INSERT INTO t (a) VALUES (3)"],
    );
    check(my, json!({"fields": ["b", "a"]}), rows, &[r"INSERT INTO t (b,a) VALUES ('it''s \\',1),(NULL,2.5),(NULL,3)"]);
    let rows = r#"[{"k":"insert","id":1,"v":"x"},{"k":"update","id":1,"v":"y"},{"k":"upsert","id":"a","v":true},{"k":"delete","id":2},{"id":4}]"#;
    let kinds = json!({"rowkindField": "k", "keyField": "id"});
    let common = ["INSERT INTO t (id,v) VALUES (1,'x')", "UPDATE t SET id = 1, v = 'y' WHERE id = 1"];
    let (delete, last) = ("DELETE FROM t WHERE id = 2", "INSERT INTO t (id) VALUES (4)");
    let upsert = "INSERT INTO t (id,v) VALUES ('a',true) ON CONFLICT (id) DO UPDATE SET id = 'a', v = true";
    check(pg, kinds.clone(), rows, &[common[0], common[1], upsert, delete, last]);
    let upsert = "INSERT INTO t (id,v) VALUES ('a',true) ON DUPLICATE KEY UPDATE id = 'a', v = true";
    check(my, kinds.clone(), rows, &[common[0], common[1], upsert, delete, last]);
    check(lite, kinds.clone(), r#"[{"k":"merge","id":1}]"#, &["error: invalid rowkind merge"]);
    check(lite, kinds, r#"[{"k":"delete"}]"#, &["error: field id does not exist in data map[k:delete]"]);
    let odd = r#"[{"a\"b`c":{"x":[1]}}]"#;
    check(pg, json!({}), odd, &[r#"INSERT INTO t ("a""b`c") VALUES ('{"x":[1]}')"#]);
    check(my, json!({}), odd, &[r#"INSERT INTO t (`a"b``c`) VALUES ('{"x":[1]}')"#]);
    check(lite, json!({}), r#"[{}]"#, &["error: a row has no columns to write"]);
    check(lite, json!({}), "[{\"a\":\"\\u0000\"}]", &["error: a text with a zero byte cannot be stored"]);
}

#[test]
fn asks_for_rows_beyond_the_last() {
    for (query, expect) in [
        (json!({"table": "t"}), "SELECT * FROM t"),
        (json!({"table": "s.t", "limit": 3}), "SELECT * FROM s.t LIMIT 3"),
        (json!({"table": "t", "indexField": "id"}), "SELECT * FROM t ORDER BY id ASC"),
        (
            json!({"table": "t", "limit": 1, "indexField": "at", "indexValue": "2022-04-21 10:23:55"}),
            "SELECT * FROM t WHERE at > '2022-04-21 10:23:55' ORDER BY at ASC LIMIT 1",
        ),
        (
            json!({"table": "t", "indexFields": [{"indexField": "a", "indexValue": 1}, {"indexField": "b", "indexValue": 2.5}]}),
            "SELECT * FROM t WHERE (a,b) > (1,2.5) ORDER BY a ASC, b ASC",
        ),
    ] {
        let config = SourceConfig::read(&props(&json!({"url": "sqlite:x", "internalSqlQueryCfg": query}))).unwrap();
        let super::config::Query::Table { table, limit } = &config.query else { panic!("a table") };
        assert_eq!(config.place.dialect().beyond(table, *limit, &config.indexes).as_deref(), Ok(expect));
    }
}

#[test]
fn times_of_an_index_are_written_as_its_format_says() {
    let query = json!({"table": "t", "indexField": "at", "indexFieldType": "DATETIME", "dateTimeFormat": "YYYY-MM-dd HH:mm:ss"});
    let mut config = SourceConfig::read(&props(&json!({"url": "sqlite:x", "internalSqlQueryCfg": query}))).unwrap();
    config.indexes[0].advance(&[("at".into(), Value::time_ms(86_401_000))].into());
    assert_eq!(config.indexes[0].value, Value::str("1970-01-02 00:00:01"));
}

/// What every database must do. `types` makes a table of all types and fills it.
async fn suite(url: &str, types: &[&str], expect: &str) {
    let ask = async |sql: &str| {
        let place = Place::read(&props(&json!({"url": url}))).unwrap();
        let rows = Database::new(place).query(sql.to_owned()).await.map_err(|failure| failure.text().to_owned())?;
        let rows = rows.into_iter().map(Value::Map).collect();
        Ok::<_, String>(edgeward_engine::json::Printer::default().text(&Value::array(rows)).unwrap())
    };
    for sql in types {
        ask(sql).await.unwrap();
    }
    assert_eq!(ask("SELECT * FROM types").await.unwrap(), expect);
    ask("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))").await.unwrap();

    let properties =
        json!({"url": url, "table": "{{.to}}", "tableDataField": "rows", "rowkindField": "do", "keyField": "id"});
    let mut sink = registry::sink("sql", &request(&properties), &Hosts::default()).unwrap().sink;
    let message = |rows: &str| emission(&format!(r#"[{{"to":"t","rows":{rows}}}]"#));
    sink.send(&message(r#"[{"id":1,"v":"a"},{"id":2,"v":"b'\\"},{"id":3,"v":"c"}]"#)).await.unwrap();
    sink.send(&message(r#"[{"id":1,"v":"A","do":"update"},{"id":3,"do":"delete"}]"#)).await.unwrap();
    sink.send(&message(r#"[{"id":1,"v":"AA","do":"upsert"},{"id":4,"v":"d","do":"upsert"}]"#)).await.unwrap();
    // All or nothing: the row before the one that is refused is not kept.
    let error =
        sink.send(&message(r#"[{"id":9,"v":"x"},{"id":1,"v":"y","do":"insert"},{"nix":1}]"#)).await.unwrap_err();
    assert!(matches!(error, SinkError::Rejected(_)), "{error:?}");
    let rows = r#"[{"id":1,"v":"AA"},{"id":2,"v":"b'\\"},{"id":4,"v":"d"}]"#;
    assert_eq!(ask("SELECT * FROM t ORDER BY id").await.unwrap(), rows);
    assert_eq!(sink.connection(), Some(Connection::Connected));

    let request =
        LookupRequest { table: "t".into(), datasource: "t".into(), key: None, props: props(&json!({"url": url})) };
    let table = registry::lookup("sql", &request, &Hosts::default()).unwrap();
    let keys: [Arc<str>; 2] = ["id".into(), "v".into()];
    for (values, expect) in [
        (&[Value::Float(2.0)][..], r#"[{"id":2,"v":"b'\\"}]"#),
        (&[Value::Int(2), Value::str("b'\\")], r#"[{"id":2,"v":"b'\\"}]"#),
        (&[Value::Int(2), Value::str("b")], "[]"),
    ] {
        assert_eq!(look_by(&*table, &keys[..values.len()], values).await.as_deref(), Ok(expect));
    }

    let query = json!({"table": "t", "limit": 2, "indexField": "id", "indexValue": 1});
    let properties = json!({"url": url, "interval": "20ms", "internalSqlQueryCfg": query});
    let mut running = start("sql", STREAM, &properties, &Hosts::default()).unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"id":2,"v":"b'\\"}"#, r#"{"id":4,"v":"d"}"#]);
    ask("INSERT INTO t VALUES (5, 'e')").await.unwrap();
    assert_eq!(running.row().await, r#"{"id":5,"v":"e"}"#);
    running.stop().await;
    let query = json!({"templateSql": "SELECT v FROM t WHERE id = {{.id}}", "indexField": "id", "indexValue": 4});
    let properties = json!({"dburl": url, "interval": "1h", "templateSqlQueryCfg": query});
    let mut running = start("sql", STREAM, &properties, &Hosts::default()).unwrap();
    assert_eq!(running.row().await, r#"{"v":"d"}"#);
    running.stop().await;
    let query = json!({"table": "none"});
    let properties = json!({"url": url, "interval": "1h", "internalSqlQueryCfg": query});
    let mut running = start("sql", STREAM, &properties, &Hosts::default()).unwrap();
    assert!(running.row().await.contains("none"));
    running.stop().await;
}

#[tokio::test]
async fn a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let types = [
        "CREATE TABLE types (i INTEGER, f REAL, s TEXT, b BLOB, n TEXT)",
        "INSERT INTO types VALUES (9007199254740993, 1.5, 'ä''', X'00ff', NULL)",
    ];
    let expect = r#"[{"b":"AP8=","f":1.5,"i":9007199254740993,"n":null,"s":"ä'"}]"#;
    suite(&format!("sqlite://{}", folder.path().join("a b.db").display()), &types, expect).await;
}

/// A folder that the user a database must run as can write to, and the words before the program.
fn folder_for(user: &str) -> Option<(tempfile::TempDir, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let id = |option: &str| {
        let output = Command::new("id").args([option, user]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let own = Command::new("id").arg("-u").output().unwrap();
    if own.stdout.trim_ascii() != b"0" {
        return Some((folder, Vec::new()));
    }
    // Neither server runs as root.
    let (Some(uid), Some(gid)) = (id("-u"), id("-g")) else {
        left_out(&format!("the user {user}"));
        return None;
    };
    std::os::unix::fs::chown(folder.path(), uid.parse().ok(), gid.parse().ok()).unwrap();
    let words = ["setpriv".into(), format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()];
    Some((folder, words.into()))
}

async fn wait_for(url: &str) {
    let place = Place::read(&props(&json!({"url": url}))).unwrap();
    until_some(async || Database::new(place.clone()).query("SELECT 1".into()).await.ok()).await;
}

fn programs(pattern: &str, program: &str) -> Option<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(pattern).ok()?.flatten().map(|entry| entry.path().join(program)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop()
}

#[tokio::test]
async fn a_postgresql_server() {
    let Some(initdb) = programs("/usr/lib/postgresql", "bin/initdb") else { return left_out("PostgreSQL") };
    let Some((folder, words)) = folder_for("postgres") else { return };
    let (data, port) = (folder.path().join("data"), free_port());
    let (data, words): (_, Vec<&str>) = (data.to_str().unwrap(), words.iter().map(String::as_str).collect());
    run(&[
        &words[..],
        &[initdb.to_str().unwrap(), "-N", "--no-locale", "-E", "UTF8", "-U", "postgres", "-A", "trust", "-D", data],
    ]
    .concat());
    let Some((certificate, key)) = certificate(folder.path()) else { return };
    // The server wants its key to be its own, or root's and readable for its group.
    for file in [&certificate, &key] {
        let text = std::fs::read(file).unwrap();
        let copy = format!("{data}/{}", file.file_name().unwrap().to_str().unwrap());
        std::fs::write(&copy, text).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data).unwrap());
        std::os::unix::fs::chown(&copy, Some(owner), None).unwrap();
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let access = "hostssl all tls 127.0.0.1/32 scram-sha-256\nhost all scram 127.0.0.1/32 scram-sha-256\n\
                  host all md5 127.0.0.1/32 md5\nhost all plain 127.0.0.1/32 password\nhost all postgres 127.0.0.1/32 trust\n";
    std::fs::write(format!("{data}/pg_hba.conf"), access).unwrap();
    let (port, server) = (port.to_string(), initdb.with_file_name("postgres"));
    let options = ["-D", data, "-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-F"];
    let tls = ["-c", "ssl=on", "-c", "ssl_cert_file=cert.pem", "-c", "ssl_key_file=key.pem"];
    let words = [&words[..], &[server.to_str().unwrap()], &options, &tls].concat();
    let Some(_peer) = Peer::start(words[0], &words[1..]) else { return };
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    wait_for(&url).await;
    let types = [
        "CREATE TABLE types (b BOOL, i BIGINT, f FLOAT8, n NUMERIC(8,2), s TEXT, y BYTEA, t TIMESTAMPTZ, l TIMESTAMP, d DATE, \
         j JSONB, e TEXT)",
        "INSERT INTO types VALUES (true, 9007199254740993, 1.5, 2.50, 'ä''', '\\x00ff', '1970-01-02 01:00:00.5+01', \
         '1970-01-02 00:00:00', '1970-01-02', '[1]', NULL)",
    ];
    let expect = r#"[{"b":true,"d":"1970-01-02T00:00:00Z","e":null,"f":1.5,"i":9007199254740993,"j":"[1]","l":"1970-01-02T00:00:00Z","n":2.5,"s":"ä'","t":"1970-01-02T00:00:00.5Z","y":"AP8="}]"#;
    suite(&url, &types, expect).await;
    let setup = "SET password_encryption = 'md5'; CREATE USER md5 PASSWORD 'g: @'; SET password_encryption = 'scram-sha-256'; \
                 CREATE USER scram PASSWORD 'g: @'; CREATE USER plain PASSWORD 'g: @'; CREATE USER tls PASSWORD 'g: @'";
    Database::new(Place::read(&props(&json!({"url": url}))).unwrap()).query(setup.into()).await.unwrap();
    let root = certificate.to_str().unwrap();
    let login = |user: &str, password: &str, mode: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres{mode}")
    };
    for (url, expect) in [
        (login("scram", "g:%20%40", "?sslmode=disable"), ""),
        (login("md5", "g:%20%40", "?sslmode=disable"), ""),
        (login("plain", "g:%20%40", "?sslmode=disable"), ""),
        (login("tls", "g:%20%40", ""), ""),
        (login("tls", "g:%20%40", "?sslmode=require"), ""),
        (login("tls", "g:%20%40", "?sslmode=verify-full"), ""),
        (login("tls", "g:%20%40", "?sslmode=disable"), "no pg_hba.conf entry"),
        (login("scram", "no", ""), "password authentication failed"),
        (login("md5", "no", ""), "password authentication failed"),
    ] {
        let place = Place::read(&props(&json!({"url": url, "rootCaPath": root}))).unwrap();
        match Database::new(place).query("SELECT 1".into()).await {
            Ok(_) => assert_eq!(expect, "", "{url}"),
            Err(failure) => assert!(!expect.is_empty() && failure.text().contains(expect), "{url}: {failure:?}"),
        }
    }
}

#[tokio::test]
async fn a_mariadb_server() {
    let program = Path::new("/usr/sbin/mariadbd");
    if !program.exists() {
        return left_out("MariaDB");
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port().to_string());
    let Some((certificate, key)) = certificate(folder.path()) else { return };
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    // Whoever runs the test; root has to be named.
    let own_name = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = &format!("--user={}", String::from_utf8_lossy(&own_name).trim());
    run(&[
        "mariadb-install-db",
        "--no-defaults",
        user,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        &option("datadir", &data),
    ]);
    let init = folder.path().join("init.sql");
    let setup = "CREATE DATABASE lab;\nCREATE USER u@'127.0.0.1' IDENTIFIED BY 'g: @';\nGRANT ALL ON lab.* TO u@'127.0.0.1';\n\
                 CREATE USER tls@'127.0.0.1' IDENTIFIED BY 'g' REQUIRE SSL;\nGRANT ALL ON lab.* TO tls@'127.0.0.1';\n";
    std::fs::write(&init, setup).unwrap();
    let own = [
        option("datadir", &data),
        option("socket", &folder.path().join("s")),
        option("pid-file", &folder.path().join("p")),
        option("init-file", &init),
        option("ssl-cert", &certificate),
        option("ssl-key", &key),
        format!("--port={port}"),
    ];
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let fixed =
        ["--no-defaults", user, "--bind-address=127.0.0.1", "--sql-mode=NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES"];
    let Some(_peer) = Peer::start(program.to_str().unwrap(), &[&fixed[..], &own].concat()) else { return };
    let url = format!("mysql://u:g:%20%40@127.0.0.1:{port}/lab");
    wait_for(&url).await;
    let types = [
        "CREATE TABLE types (i BIGINT, f DOUBLE, n DECIMAL(8,2), s TEXT, y BLOB, t DATETIME(3), d DATE, e TEXT) CHARACTER SET utf8mb4",
        "INSERT INTO types VALUES (9007199254740993, 1.5, 2.50, 'ä''', X'00ff', '1970-01-02 00:00:00.5', '1970-01-02', NULL)",
    ];
    let expect = r#"[{"d":"1970-01-02T00:00:00Z","e":null,"f":1.5,"i":9007199254740993,"n":2.5,"s":"ä'","t":"1970-01-02T00:00:00.5Z","y":"AP8="}]"#;
    suite(&url, &types, expect).await;
    let root = certificate.to_str().unwrap();
    let login = |user: &str, mode: &str| format!("mysql://{user}@127.0.0.1:{port}/lab{mode}");
    for (url, expect) in [
        (login("u:g:%20%40", "?tls=false"), ""),
        (login("u:no", ""), "Access denied"),
        (login("tls:g", ""), ""),
        (login("tls:g", "?tls=true"), ""),
        (login("tls:g", "?tls=false"), "Access denied"),
    ] {
        let place = Place::read(&props(&json!({"url": url, "rootCaPath": root}))).unwrap();
        match Database::new(place).query("SELECT 1".into()).await {
            Ok(_) => assert_eq!(expect, "", "{url}"),
            Err(failure) => assert!(!expect.is_empty() && failure.text().contains(expect), "{url}: {failure:?}"),
        }
    }
}
