//! A rule on the readings' own time finds the machine's failures, and little else.

use std::time::Duration;

use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::replay::{Replay, stream};
use edgeward_tests::{Cloud, Node, PATIENCE, data, eventually, say, scenario};
use serde_json::{Value, json};

/// A six-hour average reaches 12 % on the real set; plain thresholds reach 18 %.
const MAX_OUTSIDE: f64 = 0.15;
const RULE: &str = "SELECT window_end() AS at, avg(temperature) AS average FROM machine \
                    GROUP BY TUMBLINGWINDOW(hh, 6) HAVING avg(temperature) < 55";

#[test]
fn a_windowed_rule_finds_all_failures() {
    scenario("alarms", async |site| {
        let readings = data::readings(&site)?;
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "factory", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let file = site.dir().join("alarms.jsonl");
        node.make("/streams", &stream()).await?;
        let actions = json!([
            {"file": {"path": file, "fileType": "lines", "sendSingle": true}},
            {"mqtt": {"server": "", "topic": "factory/alarms", "sendSingle": true}},
            {"cloud": {"stream": "alarms", "sendSingle": true}},
        ]);
        let options = json!({"isEventTime": true, "lateTolerance": "24h", "qos": 1, "checkpointInterval": "1s"});
        node.make("/rules", &json!({"id": "alarms", "sql": RULE, "actions": actions, "options": options})).await?;
        let mut screen = Mqtt::open(node.mqtt())?;
        screen.subscribe("factory/alarms").await?;
        let mut replay = Replay::start(&site, &node, &readings, 0)?;
        let totals = replay.finish(Duration::from_secs(180)).await?;
        anyhow::ensure!(totals.acknowledged == readings.rows, "{totals:?} of {} rows", readings.rows);
        // The failures are over long before the file ends, so every alarm of theirs is there or on its way.
        let last = readings.windows.iter().map(|(from, _)| *from).max().unwrap_or(0);
        let alarms = eventually("an alarm in the last failure", PATIENCE, async || {
            let alarms = raised(&file)?;
            Ok(alarms.iter().any(|alarm| *alarm >= last).then_some(alarms))
        })
        .await?;
        judge(&alarms, &readings.windows)?;
        let (topic, alarm) = screen.next().await?;
        let alarm: Value = serde_json::from_slice(&alarm)?;
        anyhow::ensure!(
            topic == "factory/alarms" && alarm["at"].as_i64() == alarms.first().copied(),
            "{topic} {alarm}"
        );
        eventually("the alarms in the cloud store", PATIENCE, async || {
            Ok((cloud.stored("factory", "alarms")? >= alarms.len() as u64).then_some(()))
        })
        .await
    });
}

/// Times of the alarms in the rule's file.
fn raised(file: &std::path::Path) -> anyhow::Result<Vec<i64>> {
    let text = std::fs::read_to_string(file)?;
    let at = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("at")?.as_i64();
    Ok(text.lines().filter_map(at).collect())
}

fn judge(alarms: &[i64], windows: &[(i64, i64)]) -> anyhow::Result<()> {
    let within = |alarm: i64, (from, to): (i64, i64)| (from..=to).contains(&alarm);
    let found = windows.iter().filter(|window| alarms.iter().any(|alarm| within(*alarm, **window))).count();
    let outside = alarms.iter().filter(|alarm| !windows.iter().any(|window| within(**alarm, *window))).count();
    let share = outside as f64 / alarms.len() as f64;
    say(format!("{} alarms in {found} of {} failures, {:.1} % outside", alarms.len(), windows.len(), share * 100.0));
    anyhow::ensure!(windows.len() == 4 && found == 4, "alarms in {found} of {} failures", windows.len());
    anyhow::ensure!(share <= MAX_OUTSIDE, "{outside} of {} alarms are outside the failures", alarms.len());
    Ok(())
}
