//! The authority, its files, and what it refuses to sign.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use edgeward_pki::{
    Authority, Error, Identity, JoinToken, NodeRequest, Peer, TokenError, certificate_fingerprint, expires_ms,
    near_expiry, request_fingerprint, rotate_after,
};
use rcgen::{CertificateParams, DnType, KeyPair};
use x509_parser::prelude::FromDer;

const DAY: Duration = Duration::from_secs(86_400);

fn authority() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path()).unwrap();
    (folder, authority)
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_ca_is_made_once_in_kubeedges_form_and_its_key_is_private() {
    let (folder, authority) = authority();
    let again = Authority::open(folder.path()).unwrap();
    assert_eq!(authority.certificate(), again.certificate());
    let mode = std::fs::metadata(folder.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (_, ca) = x509_parser::certificate::X509Certificate::from_der(authority.certificate()).unwrap();
    assert_eq!(ca.subject().to_string(), "CN=KubeEdge");
    assert_eq!(ca.serial.to_string(), "1024");
    assert!(ca.is_ca());
    let days = (ca.validity().not_after.timestamp() - ca.validity().not_before.timestamp()) / 86_400;
    assert_eq!(days, 36_400);
}

#[test]
fn a_ca_folder_that_is_not_whole_is_refused() {
    let (folder, authority) = authority();
    drop(authority);
    let other = tempfile::tempdir().unwrap();
    Authority::open(other.path()).unwrap();
    std::fs::copy(other.path().join("ca.key"), folder.path().join("ca.key")).unwrap();
    assert!(matches!(Authority::open(folder.path()), Err(Error::Refused(_))), "key of another CA");
    std::fs::write(folder.path().join("ca.key"), "no pem").unwrap();
    assert!(matches!(Authority::open(folder.path()), Err(Error::Pem { .. })));
    std::fs::remove_file(folder.path().join("ca.key")).unwrap();
    let text = Authority::open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("ca.key is not"), "{text}");
}

#[test]
fn a_server_certificate_is_kept_until_its_hosts_or_its_ca_change() {
    let (folder, authority) = authority();
    let serve = |names: &[&str]| authority.server_identity("server", &hosts(names)).unwrap().chain;
    let first = serve(&["localhost", "127.0.0.1", "::1"]);
    assert_eq!(first, serve(&["::1", "localhost", "127.0.0.1"]), "the order does not matter");
    assert_ne!(first, serve(&["localhost"]));
    let last = serve(&["localhost"]);
    for file in ["ca.crt", "ca.key"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let fresh = Authority::open(folder.path()).unwrap();
    assert_ne!(last, fresh.server_identity("server", &hosts(&["localhost"])).unwrap().chain);
}

#[test]
fn a_nodes_request_becomes_a_client_certificate_in_kubeedges_form() {
    let (folder, authority) = authority();
    let request = NodeRequest::new("edge1").unwrap();
    let fingerprint = request_fingerprint(request.der()).unwrap();
    let signed = authority.sign_node(request.der(), "edge1", DAY * 365).unwrap();
    assert_eq!(signed.fingerprint, fingerprint);

    let peer = Peer::from_certificate(&signed.certificate).unwrap();
    assert_eq!(peer.node_name(), Some("edge1"));
    assert_eq!(peer.organizations, ["system:nodes"]);
    assert!(!near_expiry(&signed.certificate).unwrap());
    let wait = rotate_after(&signed.certificate).unwrap();
    assert!(wait > DAY * 254 && wait < DAY * 329, "{wait:?}");

    let identity = request.complete(signed.certificate.to_vec()).unwrap();
    let (certificate, key) = (folder.path().join("node.crt"), folder.path().join("node.key"));
    identity.save(&certificate, &key).unwrap();
    let loaded = Identity::load(&certificate, &key).unwrap().unwrap();
    assert_eq!(loaded.chain, identity.chain);

    let renewed = NodeRequest::renew("edge1", &loaded.key).unwrap();
    let again = authority.sign_node(renewed.der(), "edge1", DAY).unwrap();
    assert_eq!(again.fingerprint, fingerprint, "same key");
    assert_ne!(again.certificate, signed.certificate, "another serial");
    assert!(expires_ms(&again.certificate).unwrap() < expires_ms(&signed.certificate).unwrap());
}

#[test]
fn a_certificate_for_another_key_does_not_complete_a_request() {
    let (_folder, authority) = authority();
    let (mine, other) = (NodeRequest::new("edge1").unwrap(), NodeRequest::new("edge1").unwrap());
    let signed = authority.sign_node(other.der(), "edge1", DAY).unwrap();
    assert!(matches!(mine.complete(signed.certificate.to_vec()), Err(Error::Refused(_))));
}

#[test]
fn requests_that_break_a_rule_are_refused_with_the_rule() {
    let (_folder, authority) = authority();
    let request = |common_name: &str, organizations: &[&str], key: &KeyPair| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        for organization in organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        params.serialize_request(key).unwrap().der().to_vec()
    };
    let key = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let good = request("system:node:edge1", &["system:nodes"], &key);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let check = |node: &str, der: &[u8], expected: &str| {
        let error = authority.sign_node(der, node, DAY).unwrap_err().to_string();
        assert!(error.contains(expected), "{node}: {error}");
    };
    authority.sign_node(&good, "edge1", DAY).unwrap();
    check("edge2", &good, "common name");
    check("edge1", &request("admin", &["system:nodes"], &key), "common name");
    check("edge1", &request("system:node:edge1", &[], &key), "organisation");
    check("edge1", &request("system:node:edge1", &["system:masters"], &key), "organisation");
    check("edge1", &request("system:node:edge1", &["system:nodes"], &rsa), "ECDSA");
    check("edge1", &forged, "signature");
    check("edge1", b"abc", "not a certificate request");
    check("edge1", &[0x30; 2 << 20], "are read");
    for name in ["", "Edge1", "a/b", "-a", "a..b", &"a".repeat(254)] {
        check(name, &good, "is no node name");
        assert!(NodeRequest::new(name).is_err());
    }
}

