//! From an MQTT twin update on the node to the watch event in the API, one at a time and at a thousand a second.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::site::on_a_site;
use edgeward_tests::{Api, Cloud, Node, PATIENCE, Process};
use futures::StreamExt as _;
use kube::core::WatchEvent;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::agent_memory::make_devices;
use crate::figure::{Figure, median, milliseconds, percentile};

const DEVICES: usize = 20;
const SINGLE: u64 = 300;
const RATE: u64 = 1_000;
const SECONDS: u64 = 10;
const WATCH: &str = "/apis/devices.kubeedge.io/v1beta1/namespaces/default/devicestatuses?watch=1";

/// A reported value of a device, and when the API's watcher saw it.
type Seen = (usize, u64, Instant);

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-twin", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        let api = cloud.api().await?;
        node.ready(&api).await?;
        make_devices(&cloud, "bench", DEVICES).await?;
        sleep(Duration::from_secs(2)).await;
        let (found, mut seen) = mpsc::channel(100_000);
        tokio::spawn(watch(api, found));
        let sensor = Arc::new(Mqtt::open(node.mqtt())?);
        // The watch must stand before the first update.
        sleep(Duration::from_millis(500)).await;
        let mut single = single(&sensor, &mut seen).await?;
        let before = (cloud.process()?.cpu_time()?, node.process()?.cpu_time()?);
        let (mut early, mut late) = flood(&sensor, &mut seen).await?;
        let cost = |process: &Process, before: Duration| -> anyhow::Result<f64> {
            Ok(milliseconds(process.cpu_time()? - before) / (RATE * SECONDS) as f64)
        };
        let (server, agent) = (cost(cloud.process()?, before.0)?, cost(node.process()?, before.1)?);
        let (p50, p99) = (median(&mut single), percentile(&mut single, 0.99));
        Ok(vec![
            Figure::new("twin update to watch event, p50", p50, "ms").aim("< 5").peer(9.7, "KubeEdge"),
            Figure::new("twin update to watch event, p99", p99, "ms").aim("< 17").peer(16.8, "KubeEdge"),
            Figure::new("1,000 updates/s: lag p50 in the first 2 s", median(&mut early), "ms"),
            Figure::new("1,000 updates/s: lag p50 in the last 2 s", median(&mut late), "ms").aim("does not grow"),
            Figure::new("1,000 updates/s: processor of the agent for each", agent, "ms").peer(4.4, "KubeEdge at 30/s"),
            Figure::new("1,000 updates/s: processor of the server for each", server, "ms")
                .peer(1.8, "KubeEdge at 30/s"),
        ])
    })
}

/// One update after the other, to one device.
async fn single(sensor: &Mqtt, seen: &mut mpsc::Receiver<Seen>) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for value in 1..=SINGLE {
        let sent = Instant::now();
        update(sensor, 1, value).await?;
        loop {
            let (device, reported, at) =
                tokio::time::timeout(PATIENCE, seen.recv()).await?.ok_or_else(|| anyhow::anyhow!("the watch ended"))?;
            if device == 1 && reported == value {
                times.push(milliseconds(at - sent));
                break;
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(times)
}

/// A thousand a second to all devices: lags of the first and of the last two seconds. Values that were overtaken by the next
/// one of their device count with it.
async fn flood(sensor: &Arc<Mqtt>, seen: &mut mpsc::Receiver<Seen>) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let total = RATE * SECONDS;
    let first = 1_000_000;
    let begun = Instant::now();
    let sending = {
        let sensor = sensor.clone();
        tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(10));
            let mut sent = Vec::with_capacity(total as usize);
            while (sent.len() as u64) < total {
                tick.tick().await;
                for _ in 0..RATE / 100 {
                    let number = sent.len() as u64;
                    sent.push(Instant::now());
                    update(&sensor, 1 + number as usize % DEVICES, first + number).await?;
                }
            }
            anyhow::Ok(sent)
        })
    };
    let mut arrivals = Vec::new();
    let mut last = [0_u64; DEVICES + 1];
    while last.iter().skip(1).any(|value| *value + (DEVICES as u64) < first + total) {
        let (device, value, at) =
            tokio::time::timeout(PATIENCE, seen.recv()).await?.ok_or_else(|| anyhow::anyhow!("the watch ended"))?;
        if value >= first && device <= DEVICES {
            last[device] = value;
            arrivals.push((value, at));
        }
    }
    let sent = sending.await??;
    let lag = |(value, at): &(u64, Instant)| {
        let sent = *sent.get((value - first) as usize)?;
        Some((sent, milliseconds(at.saturating_duration_since(sent))))
    };
    let lags: Vec<_> = arrivals.iter().filter_map(lag).collect();
    let of = |from: u64, to: u64| {
        let span = begun + Duration::from_secs(from)..begun + Duration::from_secs(to);
        lags.iter().filter(|(sent, _)| span.contains(sent)).map(|(_, lag)| *lag).collect::<Vec<_>>()
    };
    Ok((of(0, 2), of(SECONDS - 2, SECONDS * 10)))
}

async fn update(sensor: &Mqtt, device: usize, value: u64) -> anyhow::Result<()> {
    let update = json!({"event_id": "", "timestamp": 0, "twin": {"temperature": {
        "actual": {"value": value.to_string()}, "metadata": {"type": "float"}}}});
    sensor.send(&format!("$hw/events/device/default/sensor-{device}/twin/update"), update.to_string()).await
}

async fn watch(api: Api, found: mpsc::Sender<Seen>) -> anyhow::Result<()> {
    let request = http::Request::get(WATCH).body(Vec::new())?;
    let mut events = pin!(api.client().request_events::<Value>(request).await?);
    while let Some(event) = events.next().await {
        let (WatchEvent::Added(status) | WatchEvent::Modified(status)) = event? else { continue };
        let at = Instant::now();
        let name = status.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let device = name.strip_prefix("sensor-").and_then(|number| number.parse().ok());
        let twins = status.pointer("/status/twins").and_then(Value::as_array);
        let value =
            twins.into_iter().flatten().filter_map(|twin| twin.pointer("/reported/value")?.as_str()?.parse().ok());
        if let (Some(device), Some(value)) = (device, value.max()) {
            found.send((device, value, at)).await?;
        }
    }
    Ok(())
}
