//! Joining: who gets a certificate, who gets a session, and who does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

mod common;

use std::time::Duration;

use common::Cloud;
use edgeward_hub::Options;
use edgeward_pki::{JoinToken, NodeRequest, certificate_fingerprint, request_fingerprint};
use http::StatusCode;
use serde_json::json;

fn text(answer: (StatusCode, Vec<u8>)) -> (u16, String) {
    (answer.0.as_u16(), String::from_utf8_lossy(&answer.1).into_owned())
}

#[tokio::test]
async fn the_enrolment_port_answers_like_kubeedges() {
    let cloud = Cloud::start().await;
    let ca = cloud.ask(None, "/ca.crt", &[], b"").await;
    assert_eq!((ca.0, ca.1.as_slice()), (StatusCode::OK, cloud.authority.certificate().as_ref()));
    cloud.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge1"}})).await;
    let check = async |path: &str, expected: (u16, &str)| {
        let found = text(cloud.ask(None, path, &[], b"").await);
        assert_eq!((found.0, found.1.as_str()), expected, "{path}");
    };
    check("/node/edge1", (200, "Node found")).await;
    check("/node/nope", (404, "Node not found")).await;
    check("/node/..%2Fpods", (404, "Node not found")).await;
    check("/nosuch", (404, "404: Page Not Found")).await;
    cloud.stop().await;
}

#[tokio::test]
async fn joins_are_refused_for_clear_reasons() {
    let cloud = Cloud::start().await;
    let request = NodeRequest::new("edge1").unwrap();
    let stranger = Cloud::start().await;
    let expired = JoinToken::parse(&cloud.authority.create_token(Duration::ZERO)).unwrap();
    let bearer = |token: &JoinToken| format!("Bearer {}", token.bearer());
    let (good, foreign, old) = (bearer(&cloud.token()), bearer(&stranger.token()), bearer(&expired));
    let check = async |node: &str, bearer: &str, body: &[u8], status: u16, expected: &str| {
        let found = text(cloud.ask(None, "/edge.crt", &[("NodeName", node), ("Authorization", bearer)], body).await);
        assert!(found.0 == status && found.1.contains(expected), "{expected}: {found:?}");
    };
    check("edge1", "", request.der(), 401, "token is empty").await;
    check("edge1", "Bearer aaa.bbb.ccc", request.der(), 401, "malformed").await;
    check("edge1", &foreign, request.der(), 401, "bad signature").await;
    check("edge1", &old, request.der(), 401, "expired").await;
    check("edge2", &good, request.der(), 400, "common name").await;
    check("edge1", &good, b"abc", 400, "not a certificate request").await;
    check("Edge/1", &good, request.der(), 400, "no node name").await;
    check("edge1", &good, &vec![0; 2 << 20], 413, "too long").await;
    let server_usage = [("NodeName", "edge1"), ("Authorization", good.as_str()), ("ExtKeyUsages", "[1]")];
    let found = text(cloud.ask(None, "/edge.crt", &server_usage, request.der()).await);
    assert!(found.0 == 400 && found.1.contains("client authentication"), "{found:?}");
    // None of these took the name.
    cloud.join("edge1").await;
    stranger.stop().await;
    cloud.stop().await;
}

#[tokio::test]
async fn a_name_stays_with_its_first_key_until_it_is_forgotten() {
    let cloud = Cloud::start().await;
    let first = NodeRequest::new("edge1").unwrap();
    let second = NodeRequest::new("edge1").unwrap();
    let (status, certificate) = cloud.certify("edge1", &first).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(certificate_fingerprint(&certificate).unwrap(), request_fingerprint(first.der()).unwrap());
    assert_eq!(cloud.certify("edge1", &first).await.0, StatusCode::OK, "the same key may ask again");
    let refused = text(cloud.certify("edge1", &second).await);
    assert!(refused.0 == 403 && refused.1.contains("already taken by another key"), "{refused:?}");

    let first = first.complete(certificate).unwrap();
    let headers = [("Node_id", "edge1"), ("ConnectionUse", "msg")];
    let mut session = cloud.open(&first, &headers).await.unwrap();
    assert!(cloud.handle.forget_node("edge1").await.unwrap());
    assert!(!cloud.handle.forget_node("edge1").await.unwrap());
    assert!(session.next().await.is_none(), "the session of a forgotten node ends");
    let refused = cloud.open(&first, &headers).await.err().unwrap();
    assert!(refused.0 == StatusCode::FORBIDDEN && refused.1.contains("was forgotten"), "{refused:?}");
    let (status, certificate) = cloud.certify("edge1", &second).await;
    assert_eq!(status, StatusCode::OK);
    let second = second.complete(certificate).unwrap();

    let refused = cloud.open(&first, &headers).await.err().unwrap();
    assert!(refused.0 == StatusCode::FORBIDDEN && refused.1.contains("another key"), "{refused:?}");
    cloud.open(&second, &headers).await.unwrap();
    cloud.stop().await;
}

