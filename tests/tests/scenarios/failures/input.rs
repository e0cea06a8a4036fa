//! Input that is wrong gets an error in the form its client expects, and changes nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::site::ports;
use edgeward_tests::{Cloud, Node, PATIENCE, http as plain, scenario};
use http::Method;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEVICES: &str = "/apis/devices.kubeedge.io/v1beta1/namespaces/default/devices";

#[test]
fn wrong_manifests_get_a_status_that_names_the_field() {
    scenario("manifests", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let object = json!({"metadata": {"name": "taken"}, "data": {"a": "b"}});
        let taken = api.create(CONFIG_MAPS, &object).await?;
        let stale = json!({"metadata": {"name": "taken", "resourceVersion": "1"}, "data": {"a": "c"}}).to_string();
        let large = json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(9_000_000)}}).to_string();
        let post = || Method::POST;
        let one = format!("{CONFIG_MAPS}/taken");
        let merge = "application/merge-patch+json";
        let steps = "application/json-patch+json";
        let cases: [(Method, &str, &str, &str, u16, &str, &str); 14] = [
            (post(), CONFIG_MAPS, JSON, "{", 400, "BadRequest", ""),
            (post(), CONFIG_MAPS, JSON, "", 400, "BadRequest", ""),
            (
                post(),
                CONFIG_MAPS,
                JSON,
                r#"{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}}"#,
                400,
                "BadRequest",
                "Secret",
            ),
            (post(), CONFIG_MAPS, JSON, r#"{"metadata": {"name": "Bad_Name"}}"#, 422, "Invalid", "metadata.name"),
            (post(), CONFIG_MAPS, JSON, r#"{"metadata": {}}"#, 422, "Invalid", "name"),
            (post(), CONFIG_MAPS, JSON, r#"{"metadata": {"name": "taken"}}"#, 409, "AlreadyExists", "taken"),
            (post(), CONFIG_MAPS, "application/xml", "<a/>", 415, "UnsupportedMediaType", ""),
            (
                post(),
                PODS,
                JSON,
                r#"{"metadata": {"name": "empty"}, "spec": {"containers": []}}"#,
                422,
                "Invalid",
                "spec.containers",
            ),
            (
                post(),
                DEVICES,
                JSON,
                r#"{"apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": {"name": "d"}, "spec": {"nodeName": 5}}"#,
                422,
                "Invalid",
                "spec.nodeName",
            ),
            (post(), "/api/v1/namespaces/default/nonsense", JSON, "{}", 404, "NotFound", ""),
            (Method::PUT, &one, JSON, &stale, 409, "Conflict", "taken"),
            (Method::PATCH, &one, merge, "[", 400, "BadRequest", ""),
            (Method::PATCH, &one, steps, r#"[{"op": "remove", "path": "/data/none"}]"#, 422, "Invalid", ""),
            (Method::GET, "/api/v1/pods?labelSelector=a+in+(", JSON, "", 400, "BadRequest", ""),
        ];
        for (method, path, kind, body, code, reason, word) in cases {
            let shown = format!("{method} {path} {}", body.chars().take(80).collect::<String>());
            let (status, answer) = api.call(method, path, kind, body.as_bytes().to_vec()).await?;
            let message = answer["message"].as_str().unwrap_or_default();
            let is_status = answer["kind"] == "Status" && answer["status"] == "Failure" && answer["code"] == status;
            anyhow::ensure!(status == code && is_status && answer["reason"] == reason, "{shown}: {status}: {answer}");
            anyhow::ensure!(!message.is_empty() && message.contains(word), "{shown}: {word:?} is not in {message:?}");
        }
        // The server may close the connection before it has read all of that.
        if let Ok((status, answer)) = api.call(post(), CONFIG_MAPS, JSON, large.into_bytes()).await {
            anyhow::ensure!(status == 413 && answer["kind"] == "Status", "9 MB: {status}: {answer}");
        }
        let now = api.list(CONFIG_MAPS).await?;
        let ours: Vec<_> = now.iter().filter(|map| map["data"]["a"].is_string()).collect();
        anyhow::ensure!(
            ours.len() == 1 && ours[0]["metadata"] == taken["metadata"] && ours[0]["data"] == taken["data"],
            "something changed: {ours:?}"
        );
        anyhow::ensure!(!cloud.process()?.said().contains("panicked"), "the server panicked");
        Ok(())
    });
}

#[test]
fn wrong_sql_gets_ekuipers_error() {
    scenario("sql", async |site| {
        // Only for its address: the engine runs alone.
        let node = Node::new(&site, 1, "alone", site.address(1));
        let mut command = site.command();
        command.arg("stream").arg("--data-dir").arg(site.dir().join("stream"));
        command.arg(format!("--rest-listen={}", node.rest()));
        let mut stream = site.spawn("stream", command)?;
        edgeward_tests::eventually("the rules' REST", PATIENCE, async || {
            stream.check()?;
            Ok((node.rules("GET", "/rules", &Value::Null).await?.0 == 200).then_some(()))
        })
        .await?;
        node.make(
            "/streams",
            &json!({"sql": r#"CREATE STREAM demo () WITH (DATASOURCE="demo", TYPE="memory", FORMAT="json")"#}),
        )
        .await?;
        let rule = |sql: &str| json!({"id": "r", "sql": sql, "actions": [{"log": {}}]}).to_string();
        let stream_of = |sql: &str| json!({"sql": sql}).to_string();
        let large = rule(&format!("SELECT '{}' FROM demo", "x".repeat(40_000_000)));
        let cases: Vec<(&str, &str, String, u16, &str)> = vec![
            ("POST", "/rules", rule("SELEC a FROM demo"), 400, "SELEC"),
            ("POST", "/rules", rule("SELECT a FROM"), 400, ""),
            ("POST", "/rules", rule("SELECT a FROM nowhere"), 400, "nowhere"),
            ("POST", "/rules", rule("SELECT nosuch(a) FROM demo"), 400, "nosuch"),
            ("POST", "/rules", rule("SELECT a FROM demo GROUP BY TUMBLINGWINDOW(ss)"), 400, ""),
            ("POST", "/rules", rule(&format!("SELECT {}a FROM demo", "(".repeat(100_000))), 400, ""),
            (
                "POST",
                "/rules",
                json!({"id": "r", "sql": "SELECT * FROM demo", "actions": [{"teleport": {}}]}).to_string(),
                400,
                "teleport",
            ),
            ("POST", "/rules", json!({"id": "r", "actions": [{"log": {}}]}).to_string(), 400, "neither sql"),
            ("POST", "/rules", "{".to_owned(), 400, ""),
            ("POST", "/streams", stream_of("CREATE STREAM"), 400, ""),
            (
                "POST",
                "/streams",
                stream_of(r#"CREATE STREAM demo () WITH (DATASOURCE="x", TYPE="memory", FORMAT="json")"#),
                400,
                "demo",
            ),
            ("POST", "/streams", stream_of(r#"CREATE STREAM other (a FLOATT) WITH (DATASOURCE="x")"#), 400, "FLOATT"),
            ("GET", "/rules/none", String::new(), 404, "none"),
            ("DELETE", "/streams/none", String::new(), 404, "none"),
            ("POST", "/rules/none/start", String::new(), 404, "none"),
        ];
        for (method, path, body, code, word) in cases {
            let (status, answer) = plain::call(None, node.rest(), method, path, &body).await?;
            let shown = format!("{method} {path} {}", body.chars().take(90).collect::<String>());
            let message = answer["message"].as_str().unwrap_or_default();
            anyhow::ensure!(status == code && answer["error"].is_number(), "{shown}: {status}: {answer}");
            anyhow::ensure!(!message.is_empty() && message.contains(word), "{shown}: {word:?} is not in {message:?}");
        }
        // It may also close the connection before it has read all of that.
        if let Ok((status, answer)) = plain::call(None, node.rest(), "POST", "/rules", &large).await {
            anyhow::ensure!((400..500).contains(&status), "40 MB: {status}: {answer}");
        }
        let (_, rules) = node.rules("GET", "/rules", &Value::Null).await?;
        anyhow::ensure!(rules == json!([]), "a refused rule is there: {rules}");
        stream.check()?;
        anyhow::ensure!(!stream.said().contains("panicked"), "the program panicked");
        Ok(())
    });
}

/// CONNECT of a client without a name.
const CONNECT: &[u8] = &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];

#[test]
fn wrong_bytes_end_their_connection_only() {
    scenario("bytes", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "target", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let after_connect = |bytes: &[u8]| [CONNECT, bytes].concat();
        let packets = [
            b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec(),
            vec![0x30, 4, 0, 1, b'a', b'b'],
            vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff],
            vec![0x10, 12, 0, 4, b'M', b'Q', b'X', b'X', 4, 2, 0, 60, 0, 0],
            vec![0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 9, 2, 0, 60, 0, 0],
            after_connect(CONNECT),
            after_connect(&[0x30, 0xff, 0xff, 0xff, 0x7f]),
            after_connect(&[0x30, 5, 0, 3, b'a', b'/', b'#']),
            after_connect(&[0x30, 4, 0, 2, 0xc3, 0x28]),
            after_connect(&[0x30, 2, 0, 9]),
            after_connect(&[0x36, 5, 0, 1, b'a', 0, 1]),
            after_connect(&[0x80, 6, 0, 1, 0, 1, b'a', 0]),
            after_connect(&[0x82, 2, 0, 1]),
            after_connect(&[0x82, 8, 0, 1, 0, 3, b'a', b'#', b'b', 0]),
            after_connect(&[0xf0, 0]),
            vec![0; 4096],
            vec![0xff; 4096],
        ];
        for packet in &packets {
            let closed = tokio::task::block_in_place(|| is_closed_after(node.mqtt(), packet));
            anyhow::ensure!(closed?, "the broker keeps a connection after {packet:02x?}");
        }
        let cloud_ports =
            [ports::API, ports::LINK, ports::ENROLL].map(|port| SocketAddr::from((cloud.address(), port)));
        for address in cloud_ports.into_iter().chain([node.rest(), node.local_api()]) {
            for bytes in [&b"\x16\x03\x01\xff\xff\x01\0\0"[..], &[0xff; 2048], b"GET \xff\xfe HTTP/9\r\n\r\n"] {
                // Whether it answers or closes is its business.
                let mut socket = TcpStream::connect(address)?;
                let _ = socket.write_all(bytes);
            }
        }
        let mut client = Mqtt::open(node.mqtt())?;
        client.subscribe("still/here").await?;
        client.publish("still/here", "yes").await?;
        anyhow::ensure!(client.next().await?.1 == "yes", "the broker does not work any more");
        node.ready(&cloud.api().await?).await?;
        for said in [cloud.process()?.said(), node.process()?.said()] {
            anyhow::ensure!(!said.contains("panicked"), "a program panicked");
        }
        Ok(())
    });
}

/// Whether the broker closes a connection on which this is sent.
fn is_closed_after(broker: SocketAddr, bytes: &[u8]) -> anyhow::Result<bool> {
    let mut socket = TcpStream::connect(broker)?;
    socket.set_read_timeout(Some(Duration::from_secs(15)))?;
    // It may close before it has read all.
    let _ = socket.write_all(bytes);
    let mut answer = [0; 64];
    loop {
        match socket.read(&mut answer) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
