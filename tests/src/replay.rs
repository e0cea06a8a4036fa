//! `edgeward simulate mqtt`: a machine that replays its readings into a node's broker.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::data::Readings;
use crate::{Node, Process, Site};

/// What the machine publishes to.
pub const TOPIC: &str = "factory/machine";

/// A replay that runs.
pub struct Replay(Process);

/// The replay's own account.
#[derive(Debug)]
pub struct Totals {
    /// Rows published at least once.
    pub sent: u64,
    /// Rows the broker acknowledged.
    pub acknowledged: u64,
    /// Rows published again after a lost connection.
    pub resent: u64,
}

impl Replay {
    /// Starts replaying with QoS 1; `rate` in rows per second, 0: as fast as they are acknowledged.
    pub fn start(site: &Site, node: &Node, readings: &Readings, rate: u32) -> anyhow::Result<Self> {
        let mut command = node.command();
        command.args(["simulate", "mqtt", "--devices=edge-system/machine", "--qos=1"]);
        command.arg(format!("--topic={TOPIC}")).arg(format!("--broker={}", node.mqtt()));
        command.arg("--csv").arg(&readings.file).arg(format!("--rate={rate}"));
        Ok(Self(site.spawn("replay", command)?))
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.0.check().is_ok()
    }

    /// Waits until every row is acknowledged.
    pub async fn finish(&mut self, limit: Duration) -> anyhow::Result<Totals> {
        let (status, _) = self.0.wait(limit).await?;
        let said = self.0.said();
        anyhow::ensure!(status.success(), "the replay ended with {status}");
        let totals = said.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let totals = totals.context("the replay printed no totals")?;
        let count = |field: &str| totals.get(field).and_then(Value::as_u64).unwrap_or(0);
        Ok(Totals { sent: count("sent"), acknowledged: count("acknowledged"), resent: count("resent") })
    }
}

/// The stream of the machine's readings, on their own time.
pub fn stream() -> Value {
    let columns = "(deviceid STRING, seq BIGINT, ts BIGINT, temperature FLOAT)";
    let options = format!(r#"DATASOURCE="{TOPIC}", FORMAT="json", TYPE="mqtt", TIMESTAMP="ts""#);
    json!({"sql": format!("CREATE STREAM machine {columns} WITH ({options})")})
}

/// The rule that sends every reading to the cloud. What the machine sends again after a lost acknowledgement is the same
/// reading, and is stored once.
pub fn to_cloud() -> Value {
    let cloud = json!({"cloud": {"stream": "machine", "sendSingle": true, "identity": ["deviceid", "seq"]}});
    json!({"id": "machine-readings", "sql": "SELECT * FROM machine", "actions": [cloud], "options": {"qos": 1}})
}