#[tokio::test]
async fn a_certificate_renews_itself_also_for_a_new_key() {
    let cloud = Cloud::start().await;
    let old = cloud.join("edge1").await;
    let renew = async |identity, node: &str, request: &NodeRequest| {
        cloud.ask(Some(identity), "/edge.crt", &[("NodeName", node)], request.der()).await
    };
    let request = NodeRequest::new("edge1").unwrap();
    let (status, certificate) = renew(&old, "edge1", &request).await;
    assert_eq!(status, StatusCode::OK);
    let new = request.complete(certificate).unwrap();
    // A node that crashed before it stored the new certificate still gets in with the old one.
    let headers = [("Node_id", "edge1"), ("ConnectionUse", "msg")];
    cloud.open(&old, &headers).await.unwrap();
    cloud.open(&new, &headers).await.unwrap();
    let same = NodeRequest::renew("edge1", &new.key).unwrap();
    assert_eq!(renew(&new, "edge1", &same).await.0, StatusCode::OK);

    let other = NodeRequest::new("edge2").unwrap();
    assert_eq!(renew(&new, "edge2", &other).await.0, StatusCode::UNAUTHORIZED, "a certificate of another node");
    cloud.stop().await;
}

#[tokio::test]
async fn failures_of_an_address_are_limited() {
    let cloud = Cloud::start_with(Options { refusals_per_minute: 3, ..Options::default() }).await;
    for _ in 0..3 {
        assert_eq!(cloud.ask(None, "/edge.crt", &[("NodeName", "a")], b"").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(cloud.ask(None, "/edge.crt", &[("NodeName", "a")], b"").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(cloud.ask(None, "/ca.crt", &[], b"").await.0, StatusCode::OK);
    cloud.stop().await;
}

#[tokio::test]
async fn sessions_are_for_the_node_of_the_certificate() {
    let cloud = Cloud::start_with(Options { node_limit: 1, ..Options::default() }).await;
    let (one, two) = (cloud.join("edge1").await, cloud.join("edge2").await);
    let refused = async |identity, headers: &[(&str, &str)], status: u16, expected: &str| {
        let found = cloud.open(identity, headers).await.err().unwrap();
        assert!(found.0.as_u16() == status && found.1.contains(expected), "{found:?}");
    };
    refused(&one, &[("Node_id", "edge2"), ("ConnectionUse", "msg")], 403, "certificate is of node edge1").await;
    refused(&one, &[("ConnectionUse", "msg")], 403, "Node_id").await;
    refused(&one, &[("Node_id", "edge1")], 400, "ConnectionUse").await;
    let admin = cloud.authority.admin_identity().unwrap();
    refused(&admin, &[("Node_id", "edge1"), ("ConnectionUse", "msg")], 403, "is no node's").await;
    assert!(cloud.handle.sessions().is_empty());

    let mut first = cloud.edge("edge1", &one).await;
    refused(&two, &[("Node_id", "edge2"), ("ConnectionUse", "msg")], 503, "raise nodeLimit").await;
    let _second = cloud.agent("edge1", &one).await;
    assert!(first.next().await.is_none(), "the older session of a node ends");
    let sessions = cloud.handle.sessions();
    assert_eq!((sessions.len(), &*sessions[0].node), (1, "edge1"));
    // Without a client certificate there is no connection at all.
    let mut plain = cloud.connect(None, cloud.handle.link_address().port()).await.unwrap();
    let mut byte = [0];
    assert!(tokio::io::AsyncReadExt::read_exact(&mut plain, &mut byte).await.is_err());
    cloud.stop().await;
}
