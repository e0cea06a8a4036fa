//! Memory of an agent with twenty devices and three rules.

use std::time::Duration;

use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Node};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::figure::{Figure, megabytes};

const NAMESPACE: &str = "/apis/devices.kubeedge.io/v1beta1/namespaces/default";

/// A model and `count` devices of it on a node, reported by MQTT clients.
pub(crate) async fn make_devices(cloud: &Cloud, node: &str, count: usize) -> anyhow::Result<()> {
    let api = cloud.api().await?;
    let properties = json!([{"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly"}]);
    let model = json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel", "metadata": {"name": "sensor"},
        "spec": {"protocol": "mqtt", "properties": properties},
    });
    api.create(&format!("{NAMESPACE}/devicemodels"), &model).await?;
    for number in 1..=count {
        api.create(&format!("{NAMESPACE}/devices"), &device(&format!("sensor-{number}"), node)).await?;
    }
    Ok(())
}

fn device(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": {"name": name},
        "spec": {
            "deviceModelRef": {"name": "sensor"}, "nodeName": node, "protocol": {"protocolName": "mqtt"},
            "properties": [{"name": "temperature", "reportToCloud": true}],
        },
    })
}

/// A stream of readings and three rules on it.
async fn make_rules(node: &Node) -> anyhow::Result<()> {
    let stream = r#"CREATE STREAM readings (deviceid STRING, seq BIGINT, ts BIGINT, temperature FLOAT)
                    WITH (DATASOURCE="readings", FORMAT="json", TYPE="mqtt", SHARED="true")"#;
    node.make("/streams", &json!({"sql": stream})).await?;
    let statements = [
        "SELECT deviceid, temperature FROM readings WHERE temperature > 20",
        "SELECT deviceid, avg(temperature) AS average FROM readings GROUP BY deviceid, TUMBLINGWINDOW(ss, 2)",
        "SELECT * FROM readings",
    ];
    for (number, sql) in statements.into_iter().enumerate() {
        let cloud = json!({"cloud": {"stream": format!("rule-{number}"), "sendSingle": true}});
        node.make("/rules", &json!({"id": format!("rule-{number}"), "sql": sql, "actions": [cloud]})).await?;
    }
    Ok(())
}

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-agent", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        make_devices(&cloud, "bench", 20).await?;
        make_rules(&node).await?;
        let simulate = |name: &str, topic: &[&str]| {
            let mut command = site.command();
            command.args(["simulate", "mqtt", "--count=20", "--rate=1"]).args(topic);
            command.arg(format!("--devices=default/{name}")).arg(format!("--broker={}", node.mqtt()));
            site.spawn(name, command)
        };
        let _twins = simulate("sensor", &[])?;
        let _readings = simulate("reading", &["--topic=readings"])?;
        sleep(Duration::from_secs(15)).await;
        let agent = megabytes(node.process()?.resident_bytes()?);
        let server = megabytes(cloud.process()?.resident_bytes()?);
        Ok(vec![
            Figure::new("agent: RSS, 20 devices, 3 rules", agent, "MB").aim("< 30").peer(101.0, "edgecore"),
            Figure::new("server: RSS, one node, 20 devices", server, "MB").aim("< 60").peer(108.0, "cloudcore alone"),
        ])
    })
}
