//! Files read and written.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::testing::{emission, props, request, start, until};
use crate::{Hosts, SourceRequest, registry};

const SCHEMALESS: &str = "CREATE STREAM s () WITH (DATASOURCE=\"input\")";

async fn read(folder: &Path, content: &[u8], create: &str, mut properties: Value) -> (Vec<String>, Result<(), String>) {
    std::fs::write(folder.join("input"), content).unwrap();
    properties["path"] = folder.display().to_string().into();
    start("file", create, &properties, &Hosts::default()).unwrap().all().await
}

#[tokio::test]
async fn reads_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let typed = "CREATE STREAM s (a BIGINT, b FLOAT) WITH (DATASOURCE=\"input\", FORMAT=\"delimited\")";
    let cases: [(&str, Value, &str, &[&str]); 10] = [
        (r#"[{"a":1}, {"a":"x]"}]"#, json!({}), SCHEMALESS, &[r#"{"a":1}"#, r#"{"a":"x]"}"#]),
        (r#" {"a":1} "#, json!({}), SCHEMALESS, &[r#"{"a":1}"#]),
        ("{\"a\":1}\n\n{\"a\":2}", json!({"fileType": "lines"}), SCHEMALESS, &[r#"{"a":1}"#, r#"{"a":2}"#]),
        ("1,2.5\r\n3,4\n", json!({"fileType": "lines"}), typed, &[r#"{"a":1,"b":2.5}"#, r#"{"a":3,"b":4}"#]),
        ("a,b\n1,\"x,y\"\n", json!({"fileType": "csv", "hasHeader": true}), SCHEMALESS, &[r#"{"a":"1","b":"x,y"}"#]),
        (
            "1;2\n",
            json!({"fileType": "csv", "columns": ["p", "q"], "delimiter": ";"}),
            SCHEMALESS,
            &[r#"{"p":"1","q":"2"}"#],
        ),
        ("1,2\n", json!({"fileType": "csv"}), SCHEMALESS, &[r#"{"cols0":"1","cols1":"2"}"#]),
        (
            "skip\na\n1\n2\nskip",
            json!({"fileType": "csv", "hasHeader": true, "ignoreStartLines": 1, "ignoreEndLines": 1}),
            SCHEMALESS,
            &[r#"{"a":"1"}"#, r#"{"a":"2"}"#],
        ),
        ("", json!({"fileType": "lines"}), SCHEMALESS, &[]),
        ("1", json!({"fileType": "lines", "ignoreStartLines": 9, "ignoreEndLines": 9}), SCHEMALESS, &[]),
    ];
    for (content, properties, create, expect) in cases {
        let (rows, ended) = read(folder.path(), content.as_bytes(), create, properties).await;
        assert_eq!((rows, ended), (expect.iter().map(|row| row.to_string()).collect(), Ok(())), "{content:?}");
    }
}

#[tokio::test]
async fn reads_compressed_files_and_folders_and_tidies_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"[{"a":1}]"#).unwrap();
    let (rows, _) = read(folder.path(), &packed.finish().unwrap(), SCHEMALESS, json!({"decompression": "gzip"})).await;
    assert_eq!(rows, [r#"{"a":1}"#]);
    let inbox = folder.path().join("inbox");
    let done = folder.path().join("done");
    std::fs::create_dir(&inbox).unwrap();
    for (name, row) in [("b", r#"{"n":2}"#), ("a", r#"{"n":1}"#)] {
        std::fs::write(inbox.join(name), row).unwrap();
    }
    let properties = json!({"path": folder.path(), "actionAfterRead": 2, "moveTo": done});
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"inbox\")";
    let mut running = start("file", create, &properties, &Hosts::default()).unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"n":1}"#, r#"{"n":2}"#]);
    // What comes later is read when it is complete: closed, or moved here.
    let late = std::fs::File::create(inbox.join("c")).unwrap();
    (&late).write_all(br#"{"n""#).unwrap();
    std::fs::write(folder.path().join("d"), r#"{"n":4}"#).unwrap();
    std::fs::rename(folder.path().join("d"), inbox.join("d")).unwrap();
    assert_eq!(running.row().await, r#"{"n":4}"#);
    (&late).write_all(b":3}").unwrap();
    drop(late);
    assert_eq!(running.row().await, r#"{"n":3}"#);
    until(|| ["a", "b", "c", "d"].iter().all(|name| done.join(name).exists() && !inbox.join(name).exists())).await;
    // The end of the folder is the end of the source.
    std::fs::remove_dir_all(&inbox).unwrap();
    let (rows, ended) = running.all().await;
    assert!(rows.is_empty() && ended.is_err_and(|why| why.ends_with("inbox is gone")));
}

#[tokio::test]
async fn says_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ended) = read(folder.path(), b"[1,", SCHEMALESS, json!({})).await;
    assert!(ended.unwrap_err().contains("cannot read file"));
    let (_, ended) = read(folder.path(), b"\xff\xfe\n", SCHEMALESS, json!({"fileType": "lines"})).await;
    assert!(ended.unwrap_err().contains("utf-8"));
    let missing = json!({"path": folder.path().join("no/such")});
    let (_, ended) = start("file", SCHEMALESS, &missing, &Hosts::default()).unwrap().all().await;
    assert!(ended.unwrap_err().ends_with("not exist"));
}

#[tokio::test]
async fn reads_again_after_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("input"), r#"{"a":1}"#).unwrap();
    let properties = json!({"path": folder.path(), "interval": "10ms"});
    let mut running = start("file", SCHEMALESS, &properties, &Hosts::default()).unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"a":1}"#; 2]);
    std::fs::write(folder.path().join("input"), r#"{"a":2}"#).unwrap();
    while running.row().await != r#"{"a":2}"# {}
    running.stop().await;
}

async fn write(path: &Path, mut properties: Value, emissions: &[&str]) {
    properties["path"] = path.display().to_string().into();
    let mut sink = registry::sink("file", &request(&properties), &Hosts::default()).unwrap().sink;
    for rows in emissions {
        sink.send(&emission(rows)).await.unwrap();
    }
    sink.close().await;
}

#[tokio::test]
async fn writes_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [r#"[{"a":1,"b":"x"},{"a":2,"b":"y"}]"#, r#"[{"a":3,"b":"z"}]"#];
    let cases = [
        (json!({}), "[{\"a\":1,\"b\":\"x\"},{\"a\":2,\"b\":\"y\"}]\n[{\"a\":3,\"b\":\"z\"}]"),
        (json!({"sendSingle": true, "fields": ["a"]}), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}"),
        (json!({"fileType": "json", "sendSingle": true}), r#"[{"a":1,"b":"x"},{"a":2,"b":"y"},{"a":3,"b":"z"}]"#),
        (json!({"fileType": "csv", "hasHeader": true}), "a,b\n1,x\n2,y\n3,z"),
        (json!({"fileType": "csv", "hasHeader": true, "fields": ["b", "a"], "delimiter": ";"}), "b;a\nx;1\ny;2\nz;3"),
    ];
    for (index, (properties, expect)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("made/on/demand/{index}"));
        write(&path, properties, &rows).await;
        assert_eq!(std::fs::read_to_string(path).unwrap(), expect);
    }
}

#[tokio::test]
async fn writes_where_the_data_says_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("{{.a}}.csv");
    let rows = [r#"[{"a":1,"b":"x"},{"a":2,"b":"y"}]"#, r#"[{"a":1,"b":"z"}]"#];
    for compression in ["", "gzip", "zstd"] {
        let properties = json!({"fileType": "csv", "hasHeader": true, "sendSingle": true, "compression": compression});
        write(&path, properties, &rows).await;
        for (name, expect) in [("1.csv", "a,b\n1,x\n1,z"), ("2.csv", "a,b\n2,y")] {
            let file = folder.path().join(name);
            let bytes = std::fs::read(&file).unwrap();
            let text = match compression {
                "gzip" => std::io::read_to_string(flate2::read::MultiGzDecoder::new(&bytes[..])).unwrap(),
                "zstd" => String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
                _ => String::from_utf8(bytes).unwrap(),
            };
            assert_eq!(text, expect, "{compression} {name}");
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[tokio::test]
async fn reads_whole_files_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let packed = zstd::encode_all(name.as_bytes(), 1).unwrap();
        std::fs::write(folder.path().join(name), packed).unwrap();
    }
    let properties = json!({"path": folder.path(), "fileType": "raw", "decompression": "zstd", "parallel": true});
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"\", FORMAT=\"binary\")";
    let mut running = start("file", create, &properties, &Hosts::default()).unwrap();
    let mut rows = [running.row().await, running.row().await];
    rows.sort();
    assert_eq!(rows, [r#"{"self":"YQ=="}"#, r#"{"self":"Yg=="}"#]);
    running.stop().await;
}

#[tokio::test]
async fn grows_a_file_or_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    for (file_type, expect) in [("csv", "a\n1\n1"), ("json", r#"[[{"a":1}]]"#)] {
        for _ in 0..2 {
            write(&path, json!({"fileType": file_type, "hasHeader": true}), &[r#"[{"a":1}]"#]).await;
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expect);
    }
}

#[tokio::test]
async fn rolls_by_count_and_size() {
    for limit in [json!({"rollingCount": 2}), json!({"rollingSize": 12})] {
        let folder = tempfile::tempdir().unwrap();
        let mut properties = limit.clone();
        properties["sendSingle"] = true.into();
        properties["rollingNamePattern"] = "suffix".into();
        properties["path"] = folder.path().join("f.log").display().to_string().into();
        let mut sink = registry::sink("file", &request(&properties), &Hosts::default()).unwrap().sink;
        for _ in 0..4 {
            sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
            // The names hold milliseconds.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        sink.close().await;
        let mut sizes = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(name.starts_with("f-") && name.ends_with(".log"), "{name}");
            sizes.push(entry.metadata().unwrap().len());
        }
        assert_eq!(sizes, [15, 15], "{limit}");
    }
}

#[tokio::test]
async fn old_files_are_closed_without_another_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.json");
    let properties = json!({"path": path, "fileType": "json", "rollingInterval": "20ms", "checkInterval": "10ms"});
    let mut sink = registry::sink("file", &request(&properties), &Hosts::default()).unwrap().sink;
    sink.open();
    sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
    until(|| std::fs::read_to_string(&path).unwrap() == r#"[[{"a":1}]]"#).await;
}

#[test]
fn files_stay_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("data"), folder.path().join("outside"));
    std::fs::create_dir_all(root.join("in")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
    let hosts = Hosts { files_within: Some(root.clone()), ..Hosts::default() };
    for (path, good) in [
        (root.join("in/f"), true),
        (root.join("new/f"), true),
        (root.join("in/../in/f"), true),
        (root.join("new/../../outside/f"), false),
        (root.join("../outside/f"), false),
        (root.join("link/f"), false),
        (outside.join("f"), false),
        ("/etc/passwd".into(), false),
    ] {
        let properties = json!({"path": path, "moveTo": path});
        assert_eq!(registry::sink("file", &request(&properties), &hosts).is_ok(), good, "{path:?}");
        let source = SourceRequest { datasource: "f".into(), ..source_request(&properties) };
        assert_eq!(registry::source("file", &source, &hosts).is_ok(), good, "{path:?}");
    }
    let properties = json!({"path": root, "actionAfterRead": 2, "moveTo": outside});
    let refused = registry::source("file", &source_request(&properties), &hosts).err().unwrap().to_string();
    assert!(refused.contains("moveTo") && refused.contains("allowExternalFileAccess"), "{refused}");
}

fn source_request(properties: &Value) -> SourceRequest {
    SourceRequest { stream: "s".into(), datasource: String::new(), props: props(properties), acknowledge: false }
}

#[tokio::test]
async fn what_the_data_says_stays_in_the_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = Hosts { files_within: Some(folder.path().to_owned()), ..Hosts::default() };
    let properties = json!({"path": folder.path().join("{{.a}}"), "sendSingle": true});
    let mut sink = registry::sink("file", &request(&properties), &hosts).unwrap().sink;
    sink.send(&emission(r#"[{"a":"x"}]"#)).await.unwrap();
    let refused = sink.send(&emission(r#"[{"a":"../x"}]"#)).await.unwrap_err().to_string();
    assert!(refused.contains("is outside of"), "{refused}");
    assert!(folder.path().join("x").exists());
}

#[tokio::test]
async fn says_what_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let properties = json!({"path": folder.path()});
    let mut sink = registry::sink("file", &request(&properties), &Hosts::default()).unwrap().sink;
    let error = sink.send(&emission("[]")).await.unwrap_err().to_string();
    assert!(error.contains("cannot write file"), "{error}");
}
