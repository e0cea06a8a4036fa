//! A rule on an external broker: what it costs beyond the bare MQTT client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edgeward_mqtt_client::{Client, Filter, Incoming, Options, QoS, Rest, Server, Taker};
use edgeward_service::Tasks;
use edgeward_tests::site::on_a_site;
use edgeward_tests::{PATIENCE, Site, eventually};
use serde_json::json;
use tokio::time::sleep;

use super::lab::{payload, thread_nanos};
use super::stored::Engine;
use crate::broker::{mosquitto, send_all};
use crate::figure::{Figure, median};
use crate::raw;

const TOPIC: &str = "demo";
const MESSAGES: usize = 200_000;
const ROUNDS: usize = 3;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-subscriber", async |site| {
        let Some((_broker, address)) = mosquitto(&site).await? else { return Ok(Vec::new()) };
        let engine = rule(&site, address).await?;
        let (mut ours, mut bare, mut kept_up) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (seen, cpu) = through_the_rule(&engine, address).await?;
            ours.push(cpu.as_secs_f64() * 1e6 / seen as f64);
            kept_up.push(seen as f64 / MESSAGES as f64 * 100.0);
            bare.push(through_the_client(address).await?);
        }
        let (ours, bare) = (median(&mut ours), median(&mut bare));
        Ok(vec![
            Figure::new("stream: filter on mosquitto, QoS 0, whole program", ours, "us a message")
                .peer(bare, "bare client, one thread"),
            Figure::new("stream: that beyond the client's own", ours - bare, "us a message").aim("< 1.0"),
            Figure::rate("stream: messages of mosquitto the rule saw", median(&mut kept_up), "%").aim("100"),
        ])
    })
}

async fn rule(site: &Arc<Site>, broker: SocketAddr) -> anyhow::Result<Engine> {
    let mut engine = Engine::new(site, "subscriber", 40);
    engine.start().await?;
    let conf = json!({"server": format!("tcp://{broker}"), "qos": 0});
    engine.call("PUT", "/metadata/sources/mqtt/confKeys/bench", &conf).await?;
    let stream =
        format!(r#"CREATE STREAM demo () WITH (DATASOURCE="{TOPIC}", FORMAT="json", TYPE="mqtt", CONF_KEY="bench")"#);
    engine.call("POST", "/streams", &json!({"sql": stream})).await?;
    let rule = json!({"id": "one", "sql": "SELECT * FROM demo WHERE temperature > 50", "actions": [{"nop": {}}]});
    engine.call("POST", "/rules", &rule).await?;
    eventually("the rule's connection", PATIENCE, async || {
        let status = engine.call("GET", "/rules/one/status", &serde_json::Value::Null).await?;
        Ok((status["source_demo_0_connection_status"] == 1).then_some(()))
    })
    .await?;
    Ok(engine)
}

/// Messages the rule saw and the program's processor time for them.
async fn through_the_rule(engine: &Engine, broker: SocketAddr) -> anyhow::Result<(u64, Duration)> {
    let before = (engine.records("one").await?, engine.process()?.cpu_time()?);
    publish(broker).await?;
    let mut seen = 0;
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = engine.records("one").await? - before.0;
        if now == seen || now >= MESSAGES as u64 {
            return Ok((now, engine.process()?.cpu_time()? - before.1));
        }
        seen = now;
    }
}

/// Processor time in µs for a message of the client alone.
async fn through_the_client(broker: SocketAddr) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let options = Options { client_id: "bare".try_into()?, ..Options::new(Server::parse(&format!("tcp://{broker}"))?) };
    let (tasks, tally) = (Tasks::root("bench"), Tally::default());
    let (node, taker) = (tasks.clone(), tally.clone());
    let handle = runtime.spawn(async move { Client::start_for(taker, options, &node) }).await??;
    handle.subscribe(vec![(Filter::try_from(TOPIC)?, QoS::AtMostOnce)]).await?;
    publish(broker).await?;
    let mut seen = 0;
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = tally.seen.load(Ordering::Relaxed);
        if now == seen || now >= MESSAGES as u64 {
            break;
        }
        seen = now;
    }
    tasks.shutdown(Duration::from_secs(1)).await;
    runtime.shutdown_background();
    let nanos = tally.nanos.load(Ordering::Relaxed);
    Ok(nanos as f64 / 1e3 / tally.seen.load(Ordering::Relaxed) as f64)
}

/// Counts messages in the client's own task, and the processor time of its thread from the first to the last.
#[derive(Clone, Default)]
struct Tally {
    seen: Arc<AtomicU64>,
    nanos: Arc<AtomicU64>,
    begun: Option<f64>,
}

impl Taker for Tally {
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest> {
        let begun = *self.begun.get_or_insert_with(thread_nanos);
        let mut seen = 0;
        for message in messages.drain(..) {
            seen += 1;
            std::hint::black_box(message.payload.len());
        }
        let before = self.seen.fetch_add(seen, Ordering::Relaxed);
        // The clock is a file: it is read seldom.
        if before / 1_000 != (before + seen) / 1_000 {
            self.nanos.store((thread_nanos() - begun) as u64, Ordering::Relaxed);
        }
        None
    }
}

async fn publish(broker: SocketAddr) -> anyhow::Result<()> {
    let socket = raw::connect(broker, "publisher")?;
    let packets: Vec<_> = (0..1_000).map(|index| raw::publish(TOPIC, payload(index).as_bytes(), 0)).collect();
    let packet = move |number: usize| packets[number % packets.len()].clone();
    tokio::task::spawn_blocking(move || send_all(socket, 0, MESSAGES, packet, TOPIC, 1)).await?
}
