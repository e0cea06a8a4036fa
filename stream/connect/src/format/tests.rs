//! Payloads of every format read, and of protobuf written too.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::json::{Numbers, Printer, parse};
use edgeward_engine::{ColumnType, Map};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn decoded(format: &str, fields: &[Field], payload: &[u8]) -> Result<String, String> {
    let mut rows = Vec::new();
    decoder(&FormatRequest { format, fields, ..FormatRequest::default() }, &Schemas::default())
        .unwrap()
        .unwrap()
        .decode(&Bytes::copy_from_slice(payload), &mut rows)?;
    let rows = rows.into_iter().map(Value::Map).collect();
    Ok(Printer::default().text(&Value::array(rows)).unwrap())
}

fn field(name: &str, data_type: ColumnType) -> Field {
    Field { name: name.into(), data_type, default: None }
}

#[test]
fn decodes_formats() {
    let typed = [field("a", ColumnType::Bigint), field("b", ColumnType::Float), field("c", ColumnType::Boolean)];
    type Case<'a> = (&'a str, &'a [Field], &'a str, Result<&'a str, &'a str>);
    let cases: [Case<'_>; 9] = [
        ("binary", &[], "hi", Ok(r#"[{"self":"aGk="}]"#)),
        ("urlencoded", &[], "a=1&b=x%20y+z&a=2", Ok(r#"[{"a":["1","2"],"b":"x y z"}]"#)),
        ("urlencoded", &typed, "a=1&b=2.5&c=true&d=e", Ok(r#"[{"a":1,"b":2.5,"c":true,"d":"e"}]"#)),
        ("urlencoded", &[], "a=%4", Err("invalid URL escape in \"%4\"")),
        ("delimited", &[], "1,x\r\n", Ok(r#"[{"col0":"1","col1":"x"}]"#)),
        ("delimited", &typed, "1,2.5,0,more", Ok(r#"[{"a":1,"b":2.5,"c":false}]"#)),
        ("delimited", &typed, "1,,1", Ok(r#"[{"a":1,"b":null,"c":true}]"#)),
        ("delimited", &typed, "x", Err("cannot convert \"x\" to the type of a")),
        ("delimited", &typed, "1,2,maybe", Err("cannot convert \"maybe\" to the type of c")),
    ];
    for (format, fields, payload, expect) in cases {
        let got = decoded(format, fields, payload.as_bytes());
        assert_eq!(got.as_deref().map_err(String::as_str), expect, "{format} {payload}");
    }
    let made =
        |format, fields| decoder(&FormatRequest { format, fields, ..FormatRequest::default() }, &Schemas::default());
    assert!(made("protobuf", &[]).is_err());
    assert!(made("binary", &typed).is_err());
    assert!(made("JSON", &[]).unwrap().is_none());
}

proptest! {
    #[test]
    fn any_payload_is_a_row_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        for format in ["binary", "urlencoded", "delimited"] {
            let _ = decoded(format, &[], &payload);
        }
    }
}

const SCHEMA: &str = r#"syntax = "proto3";
import "google/protobuf/wrappers.proto";
enum Mode { OFF = 0; ON = 1; }
message Part { string name = 1; }
message Reading {
  int64 id = 1; double t = 2; float f = 3; bool ok = 4; string s = 5; bytes b = 6; Mode mode = 7; uint64 u = 8;
  repeated int32 list = 9; map<string, int32> map = 10; Part part = 11; optional int32 maybe = 12;
  google.protobuf.Int64Value wrapped = 13; repeated Part parts = 14;
}"#;

fn schemas() -> Schemas {
    let schemas = Schemas::default();
    schemas.create("protobuf", "lab", crate::SchemaFile::Text(SCHEMA.to_owned()), "").unwrap();
    schemas
}

fn reading() -> Box<dyn Decode> {
    let request = FormatRequest { format: "protobuf", schema_id: Some("lab.Reading"), ..FormatRequest::default() };
    decoder(&request, &schemas()).unwrap().unwrap()
}

fn encoded(row: &str) -> Result<Vec<u8>, String> {
    let row = parse(row.as_bytes(), Numbers::WholeAsInt).unwrap();
    let mut out = Vec::new();
    protobuf::encode(&schemas().message("lab.Reading").unwrap(), row.as_map().unwrap(), &mut out)?;
    Ok(out)
}

#[test]
fn protobuf_messages_come_back() {
    let defaults = r#""b":"","f":0,"id":0,"list":[],"map":{},"mode":0,"ok":false,"parts":[],"s":"","t":0,"u":0"#;
    for (row, expect) in [
        ("{}", format!("{{{defaults}}}")),
        (r#"{"unknown":1,"part":null}"#, format!("{{{defaults}}}")),
        (
            r#"{"id":1,"t":2,"f":0.1,"ok":true,"s":"x","b":"hi","mode":"ON","u":5,"list":[1,2],"map":{"k":3},"part":{"name":"p"},"maybe":0,"wrapped":7,"parts":[{"name":"q"}]}"#,
            r#"{"b":"aGk=","f":0.1,"id":1,"list":[1,2],"map":{"k":3},"maybe":0,"mode":1,"ok":true,"part":{"name":"p"},"parts":[{"name":"q"}],"s":"x","t":2,"u":5,"wrapped":7}"#.to_owned(),
        ),
    ] {
        let mut rows = Vec::new();
        reading().decode(&Bytes::from(encoded(row).unwrap()), &mut rows).unwrap();
        let rows: Vec<Arc<Map>> = rows;
        assert_eq!(Printer::default().text(&Value::Map(rows[0].clone())).unwrap(), expect, "{row}");
    }
    for (row, expect) in [
        (r#"{"id":"x"}"#, "invalid type for field 'id': x"),
        (r#"{"list":1}"#, "invalid type for field 'list'"),
        (r#"{"list":[3000000000]}"#, "invalid type for field 'list'"),
        (r#"{"mode":"DIM"}"#, "invalid type for field 'mode'"),
        (r#"{"u":-1}"#, "invalid type for field 'u'"),
        (r#"{"part":1}"#, "invalid type for field 'part'"),
    ] {
        assert!(encoded(row).unwrap_err().contains(expect), "{row}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = reading().decode(&Bytes::from(payload), &mut Vec::new());
    }
}

#[test]
fn payloads_inside_rows_are_decoded() {
    let cases = [
        (json!({"payloadField": "p"}), r#"{"t":1,"p":"{\"a\":2}"}"#, Ok(r#"[{"a":2,"t":1}]"#)),
        (
            json!({"payloadField": "p", "payloadFormat": "delimited", "payloadDelimiter": ";"}),
            r#"{"p":"x;y"}"#,
            Ok(r#"[{"col0":"x","col1":"y"}]"#),
        ),
        (
            json!({"payloadField": "p", "payloadBatchField": "b"}),
            r#"{"t":1,"b":[{"n":1,"p":"{\"a\":2}"},{"n":2,"p":"[{\"a\":3},{\"a\":4}]"}]}"#,
            Ok(r#"[{"a":2,"n":1,"t":1},{"a":3,"n":2,"t":1},{"a":4,"n":2,"t":1}]"#),
        ),
        (json!({"payloadField": "p"}), r#"{"t":1}"#, Err("payloadField p not found")),
        (json!({"payloadField": "p"}), r#"{"p":1}"#, Err("neither text nor bytes")),
        (json!({"payloadField": "p", "payloadBatchField": "b"}), r#"{"b":1}"#, Err("is no array")),
    ];
    for (properties, payload, expect) in cases {
        let properties = crate::testing::props(&properties);
        let request = FormatRequest { props: Some(&properties), ..FormatRequest::default() };
        let mut rows = Vec::new();
        let mut decoder = decoder(&request, &Schemas::default()).unwrap().unwrap();
        let got = decoder
            .decode(&Bytes::from(payload), &mut rows)
            .map(|()| Printer::default().text(&Value::array(rows.into_iter().map(Value::Map).collect())).unwrap());
        match expect {
            Ok(expect) => assert_eq!(got.as_deref(), Ok(expect), "{payload}"),
            Err(expect) => assert!(got.as_ref().is_err_and(|error| error.contains(expect)), "{payload}: {got:?}"),
        }
    }
    for properties in [json!({"payloadFormat": "json"}), json!({"payloadField": "p", "payloadFormat": "xml"})] {
        let properties = crate::testing::props(&properties);
        let request = FormatRequest { props: Some(&properties), ..FormatRequest::default() };
        assert!(decoder(&request, &Schemas::default()).is_err());
    }
}
