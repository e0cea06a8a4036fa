//! Frames from and to Python's `websockets`.

use serde_json::json;

use crate::peer::Peer;
use crate::testing::{any_port, emission, request, start, until};
use crate::{Hosts, registry};

/// Writes what it gets, and sends one message to whoever connects.
const SERVER: &str = r#"
import asyncio, websockets
async def talk(socket, path=None):
    await socket.send('{"hello":1}')
    async for message in socket: print(message)
async def main():
    async with websockets.serve(talk, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1])
        await asyncio.Future()
asyncio.run(main())
"#;

/// Sends one message, then writes what it gets.
const CLIENT: &str = r#"
import asyncio, sys, websockets
async def main():
    async with websockets.connect("ws://" + sys.argv[1] + sys.argv[2]) as socket:
        await socket.send('{"a":1}')
        print("connected")
        async for message in socket: print(message)
asyncio.run(main())
"#;

#[tokio::test]
async fn talks_as_a_client() {
    let Some(mut peer) = Peer::python("websockets", SERVER, &[]) else { return };
    let address = format!("127.0.0.1:{}", peer.line().await);
    let hosts = Hosts { http: any_port(), ..Hosts::default() };
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"/in\")";
    let mut running = start("websocket", create, &json!({"addr": address}), &hosts).unwrap();
    assert_eq!(running.row().await, r#"{"hello":1}"#);
    running.stop().await;
    let properties = json!({"addr": address, "path": "/out", "sendSingle": true});
    let mut sink = registry::sink("websocket", &request(&properties), &hosts).unwrap().sink;
    sink.send(&emission(r#"[{"a":1},{"a":2}]"#)).await.unwrap();
    assert_eq!([peer.line().await, peer.line().await], [r#"{"a":1}"#, r#"{"a":2}"#]);
    sink.close().await;
}

#[tokio::test]
async fn talks_as_a_server() {
    let hosts = Hosts { http: any_port(), ..Hosts::default() };
    let address = hosts.http.start().await.unwrap().to_string();
    let mut sink = registry::sink("websocket", &request(&json!({"path": "/both"})), &hosts).unwrap().sink;
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"/both\")";
    let mut running = start("websocket", create, &json!({}), &hosts).unwrap();
    running.connected().await;
    until(|| hosts.http.knows("/both")).await;
    let Some(mut peer) = Peer::python("websockets", CLIENT, &[&address, "/both"]) else { return };
    assert_eq!(running.row().await, r#"{"a":1}"#);
    assert_eq!(peer.line().await, "connected");
    sink.send(&emission(r#"[{"b":1}]"#)).await.unwrap();
    assert_eq!(peer.line().await, r#"[{"b":1}]"#);
    running.stop().await;
}
