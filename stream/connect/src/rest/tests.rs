//! Requests to a real web server.

use edgeward_engine::SinkError;
use serde_json::{Value, json};

use crate::peer::{Peer, WEB};
use crate::testing::{emission, request};
use crate::{Hosts, registry};

const ROWS: &str = r#"[{"id":"a b","n":1},{"id":"c","n":2}]"#;

async fn server() -> Option<(Peer, String)> {
    let mut peer = Peer::python("http.server", WEB, &[])?;
    let url = format!("http://127.0.0.1:{}", peer.line().await);
    Some((peer, url))
}

async fn send(properties: &Value) -> Result<(), SinkError> {
    registry::sink("rest", &request(properties), &Hosts::default()).unwrap().sink.send(&emission(ROWS)).await
}

#[tokio::test]
async fn sends_what_its_properties_say() {
    let Some((mut peer, url)) = server().await else { return };
    let all = r#"[{"id":"a b","n":1},{"id":"c","n":2}]"#;
    let cases = [
        (json!({}), vec![json!(["GET", "/x", null, ""])]),
        (json!({"method": "post"}), vec![json!(["POST", "/x", "application/json", all])]),
        (json!({"method": "PUT", "bodyType": "text"}), vec![json!(["PUT", "/x", "text/plain", all])]),
        (json!({"method": "POST", "headers": {"Content-Type": "a/b"}}), vec![json!(["POST", "/x", "a/b", all])]),
        (
            json!({"method": "POST", "bodyType": "form"}),
            vec![json!(["POST", "/x", "application/x-www-form-urlencoded;param=value", "id=a+b&n=1"])],
        ),
        (
            json!({"method": "DELETE", "sendSingle": true, "bodyType": "none", "url": format!("{url}/{{{{.n}}}}0{{{{.n}}}}")}),
            vec![json!(["DELETE", "/101", null, ""])],
        ),
    ];
    for (mut properties, expect) in cases {
        let object = properties.as_object_mut().unwrap();
        object.entry("url").or_insert_with(|| format!("{url}/x").into());
        let _ = send(&properties).await;
        for expect in expect {
            let got: Value = serde_json::from_str(&peer.line().await).unwrap();
            assert_eq!(json!([got["method"], got["path"], got["type"], got["body"]]), expect, "{properties}");
        }
    }
}

#[tokio::test]
async fn judges_answers() {
    let Some((_peer, url)) = server().await else { return };
    for (path, answer, expect) in [
        ("200", "code", "ok"),
        ("204", "code", "ok"),
        ("404", "code", "rejected"),
        ("503", "code", "again"),
        ("429", "code", "again"),
        ("x", "body", "ok"),
        ("code", "body", "rejected"),
    ] {
        let got = match send(&json!({"url": format!("{url}/{path}"), "method": "POST", "responseType": answer})).await {
            Ok(()) => "ok",
            Err(SinkError::Recoverable(_)) => "again",
            Err(SinkError::Rejected(_)) => "rejected",
        };
        assert_eq!(got, expect, "{path} {answer}");
    }
    let nobody = send(&json!({"url": "http://127.0.0.1:1", "method": "POST"})).await;
    assert!(matches!(nobody, Err(SinkError::Recoverable(_))), "{nobody:?}");
    let failed = send(&json!({"url": format!("{url}/500"), "method": "put"})).await.unwrap_err().to_string();
    let (body, start) =
        (ROWS.replace('"', "\\\""), "rest sink fails to send out the data:err=response code error: 500");
    let expect = format!(r#"{start} recoverAble=true method=PUT path="{url}/500" request_body="{body}""#);
    assert_eq!(failed, expect);
}

#[tokio::test]
async fn goes_where_it_is_sent() {
    let Some((mut peer, url)) = server().await else { return };
    for (path, method, body) in [("moved", "GET", ""), ("again", "POST", ROWS)] {
        send(&json!({"url": format!("{url}/{path}"), "method": "POST"})).await.unwrap();
        let first: Value = serde_json::from_str(&peer.line().await).unwrap();
        let second: Value = serde_json::from_str(&peer.line().await).unwrap();
        assert_eq!(json!([first["method"], first["path"], first["body"]]), json!(["POST", format!("/{path}"), ROWS]));
        let expect = json!([method, format!("/200?from={path}"), body]);
        assert_eq!(json!([second["method"], second["path"], second["body"]]), expect);
    }
}

#[tokio::test]
async fn carries_a_token_and_asks_for_a_new_one() {
    let Some((mut peer, url)) = server().await else { return };
    let properties = json!({
        "url": format!("{url}/auth"), "method": "POST", "sendSingle": true,
        "headers": {"Authorization": "Bearer {{.access_token}}"},
        "oAuth": {"access": {"url": format!("{url}/token"), "body": {"user": "u"}, "expire": "{{.expires_in}}"}},
    });
    let mut sink = registry::sink("rest", &request(&properties), &Hosts::default()).unwrap().sink;
    // The server does not know the first token any more: the message may be sent again, with another token.
    assert!(matches!(sink.send(&emission(r#"[{"n":1}]"#)).await, Err(SinkError::Recoverable(_))));
    sink.send(&emission(r#"[{"n":1},{"n":2}]"#)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let got: Value = serde_json::from_str(&peer.line().await).unwrap();
        seen.push(format!("{} {}", got["path"].as_str().unwrap(), got["auth"].as_str().unwrap_or("-")));
    }
    assert_eq!(seen, ["/token -", "/auth Bearer t1", "/token -", "/auth Bearer t3", "/auth Bearer t3"]);
}

#[tokio::test]
async fn forms_carry_files() {
    let Some((mut peer, url)) = server().await else { return };
    send(
        &json!({"url": url, "method": "POST", "bodyType": "formdata", "fileFieldName": "data", "formData": {"k": "v"}}),
    )
    .await
    .unwrap();
    let got: Value = serde_json::from_str(&peer.line().await).unwrap();
    let body = got["body"].as_str().unwrap();
    assert!(got["type"].as_str().unwrap().starts_with("multipart/form-data; boundary="));
    assert!(body.contains("name=\"k\"\r\n\r\nv\r\n") && body.contains("name=\"data\"; filename=\"data\""), "{body}");
}
