//! Rules react: streams and rules in eKuiper's dialect, created over its REST API.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::rest;
use super::stage::{Progress, eventually};
use super::world::{Factory, World};

/// Alarms on the large machine: an average of six hours below 55 degrees.
pub(super) const MACHINE_ALARMS: &str = "machine-alarms";
const HOT: &str = "hot-sensors";
const AVERAGES: &str = "sensor-averages";

fn streams() -> [Value; 2] {
    let columns = "(deviceid STRING, seq BIGINT, ts BIGINT, temperature FLOAT)";
    let sensors = format!(
        r#"CREATE STREAM sensors {columns} WITH (DATASOURCE="factory/sensors/+", FORMAT="json", TYPE="mqtt", SHARED="true")"#
    );
    let machine = format!(
        r#"CREATE STREAM machine {columns} WITH (DATASOURCE="factory/machine", FORMAT="json", TYPE="mqtt", TIMESTAMP="ts")"#
    );
    [json!({"sql": sensors}), json!({"sql": machine})]
}

fn rules(factory: &Factory) -> Vec<Value> {
    let file = |rule: &str| json!({"file": {"path": factory.results(rule), "fileType": "lines", "sendSingle": true}});
    let cloud = |stream: &str| json!({"cloud": {"stream": stream, "sendSingle": true}});
    // What a device sends again after a lost acknowledgement is the same reading, and is stored once.
    let reading = json!({"cloud": {"stream": "machine", "sendSingle": true, "identity": ["deviceid", "seq"]}});
    let event_time = json!({"isEventTime": true, "lateTolerance": "24h", "qos": 1, "checkpointInterval": "1s"});
    vec![
        json!({
            "id": HOT,
            "sql": "SELECT deviceid, temperature FROM sensors WHERE temperature > 20",
            "actions": [file(HOT), cloud(HOT)],
        }),
        json!({
            "id": AVERAGES,
            "sql": "SELECT deviceid, avg(temperature) AS average, count(*) AS readings FROM sensors GROUP BY deviceid, TUMBLINGWINDOW(ss, 2)",
            "actions": [file(AVERAGES), cloud(AVERAGES)],
        }),
        json!({"id": "machine-readings", "sql": "SELECT * FROM machine", "actions": [reading], "options": {"qos": 1}}),
        json!({
            "id": MACHINE_ALARMS,
            "sql": "SELECT window_end() AS at, avg(temperature) AS average FROM machine GROUP BY TUMBLINGWINDOW(hh, 6) HAVING avg(temperature) < 55",
            "actions": [
                file(MACHINE_ALARMS),
                {"mqtt": {"server": "", "topic": "factory/alarms", "sendSingle": true}},
                cloud(MACHINE_ALARMS),
            ],
            "options": event_time,
        }),
    ]
}

pub(super) async fn set_up(world: &mut World, progress: Progress) -> anyhow::Result<String> {
    for factory in &world.factories {
        progress.say(format!("streams and rules of {}", factory.name));
        for stream in streams() {
            rest::call(factory.link.as_ref(), factory.rest(), "POST", "/streams", Some(&stream)).await?;
        }
        for rule in rules(factory) {
            rest::call(factory.link.as_ref(), factory.rest(), "POST", "/rules", Some(&rule)).await?;
        }
    }
    progress.say("results");
    for factory in &world.factories {
        for rule in [HOT, AVERAGES] {
            eventually(&format!("results of {rule} in {}", factory.name), Duration::from_secs(20), async || {
                Ok((lines(&factory.results(rule)) > 0).then_some(()))
            })
            .await?;
        }
    }
    let averages = world.factories[0].results(AVERAGES);
    let sample = std::fs::read_to_string(averages)?;
    progress.keep(format!("{AVERAGES}: {}", sample.lines().next().unwrap_or_default()));
    Ok(format!("{} rules in each factory give results", rules(&world.factories[0]).len()))
}

/// Lines in a results file; none while it does not exist.
pub(super) fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// How many results the filter rule of this factory has given: it moves all the time.
pub(super) fn activity(factory: &Factory) -> usize {
    lines(&factory.results(HOT))
}

/// The status that eKuiper's REST API gives of a rule.
pub(super) async fn status(factory: &Factory, rule: &str) -> anyhow::Result<String> {
    let text = rest::call(factory.link.as_ref(), factory.rest(), "GET", &format!("/rules/{rule}/status"), None).await?;
    let status: Value = serde_json::from_str(&text)?;
    Ok(status.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// When alarms were raised, in milliseconds of the machine's own time.
pub(super) fn raised(path: &Path) -> anyhow::Result<Vec<i64>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let alarms = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).with_context(|| format!("alarm {line:?}"))?;
        row.get("at").and_then(Value::as_i64).with_context(|| format!("alarm {line:?} has no time"))
    });
    let mut alarms: Vec<i64> = alarms.collect::<anyhow::Result<_>>()?;
    // A rule that was restarted from its last checkpoint may say again what it had said (at least once).
    alarms.sort_unstable();
    alarms.dedup();
    Ok(alarms)
}
