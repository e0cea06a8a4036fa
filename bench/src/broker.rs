//! Messages per second through the broker, and through mosquitto in the same run.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Node, PATIENCE, Process, Site, eventually, machine, say};

use crate::figure::{Figure, median, megabytes};
use crate::raw;

const TOPIC: &str = "bench/readings";
const PAYLOAD: [u8; 64] = [b'x'; 64];
const ROUNDS: usize = 3;
const QOS0: usize = 300_000;
const QOS1: usize = 60_000;
/// QoS 1 messages on their way: what mosquitto takes at once with the settings below.
const WINDOW: usize = 100;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-broker", async |site| {
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let peer = mosquitto(&site).await?;
        let mut ours = [Vec::new(), Vec::new()];
        let mut theirs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            // In turns, so that what else the machine does hits both.
            for (qos, count) in [(0, QOS0), (1, QOS1)] {
                ours[qos].push(run(node.mqtt(), qos, count)?);
                if let Some((_, address)) = &peer {
                    theirs[qos].push(run(*address, qos, count)?);
                }
            }
        }
        let mut figures = Vec::new();
        for (qos, (ours, theirs)) in ours.iter_mut().zip(&mut theirs).enumerate() {
            let name = format!("broker: QoS {qos}, 64 bytes, one to one");
            let figure = Figure::rate(&name, median(ours), "messages/s").aim("not below the peer");
            figures.push(if theirs.is_empty() { figure } else { figure.peer(median(theirs), "mosquitto, same run") });
        }
        if let Some((process, _)) = &peer {
            figures.push(Figure::new("mosquitto: RSS afterwards", megabytes(process.resident_bytes()?), "MB"));
        }
        figures.push(Figure::new("agent: RSS afterwards", megabytes(node.process()?.resident_bytes()?), "MB"));
        Ok(figures)
    })
}

pub(crate) async fn mosquitto(site: &Arc<Site>) -> anyhow::Result<Option<(Process, SocketAddr)>> {
    let Some(program) = machine::which("mosquitto") else {
        say("no mosquitto (make setup-tests brings it): the peer is left out");
        return Ok(None);
    };
    let address = SocketAddr::from((site.address(30), 21_883));
    let file = site.dir().join("mosquitto.conf");
    let settings =
        "allow_anonymous true\nmax_inflight_messages 200\nmax_queued_messages 0\npersistence false\nuser root\n";
    std::fs::write(&file, format!("listener {} {}\n{settings}", address.port(), address.ip()))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file);
    let process = site.spawn("mosquitto", command)?;
    eventually("mosquitto", PATIENCE, async || Ok(std::net::TcpStream::connect(address).is_ok().then_some(()))).await?;
    Ok(Some((process, address)))
}

/// Messages per second from one publisher to one subscriber.
fn run(broker: SocketAddr, qos: usize, count: usize) -> anyhow::Result<f64> {
    let level = qos as u8;
    let mut subscriber = raw::connect(broker, "subscriber")?;
    raw::subscribe(&mut subscriber, TOPIC, level)?;
    let publisher = raw::connect(broker, "publisher")?;
    let begun = Instant::now();
    let sending = std::thread::spawn(move || send(publisher, level, count));
    receive(subscriber, level, count)?;
    let took: Duration = begun.elapsed();
    sending.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    Ok(count as f64 / took.as_secs_f64())
}

/// Publishes; with QoS 1 at most a window of messages is unacknowledged.
pub(crate) fn send_all(
    mut socket: std::net::TcpStream,
    qos: u8,
    count: usize,
    packet_of: impl Fn(usize) -> Vec<u8>,
    topic: &str,
    window: usize,
) -> anyhow::Result<()> {
    let at = raw::identifier(topic);
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut answers = [0; 4096];
    let (mut sent, mut acknowledged, mut bytes) = (0, 0, 0);
    while acknowledged < count {
        buffer.clear();
        let most = if qos == 0 { 400 } else { window - (sent - acknowledged) };
        let until = count.min(sent + most);
        for number in sent..until {
            let start = buffer.len();
            buffer.extend(packet_of(number));
            if qos > 0 {
                let identifier = (number % 60_000 + 1) as u16;
                buffer[start + at..start + at + 2].copy_from_slice(&identifier.to_be_bytes());
            }
        }
        sent = until;
        socket.write_all(&buffer)?;
        if qos == 0 {
            acknowledged = sent;
            continue;
        }
        // PUBACKs have four bytes.
        let read = socket.read(&mut answers)?;
        anyhow::ensure!(read > 0, "the broker closed the connection");
        bytes += read;
        acknowledged = bytes / 4;
    }
    Ok(())
}

fn send(socket: std::net::TcpStream, qos: u8, count: usize) -> anyhow::Result<()> {
    let packet = raw::publish(TOPIC, &PAYLOAD, qos);
    send_all(socket, qos, count, |_| packet.clone(), TOPIC, WINDOW)
}

fn receive(mut socket: std::net::TcpStream, qos: u8, count: usize) -> anyhow::Result<()> {
    let size = raw::publish(TOPIC, &PAYLOAD, qos).len();
    let at = raw::identifier(TOPIC);
    let mut buffer = vec![0; 256 << 10];
    let mut held = 0;
    let mut received = 0;
    let mut answers = Vec::new();
    while received < count {
        let read = socket.read(&mut buffer[held..])?;
        anyhow::ensure!(read > 0, "the broker closed the connection after {received} messages");
        held += read;
        let whole = held / size;
        if qos > 0 {
            answers.clear();
            for packet in buffer[..whole * size].chunks_exact(size) {
                answers.extend([0x40, 2, packet[at], packet[at + 1]]);
            }
            socket.write_all(&answers)?;
        }
        received += whole;
        buffer.copy_within(whole * size..held, 0);
        held -= whole * size;
    }
    Ok(())
}
