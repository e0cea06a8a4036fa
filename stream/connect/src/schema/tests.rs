//! Schemas kept, replaced and found again.

use std::io::Write;

use super::*;

const DEMO: &str = "syntax = \"proto3\"; package lab; message Reading { string id = 1; double t = 2; }";

fn text(text: &str) -> SchemaFile {
    SchemaFile::Text(text.to_owned())
}

fn zip(files: &[(&str, &str)]) -> SchemaFile {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, text) in files {
        archive.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    SchemaFile::Zip(archive.finish().unwrap().into_inner())
}

#[test]
fn what_was_confirmed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = Schemas::open(folder.path()).unwrap();
    schemas.create("protobuf", "demo", text(DEMO), "1").unwrap();
    let package = zip(&[
        ("main.proto", "syntax = \"proto3\"; import \"main/part.proto\"; message All { Part part = 1; }"),
        ("main/part.proto", "syntax = \"proto3\"; message Part { int64 n = 1; }"),
        ("README.md", "not read"),
    ]);
    schemas.create("protobuf", "main", package, "").unwrap();
    for schemas in [&schemas, &Schemas::open(folder.path()).unwrap()] {
        assert_eq!(schemas.list("protobuf").unwrap(), ["demo", "main"]);
        let info = schemas.get("protobuf", "demo").unwrap();
        assert_eq!((info.content.as_str(), info.version.as_str()), (DEMO, "1"));
        assert!(info.file.unwrap().exists());
        for (id, full) in [("demo.Reading", "lab.Reading"), ("demo.lab.Reading", "lab.Reading"), ("main.All", "All")] {
            assert_eq!(schemas.message(id).unwrap().full_name(), full, "{id}");
        }
    }
    schemas.delete("protobuf", "main").unwrap();
    assert_eq!(Schemas::open(folder.path()).unwrap().list("protobuf").unwrap(), ["demo"]);
}

#[test]
fn refuses_with_a_reason() {
    let schemas = Schemas::default();
    schemas.create("protobuf", "demo", text(DEMO), "2").unwrap();
    let deep = format!("syntax = \"proto3\"; {}", "message A { ".repeat(5_000));
    let cases = [
        (schemas.create("protobuf", "demo", text(DEMO), ""), "schema protobuf.demo already registered"),
        (schemas.create("custom", "x", text(DEMO), ""), "custom schemas are Go plug-ins"),
        (schemas.create("avro", "x", text(DEMO), ""), "schema type avro is unknown"),
        (schemas.create("protobuf", "../x", text(DEMO), ""), "invalid schema name"),
        (schemas.create("protobuf", "x", text("message"), ""), "fail to parse schema file x.proto"),
        (schemas.create("protobuf", "x", text("import \"no.proto\";"), ""), "no.proto"),
        (schemas.create("protobuf", "x", text(&deep), ""), "nested deeper"),
        (schemas.create("protobuf", "x", SchemaFile::Zip(vec![1]), ""), "cannot be read"),
        (schemas.create("protobuf", "x", zip(&[("a/../../b.proto", DEMO)]), ""), "leads elsewhere"),
        (schemas.create("protobuf", "x", zip(&[("x/b.proto", DEMO)]), ""), "x.proto is missing"),
        (schemas.update("protobuf", "demo", text(DEMO), "2"), "already exists with version 2"),
        (schemas.delete("protobuf", "x"), "schema protobuf.x not found"),
        (schemas.message("demo").map(drop), "use schema.Message"),
        (schemas.message("demo.None").map(drop), "message type None not found in schema file demo"),
        (schemas.message("x.None").map(drop), "schema protobuf.x not found"),
    ];
    for (got, expect) in cases {
        let error = got.expect_err(expect).to_string();
        assert!(error.contains(expect), "{error}");
    }
    schemas.update("protobuf", "demo", text(DEMO), "3").unwrap();
    assert_eq!(schemas.get("protobuf", "demo").unwrap().version, "3");
}

#[test]
fn a_schema_may_import_another() {
    let schemas = Schemas::default();
    schemas.create("protobuf", "demo", text(DEMO), "").unwrap();
    let more = "syntax = \"proto3\"; import \"demo.proto\"; import \"google/protobuf/timestamp.proto\"; message M { \
                lab.Reading r = 1; google.protobuf.Timestamp at = 2; }";
    schemas.create("protobuf", "more", text(more), "").unwrap();
    assert_eq!(schemas.message("more.M").unwrap().fields().len(), 2);
}