#[test]
fn tokens_are_refused_for_distinct_reasons() {
    let (_folder, authority) = authority();
    let (_other_folder, other) = self::authority();
    let text = authority.create_token(DAY);
    let token = JoinToken::parse(&format!(" {text}\n")).unwrap();
    assert_eq!(authority.verify_token(&token), Ok(()));
    assert_eq!(other.verify_token(&token), Err(TokenError::WrongAuthority));
    assert_eq!(other.verify_bearer(token.bearer()), Err(TokenError::BadSignature));
    let expired = JoinToken::parse(&authority.create_token(Duration::ZERO)).unwrap();
    assert_eq!(authority.verify_token(&expired), Err(TokenError::Expired));
    assert!(!format!("{token:?}").contains(token.bearer()), "the secret is not shown");

    let (signed, signature) = token.bearer().rsplit_once('.').unwrap();
    let longer_life = format!("{}.{}.{signature}", signed.split('.').next().unwrap(), "eyJleHAiOjk5OTk5OTk5OTl9");
    assert_eq!(authority.verify_bearer(&longer_life), Err(TokenError::BadSignature));
    for bearer in ["aaa.bbb.ccc", "a", "..", "e30.e30.", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(matches!(authority.verify_bearer(bearer), Err(TokenError::Malformed(_))), "{bearer}");
    }
    assert_eq!(authority.verify_bearer(""), Err(TokenError::Empty));
    for text in ["a", "a.b.c", "xyz.a.b.c", &text.replace('.', "-")] {
        assert!(matches!(JoinToken::parse(text), Err(TokenError::Malformed(_))), "{text}");
    }
    assert_eq!(JoinToken::parse("  ").unwrap_err(), TokenError::Empty);
}

#[test]
fn an_admin_certificate_is_in_the_masters_group() {
    let (_folder, authority) = authority();
    let admin = authority.admin_identity().unwrap();
    let peer = Peer::from_certificate(admin.certificate().unwrap()).unwrap();
    assert_eq!(
        (peer.common_name.as_str(), peer.organizations.as_slice()),
        ("kubernetes-admin", &["system:masters".to_owned()][..])
    );
    assert_eq!(peer.node_name(), None);
    assert!(certificate_fingerprint(b"no certificate").is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_as_token_gives_an_answer(text in ".{0,200}") {
        let _ = JoinToken::parse(&text);
    }

    #[test]
    fn any_bytes_as_request_or_certificate_give_an_answer(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = request_fingerprint(&bytes);
        let _ = certificate_fingerprint(&bytes);
        let _ = Peer::from_certificate(&bytes);
    }
}
