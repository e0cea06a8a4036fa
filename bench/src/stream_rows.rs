//! Rows per second through a rule of an agent: MQTT in, filter and average, nothing out.

use std::time::{Duration, Instant};

use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Node, PATIENCE};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::broker::send_all;
use crate::figure::Figure;
use crate::raw;

const TOPIC: &str = "rows";
const ROWS: usize = 300_000;
const CASES: [(&str, &str); 2] = [
    ("filter", "SELECT device, t FROM rows WHERE t > 98"),
    ("window", "SELECT device, avg(t) AS average FROM rows GROUP BY device, TUMBLINGWINDOW(ss, 1)"),
];

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-rows", async |site| {
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let stream = format!(
            r#"CREATE STREAM rows (device STRING, t FLOAT, ts BIGINT) WITH (DATASOURCE="{TOPIC}", FORMAT="json", TYPE="mqtt")"#
        );
        node.make("/streams", &json!({"sql": stream})).await?;
        let mut figures = Vec::new();
        for (name, sql) in CASES {
            // QoS 1 all the way: the publisher waits for the rule, so no row is dropped and all are counted.
            let rule = json!({"id": name, "sql": sql, "actions": [{"nop": {}}], "options": {"qos": 1}});
            node.make("/rules", &rule).await?;
            let rate = run(&node, name).await?;
            figures.push(Figure::rate(
                &format!("rule in the agent, {name}: MQTT QoS 1 to acknowledged"),
                rate,
                "rows/s",
            ));
            node.rules("DELETE", &format!("/rules/{name}"), &Value::Null).await?;
        }
        Ok(figures)
    })
}

async fn run(node: &Node, rule: &str) -> anyhow::Result<f64> {
    let socket = raw::connect(node.mqtt(), "rows")?;
    let packets: Vec<_> = (0..100).map(packet).collect();
    let begun = Instant::now();
    let sending = tokio::task::spawn_blocking(move || {
        send_all(socket, 1, ROWS, |number| packets[number % packets.len()].clone(), TOPIC, 1_000)
    });
    sending.await??;
    let took = begun.elapsed();
    // All of them went through the rule.
    while records(node, rule).await? < ROWS as u64 {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the rule saw {} of {ROWS} rows", records(node, rule).await?);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(ROWS as f64 / took.as_secs_f64())
}

fn packet(number: usize) -> Vec<u8> {
    let payload = format!(r#"{{"device":"dev-{}","t":{number}.5,"ts":1700000000000}}"#, number % 20);
    raw::publish(TOPIC, payload.as_bytes(), 1)
}

async fn records(node: &Node, rule: &str) -> anyhow::Result<u64> {
    let (_, status) = node.rules("GET", &format!("/rules/{rule}/status"), &Value::Null).await?;
    let fields = status.as_object().into_iter().flatten();
    let count = fields.filter(|(name, _)| name.starts_with("source_") && name.ends_with("records_in_total"));
    Ok(count.filter_map(|(_, count)| count.as_u64()).sum())
}
