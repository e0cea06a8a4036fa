//! Definitions, packages, and calls to real servers.

use std::borrow::Cow;
use std::io::{Cursor, Write as _};
use std::sync::Arc;

use edgeward_functions::{Context, UserFunctions, Value};
use edgeward_service::Tasks;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zip::write::SimpleFileOptions;

use super::*;

const PROTO: &str = r#"syntax = "proto3";
package lab;
import "google/api/annotations.proto";
import "google/protobuf/wrappers.proto";
service Lab {
  rpc Weigh(Thing) returns (Weight) { option (google.api.http) = { put: "/v1/{name}/weight" body: "*" }; }
  rpc Length(google.protobuf.StringValue) returns (google.protobuf.Int64Value) {}
  rpc Watch(Thing) returns (stream Weight) {}
}
message Thing { string name = 1; double size = 2; }
message Weight { double grams = 1; string unit = 2; }
"#;

fn package(files: &[(&str, &str)]) -> ServicePackage {
    ServicePackage(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

fn lab(protocol: &str, address: &str) -> ServicePackage {
    let definition = json!({"interfaces": {"i": {
        "address": address, "protocol": protocol, "schemaType": "protobuf", "schemaFile": "lab.proto",
        "functions": [{"name": "weight_of", "serviceName": "Weigh"}], "options": {"headers": {"X-Lab": "7"}},
    }}});
    package(&[("lab.json", &definition.to_string()), ("schemas/lab.proto", PROTO)])
}

fn open(folder: &Path) -> (Services, Tasks) {
    let tasks = Tasks::root("test");
    (Services::open(folder, &tasks).unwrap(), tasks)
}

/// Calls a function as a rule does: on a thread that may wait.
async fn call(services: &Services, name: &str, args: Vec<Value>) -> Result<Value, String> {
    let function = services.find(name).unwrap();
    let runtime = tokio::runtime::Handle::current();
    let called = tokio::task::spawn_blocking(move || {
        let _runtime = runtime.enter();
        let args: Vec<Cow<'_, Value>> = args.iter().map(Cow::Borrowed).collect();
        function.call(&args, &Context::default()).map_err(|error| error.to_string())
    });
    called.await.unwrap()
}

#[tokio::test]
async fn services_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (services, _tasks) = open(folder.path());
    services.create("lab", &lab("rest", "http://127.0.0.1:1")).unwrap();
    assert_eq!(services.functions(), ["Length", "weight_of"]);
    assert!(services.create("lab", &lab("rest", "http://127.0.0.1:1")).is_err());
    let error = services.create("lab2", &lab("grpc", "tcp://127.0.0.1:1")).unwrap_err().to_string();
    assert!(error.contains("belongs to service lab"), "{error}");
    let (services, _tasks) = open(folder.path());
    assert_eq!(services.list(), ["lab"]);
    let shown = json!({"About": null, "Interfaces": {"i": {"Desc": null, "Addr": "http://127.0.0.1:1", "Protocol": "rest",
        "Schema": {"SchemaType": "protobuf", "SchemaFile": "lab.proto"}, "Functions": ["Length", "weight_of"],
        "Options": {"headers": {"X-Lab": "7"}}}}});
    assert_eq!(services.get("lab").unwrap(), shown);
    let shown = json!({"FuncName": "weight_of", "ServiceName": "lab", "InterfaceName": "i",
        "Addr": "http://127.0.0.1:1", "MethodName": "Weigh"});
    assert_eq!(services.function("weight_of").unwrap(), shown);
    services.delete("lab").unwrap();
    assert!(services.delete("lab").is_err() && services.function("weight_of").is_err());
    let (services, _tasks) = open(folder.path());
    assert!(services.list().is_empty());
}

#[tokio::test]
async fn wrong_packages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (services, _tasks) = open(folder.path());
    let check = |files: &[(&str, &str)], expect: &str| {
        let error = services.create("s", &package(files)).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&[], "s.json is missing");
    check(&[("s.json", "{")], "cannot be read");
    check(&[("s.json", "{}")], "invalid service definition");
    check(&[("s.json", r#"{"interfaces":{}}"#)], "interfaces is empty");
    let interface = |text: &str| format!(r#"{{"interfaces":{{"i":{{"address":"http://h","protocol":{text}}}}}}}"#);
    check(&[("s.json", &interface(r#""msgpack-rpc""#))], "schemaFile is missing");
    check(&[("s.json", &interface(r#""soap""#))], "invalid service definition: unknown variant");
    check(&[("s.json", &interface(r#""rest""#))], "schemaFile is missing");
    check(&[("s.json", &interface(r#""rest","schemaType":"schemaless""#))], "functions is missing");
    check(&[("s.json", &interface(r#""grpc","schemaType":"schemaless","functions":[{"name":"a"}]"#))], "only for");
    check(&[("s.json", &interface(r#""rest","schemaFile":"a.proto""#))], "fail to parse schema file a.proto");
    check(&[("s.json", &interface(r#""rest","schemaFile":"../a.proto""#)), ("a.proto", "")], "fail to parse");
    let deep = format!("message A {}", "{message B ".repeat(10_000));
    check(&[("s.json", &interface(r#""rest","schemaFile":"a.proto""#)), ("schemas/a.proto", &deep)], "nested too deep");
    assert!(services.create("../s", &lab("rest", "http://h")).is_err());
}

#[test]
fn hostile_zips_are_refused() {
    let zip = |files: &[(&str, &[u8])]| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    assert!(ServicePackage::from_zip(&zip(&[("s.json", b"{}"), ("schemas/a.proto", b""), ("x.so", b"\xff")])).is_ok());
    let bomb = vec![b' '; 5 << 20];
    for (bytes, expect) in [
        (zip(&[("../s.json", b"{}")]), "leads elsewhere"),
        (zip(&[("s.json", &bomb)]), "larger than"),
        (zip(&[("s.json", b"\xff")]), "s.json"),
        (b"no zip".to_vec(), "cannot be read"),
    ] {
        let error = ServicePackage::from_zip(&bytes).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn folders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("s.json"), "{}").unwrap();
    std::fs::write(folder.path().join("schemas/a.proto"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("b.json")).unwrap();
    let read = ServicePackage::from_folder(folder.path()).unwrap();
    assert_eq!(read, package(&[("s.json", "{}"), ("schemas/a.proto", "x")]));
    assert_eq!(ServicePackage::from_json(&read.to_json()).unwrap(), read);
    assert!(ServicePackage::from_folder(Path::new("/no/such")).is_err());
}

/// A server that answers each request with what it was asked, as JSON.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let length = |text: &str| {
                let at = text.to_ascii_lowercase().find("content-length: ").map(|at| at + 16)?;
                text[at..].split("\r\n").next()?.parse::<usize>().ok()
            };
            loop {
                let mut part = [0; 4096];
                let count = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let whole =
                    text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head).unwrap_or(0));
                if whole || count == 0 {
                    break;
                }
            }
            let text = String::from_utf8(request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let lab = head.to_ascii_lowercase().contains("x-lab: 7");
            let line = head.split(" HTTP").next().unwrap();
            let status = if line.contains("fail") { "500 No" } else { "200 OK" };
            let answer = json!({"line": line, "body": body, "lab": lab, "n": 1.5}).to_string();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let (services, _tasks) = open(folder.path());
    let address = echo().await;
    services.create("lab", &lab("rest", &address)).unwrap();
    let definition = json!({"interfaces": {"i": {"address": address, "protocol": "rest", "schemaType": "schemaless",
        "functions": [{"name": "ask", "serviceName": "a"}]}}});
    services.create("free", &package(&[("free.json", &definition.to_string())])).unwrap();
    let text = |value: Result<Value, String>, key: &str| value.unwrap().as_map().unwrap()[key].clone();
    let answer = call(&services, "weight_of", vec!["a b/c".into(), 2.5.into()]).await;
    assert_eq!(text(answer.clone(), "line"), "PUT /v1/a%20b%2Fc/weight".into());
    assert_eq!((text(answer.clone(), "body"), text(answer, "lab")), (r#"{"size":2.5}"#.into(), true.into()));
    let thing: Map = [("name".into(), "x".into())].into();
    assert_eq!(text(call(&services, "weight_of", vec![thing.into()]).await, "line"), "PUT /v1/x/weight".into());
    let answer = call(&services, "Length", vec!["x".into()]).await;
    assert_eq!(
        (text(answer.clone(), "line"), text(answer, "body")),
        ("POST /Length".into(), r#"{"value":"x"}"#.into())
    );
    let answer = call(&services, "ask", vec!["post".into(), "a/b".into(), vec![Value::Int(1)].into()]).await;
    assert_eq!((text(answer.clone(), "line"), text(answer, "body")), ("POST /a/b".into(), "[1]".into()));
    for (name, args, expect) in [
        ("weight_of", vec![], "Expect 2 arguments but found 0."),
        ("ask", vec!["post".into()], "takes the HTTP method"),
        ("ask", vec!["GET".into(), "/fail".into()], "answered 500"),
    ] {
        let error = call(&services, name, args).await.unwrap_err();
        assert!(error.starts_with(&format!("call func {name} error: ")) && error.contains(expect), "{error}");
    }
}

use edgeward_functions::Map;

/// A gRPC server of the schema, over HTTP/2 with frames written by hand: no generated code is needed for it.
async fn grpc_server(tls: Option<tokio_rustls::TlsAcceptor>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "tcp" };
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream: Box<dyn Both> = match &tls {
                // A client that does not trust this server ends the handshake.
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
                None => Box::new(stream),
            };
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let path = request.uri().path().to_owned();
                let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
                Ok::<_, std::convert::Infallible>(answer(&path, &body))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service));
        }
    });
    address
}

trait Both: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Both for T {}

type Frames = http_body_util::StreamBody<
    futures::stream::Iter<std::vec::IntoIter<Result<hyper::body::Frame<bytes::Bytes>, std::convert::Infallible>>>,
>;

/// `Weigh` answers ten times the size in grams, anything else is unknown.
fn answer(path: &str, body: &[u8]) -> http::Response<Frames> {
    let mut trailers = http::HeaderMap::new();
    let mut frames = Vec::new();
    if path == "/lab.Lab/Weigh" {
        // A compression flag, a length, then field 2 (double, tag 0x11) at the end of the message.
        let size = f64::from_le_bytes(body[body.len() - 8..].try_into().unwrap());
        let mut message = vec![0, 0, 0, 0, 12, 0x09];
        message.extend((size * 10.0).to_le_bytes());
        message.extend([0x12, 1, b'g']);
        frames.push(Ok(hyper::body::Frame::data(message.into())));
        trailers.insert("grpc-status", 0.into());
    } else {
        trailers.insert("grpc-status", 12.into());
        trailers.insert("grpc-message", http::HeaderValue::from_static("nothing here"));
    }
    frames.push(Ok(hyper::body::Frame::trailers(trailers)));
    let body = http_body_util::StreamBody::new(futures::stream::iter(frames));
    http::Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let (services, _tasks) = open(folder.path());
    services.create("lab", &lab("grpc", &grpc_server(None).await)).unwrap();
    let weight = call(&services, "weight_of", vec!["x".into(), 2.5.into()]).await.unwrap();
    let expect: Map = [("grams".into(), 25.0.into()), ("unit".into(), "g".into())].into();
    assert_eq!(weight, Value::Map(Arc::new(expect)));
    let error = call(&services, "Length", vec!["x".into()]).await.unwrap_err();
    assert!(error.contains("nothing here"), "{error}");
    services.update("lab", &lab("grpc", "tcp://127.0.0.1:1")).unwrap();
    let error = call(&services, "weight_of", vec!["x".into(), 2.5.into()]).await.unwrap_err();
    assert!(error.starts_with("call func weight_of error: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_called_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = crate::peer::certificate(folder.path()) else { return };
    let mut config = (*crate::server_config("test", &certificate, &key).unwrap()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let address = grpc_server(Some(Arc::new(config).into())).await;
    let (services, _tasks) = open(&folder.path().join("services"));
    let trusting = |options: serde_json::Value| {
        let definition = json!({"interfaces": {"i": {"address": address, "protocol": "grpc", "schemaType": "protobuf",
            "schemaFile": "lab.proto", "options": options}}});
        package(&[("lab.json", &definition.to_string()), ("schemas/lab.proto", PROTO)])
    };
    let weigh = async || call(&services, "Weigh", vec!["x".into(), 2.5.into()]).await;
    services.create("lab", &trusting(json!({}))).unwrap();
    assert!(weigh().await.is_err(), "nobody vouches for the server");
    for options in [json!({"rootCaPath": certificate}), json!({"insecureSkipVerify": true})] {
        services.update("lab", &trusting(options)).unwrap();
        assert_eq!(weigh().await.unwrap().as_map().unwrap()["grams"], 25.0.into());
    }
}

/// Answers one call with its method and arguments, as a server of MessagePack-RPC does; `fail` with an error.
#[tokio::test(flavor = "multi_thread")]
async fn msgpack_rpc_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 512];
            let count = stream.read(&mut request).await.unwrap();
            // [0, 1, "Weigh", ["…", 2.5]]: what comes behind the id is the answer's result, as an array of two.
            assert_eq!(request[..11], [0x94, 0, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1]);
            let fails = request[..count].windows(4).any(|part| part == b"fail");
            let mut answer = vec![0x94, 1, 1];
            match fails {
                true => answer.extend([0xa2, b'n', b'o', 0xc0]),
                false => answer.extend([&[0xc0, 0x92], &request[11..count]].concat()),
            }
            // In two pieces, as a network may.
            stream.write_all(&answer[..3]).await.unwrap();
            stream.flush().await.unwrap();
            stream.write_all(&answer[3..]).await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (services, _tasks) = open(folder.path());
    services.create("lab", &lab("msgpack-rpc", &address)).unwrap();
    let answer = call(&services, "weight_of", vec!["x".into(), 2.5.into()]).await.unwrap();
    assert_eq!(answer, Value::array(vec!["Weigh".into(), Value::array(vec!["x".into(), 2.5.into()])]));
    let error = call(&services, "weight_of", vec!["fail".into(), 2.5.into()]).await.unwrap_err();
    assert_eq!(error, "call func weight_of error: no");
}
