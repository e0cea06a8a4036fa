//! A rule on an external broker: what it costs beyond the bare MQTT client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edgeward_mqtt_client::{Client, Filter, Options, QoS, Server};
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
    let tasks = Tasks::root("bench");
    let (node, seen) = (tasks.clone(), Arc::new(AtomicU64::new(0)));
    let count = seen.clone();
    let (ready, subscribed) = tokio::sync::oneshot::channel();
    let receiving = runtime.spawn(async move {
        let (handle, mut messages) = Client::start(options, &node)?;
        let filter = Filter::try_from(TOPIC)?;
        handle.subscribe(vec![(filter, QoS::AtMostOnce)]).await?;
        let before = thread_nanos();
        let _ = ready.send(());
        while count.load(Ordering::Relaxed) < MESSAGES as u64 {
            let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(2), messages.recv()).await else { break };
            std::hint::black_box(message.payload.len());
            count.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(thread_nanos() - before)
    });
    subscribed.await?;
    publish(broker).await?;
    let nanos = receiving.await??;
    tasks.shutdown(Duration::from_secs(1)).await;
    runtime.shutdown_background();
    Ok(nanos / 1e3 / seen.load(Ordering::Relaxed) as f64)
}

async fn publish(broker: SocketAddr) -> anyhow::Result<()> {
    let socket = raw::connect(broker, "publisher")?;
    let packets: Vec<_> = (0..1_000).map(|index| raw::publish(TOPIC, payload(index).as_bytes(), 0)).collect();
    let packet = move |number: usize| packets[number % packets.len()].clone();
    tokio::task::spawn_blocking(move || send_all(socket, 0, MESSAGES, packet, TOPIC, 1)).await?
}
