//! Bare MQTT over a socket: packets of one size, made once, so that the broker is measured and not a client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A connected client.
pub(crate) fn connect(broker: SocketAddr, name: &str) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(broker)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let mut packet = vec![0x10, 12 + name.len() as u8, 0, 4];
    packet.extend(b"MQTT\x04\x02\0\0\0");
    packet.push(name.len() as u8);
    packet.extend(name.as_bytes());
    socket.write_all(&packet)?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer)?;
    anyhow::ensure!(answer == [0x20, 2, 0, 0], "CONNACK {answer:02x?}");
    Ok(socket)
}

/// Subscribes to a topic.
pub(crate) fn subscribe(socket: &mut TcpStream, topic: &str, qos: u8) -> anyhow::Result<()> {
    let mut packet = vec![0x82, 5 + topic.len() as u8, 0, 1, 0, topic.len() as u8];
    packet.extend(topic.as_bytes());
    packet.push(qos);
    socket.write_all(&packet)?;
    let mut answer = [0; 5];
    socket.read_exact(&mut answer)?;
    anyhow::ensure!(answer == [0x90, 3, 0, 1, qos], "SUBACK {answer:02x?}");
    Ok(())
}

/// A PUBLISH of fewer than 128 bytes; with QoS 1 its identifier stands at [`identifier`].
pub(crate) fn publish(topic: &str, payload: &[u8], qos: u8) -> Vec<u8> {
    let identifier = if qos > 0 { 2 } else { 0 };
    let mut packet = vec![0x30 | qos << 1, (2 + topic.len() + identifier + payload.len()) as u8, 0, topic.len() as u8];
    packet.extend(topic.as_bytes());
    packet.resize(packet.len() + identifier, 0);
    packet.extend(payload);
    packet
}

/// Where the identifier of such a packet is.
pub(crate) fn identifier(topic: &str) -> usize {
    4 + topic.len()
}
