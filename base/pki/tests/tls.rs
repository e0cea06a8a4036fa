//! Real TLS handshakes, in memory, between the settings this room builds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use edgeward_pki::tls::{ClientAuth, Versions, client_config, server_config, unverified_client_config};
use edgeward_pki::{Authority, Identity, NodeRequest};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// Runs the handshake to its end and gives the error of whichever side refused.
fn handshake(
    client: ClientConfig,
    server: ServerConfig,
    host: &'static str,
) -> Result<rustls::ProtocolVersion, rustls::Error> {
    let mut client = ClientConnection::new(Arc::new(client), host.try_into().unwrap())?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut wire = Vec::new();
    for _ in 0..8 {
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
        wire.clear();
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(client.protocol_version().unwrap())
}

fn node(authority: &Authority) -> Identity {
    let request = NodeRequest::new("edge1").unwrap();
    let signed = authority.sign_node(request.der(), "edge1", Duration::from_secs(3600)).unwrap();
    request.complete(signed.certificate.to_vec()).unwrap()
}

#[test]
fn only_the_right_peers_shake_hands() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, other) = (Authority::open(folder.path()).unwrap(), Authority::open(other_folder.path()).unwrap());
    let server_identity = authority.server_identity("server", &["127.0.0.1".into()]).unwrap();
    let (node, stranger) = (node(&authority), node(&other));
    let server =
        |clients, versions| server_config(&server_identity, authority.certificate(), clients, versions).unwrap();
    let client = |identity| client_config(authority.certificate(), identity, Versions::Own).unwrap();

    let version = handshake(client(Some(&node)), server(ClientAuth::Required, Versions::Kubeedge), "127.0.0.1");
    assert_eq!(version.unwrap(), rustls::ProtocolVersion::TLSv1_3);
    handshake(client(None), server(ClientAuth::Optional, Versions::Own), "127.0.0.1").unwrap();
    handshake(unverified_client_config().unwrap(), server(ClientAuth::Optional, Versions::Own), "10.9.9.9").unwrap();

    handshake(client(None), server(ClientAuth::Required, Versions::Own), "127.0.0.1").unwrap_err();
    handshake(client(Some(&stranger)), server(ClientAuth::Required, Versions::Own), "127.0.0.1").unwrap_err();
    handshake(client(Some(&stranger)), server(ClientAuth::Optional, Versions::Own), "127.0.0.1").unwrap_err();
    handshake(client(Some(&node)), server(ClientAuth::Required, Versions::Own), "127.0.0.2").unwrap_err();
    let mistrusting = client_config(other.certificate(), Some(&node), Versions::Own).unwrap();
    handshake(mistrusting, server(ClientAuth::Required, Versions::Own), "127.0.0.1").unwrap_err();
}
