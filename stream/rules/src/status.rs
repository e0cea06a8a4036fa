//! Status and topology of a rule in eKuiper's flat form.

use edgeward_engine::{describe, topology};
use edgeward_service::clock;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::error::{Code, Result, RulesError};
use crate::life::{Rule, State};

/// `GET /rules/{id}/status`: state and counters, keys in eKuiper's order.
pub(crate) fn of(rule: &Rule, zone: &TimeZone) -> Value {
    let schedule = rule.schedule();
    let life = rule.life.lock();
    let mut status = Map::new();
    status.insert("status".into(), life.state.text().into());
    status.insert("message".into(), life.message.clone().into());
    status.insert("lastStartTimestamp".into(), life.last_start.into());
    status.insert("lastStopTimestamp".into(), life.last_stop.into());
    let awaited = matches!(life.state, State::Running | State::Scheduled);
    let next = schedule.filter(|_| awaited).map_or(0, |schedule| schedule.next_start(clock::now_ms(), zone));
    status.insert("nextStartTimestamp".into(), next.into());
    // A rule that stopped still tells what its last run has done.
    let run = life.run.clone();
    drop(life);
    for node in run.iter().flat_map(|run| run.handle.metrics()) {
        status.extend(describe(&node));
    }
    status.into()
}

/// `GET /v2/rules/{id}/status`: the same, with the metrics of each node in an object of its own.
pub(crate) fn structured(rule: &Rule, zone: &TimeZone) -> Value {
    let Value::Object(flat) = of(rule, zone) else { return Value::Null };
    let (mut status, mut nodes) = (Map::new(), Map::new());
    let run = rule.life.lock().run.clone();
    let names: Vec<String> =
        run.iter().flat_map(|run| run.handle.metrics()).map(|node| format!("{}_", node.name)).collect();
    for (key, value) in flat {
        match names.iter().find_map(|name| Some((name, key.strip_prefix(name.as_str())?))) {
            None => drop(status.insert(key, value)),
            Some((name, metric)) => {
                let node = nodes.entry(name.trim_end_matches('_')).or_insert_with(|| json!({}));
                node[metric] = value;
            }
        }
    }
    status.insert("metrics".into(), nodes.into());
    status.into()
}

/// `GET /rules/{id}/topo`: `{sources:[…], edges:{node:[…]}}`.
pub(crate) fn topo(rule: &Rule) -> Result<Value> {
    let run = rule.life.lock().run.clone();
    let never = || RulesError::refused(Code::Rule, "Fail to get rule topo, make sure the rule has been started before");
    Ok(topology(&run.ok_or_else(never)?.handle.metrics()))
}
