//! From a reading to the alarm that a rule publishes, both over MQTT.

use std::time::{Duration, Instant};

use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Node};
use serde_json::json;
use tokio::time::sleep;

use crate::figure::{Figure, median, milliseconds, percentile};

const SAMPLES: usize = 2_000;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-alarm", async |site| {
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let stream =
            r#"CREATE STREAM readings (n BIGINT, t FLOAT) WITH (DATASOURCE="readings", FORMAT="json", TYPE="mqtt")"#;
        node.make("/streams", &json!({"sql": stream})).await?;
        let alarms = json!({"mqtt": {"server": "", "topic": "alarms", "sendSingle": true}});
        node.make(
            "/rules",
            &json!({"id": "hot", "sql": "SELECT n, t FROM readings WHERE t > 50", "actions": [alarms]}),
        )
        .await?;
        let mut screen = Mqtt::open(node.mqtt())?;
        screen.subscribe("alarms").await?;
        let mut times = Vec::new();
        for number in 0..SAMPLES {
            let sent = Instant::now();
            screen.send("readings", json!({"n": number, "t": 99.5}).to_string()).await?;
            screen.next().await?;
            times.push(milliseconds(sent.elapsed()));
            sleep(Duration::from_millis(1)).await;
        }
        Ok(vec![
            Figure::new("reading to alarm over MQTT, p50", median(&mut times), "ms"),
            Figure::new("reading to alarm over MQTT, p99", percentile(&mut times, 0.99), "ms").aim("< 2"),
        ])
    })
}
