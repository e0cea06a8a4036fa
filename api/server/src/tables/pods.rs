//! Pods: the status column tells the most telling of many states, by kubectl's rules.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Printer, age, name, own_age, str_of, text};

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    (group.is_empty() && plural == "pods").then_some(Printer {
        columns: "Name:name|Ready|Status|Restarts|Age|IP:wide|Node:wide|Nominated Node:wide|Readiness Gates:wide",
        cells,
    })
}

fn cells(pod: &Object, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let ip = pod.get_list(&["status", "podIPs"]).first().map_or("", |ip| str_of(ip, "ip"));
    let ip = if ip.is_empty() { text(pod, &["status", "podIP"]) } else { json!(ip) };
    vec![
        name(pod),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        restarts(&summary, now),
        own_age(pod, now),
        ip,
        text(pod, &["spec", "nodeName"]),
        text(pod, &["status", "nominatedNodeName"]),
        gates(pod),
    ]
}

fn restarts(summary: &Summary, now: Timestamp) -> Value {
    match summary.last_restart.as_deref().and_then(|time| age::since(time, now)) {
        Some(seconds) if summary.restarts > 0 => json!(format!("{} ({} ago)", summary.restarts, age::human(seconds))),
        _ => json!(summary.restarts.to_string()),
    }
}

fn gates(pod: &Object) -> Value {
    let gates = pod.get_list(&["spec", "readinessGates"]);
    if gates.is_empty() {
        return json!("<none>");
    }
    let passed = gates.iter().filter(|gate| condition(pod, str_of(gate, "conditionType"))).count();
    json!(format!("{passed}/{}", gates.len()))
}

fn condition(pod: &Object, kind: &str) -> bool {
    pod.get_list(&["status", "conditions"]).iter().any(|c| str_of(c, "type") == kind && str_of(c, "status") == "True")
}

/// A pod in a line.
#[derive(Debug, Default)]
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<String>,
}

impl Summary {
    fn of(pod: &Object) -> Self {
        let init = pod.get_list(&["spec", "initContainers"]);
        let sidecars = init.iter().filter(|container| str_of(container, "restartPolicy") == "Always").count();
        let phase = pod.get_str(&["status", "phase"]).unwrap_or_default();
        let reason = pod.get_str(&["status", "reason"]).filter(|reason| !reason.is_empty()).unwrap_or(phase);
        let mut summary = Self {
            total: pod.get_list(&["spec", "containers"]).len() + sidecars,
            reason: reason.to_owned(),
            ..Self::default()
        };
        if condition_reason(pod, "PodScheduled") == "SchedulingGated" {
            summary.reason = "SchedulingGated".to_owned();
        }
        let initializing = summary.init(pod, init);
        if !initializing || condition(pod, "Initialized") {
            summary.main(pod);
        }
        if pod.is_deleting() {
            if pod.get_str(&["status", "reason"]) == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Looks at the init containers; whether they are still at work.
    fn init(&mut self, pod: &Object, specs: &[Value]) -> bool {
        for (index, status) in pod.get_list(&["status", "initContainerStatuses"]).iter().enumerate() {
            self.count(status);
            let spec = specs.iter().find(|spec| str_of(spec, "name") == str_of(status, "name"));
            let sidecar = spec.is_some_and(|spec| str_of(spec, "restartPolicy") == "Always");
            if sidecar && status.get("started") == Some(&Value::Bool(true)) {
                self.ready += usize::from(status.get("ready") == Some(&Value::Bool(true)));
                continue;
            }
            let terminated = status.pointer("/state/terminated");
            if terminated.is_some_and(|state| exit_code(state) == 0) {
                continue;
            }
            let waiting = status.pointer("/state/waiting").map_or("", |state| str_of(state, "reason"));
            self.reason = match terminated {
                Some(state) => format!("Init:{}", ended(state)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    fn main(&mut self, pod: &Object) {
        let mut running = false;
        for status in pod.get_list(&["status", "containerStatuses"]).iter().rev() {
            self.count(status);
            let waiting = status.pointer("/state/waiting").map_or("", |state| str_of(state, "reason"));
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(state) = status.pointer("/state/terminated") {
                self.reason = ended(state);
            } else if status.get("ready") == Some(&Value::Bool(true)) && status.pointer("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if condition(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count(&mut self, status: &Value) {
        self.restarts += status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        let finished = status.pointer("/lastState/terminated").map_or("", |state| str_of(state, "finishedAt"));
        // RFC 3339 in UTC sorts as text.
        if !finished.is_empty() && self.last_restart.as_deref().is_none_or(|last| last < finished) {
            self.last_restart = Some(finished.to_owned());
        }
    }
}

fn exit_code(state: &Value) -> i64 {
    state.get("exitCode").and_then(Value::as_i64).unwrap_or(0)
}

fn ended(state: &Value) -> String {
    let (reason, signal) = (str_of(state, "reason"), state.get("signal").and_then(Value::as_i64).unwrap_or(0));
    match (reason, signal) {
        ("", 0) => format!("ExitCode:{}", exit_code(state)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn condition_reason<'a>(pod: &'a Object, kind: &str) -> &'a str {
    let conditions = pod.get_list(&["status", "conditions"]);
    conditions
        .iter()
        .find(|condition| str_of(condition, "type") == kind)
        .map_or("", |condition| str_of(condition, "reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_column() {
        let running = json!({"name": "c", "ready": true, "restartCount": 0, "state": {"running": {}}});
        let crashed = json!({"name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}}});
        let cases = [
            (json!({"status": {"phase": "Pending"}}), "0/1 Pending 0"),
            (json!({"status": {"phase": "Running", "containerStatuses": [running]}}), "1/1 Running 0"),
            (
                json!({"status": {"phase": "Running", "containerStatuses": [crashed]}}),
                "0/1 CrashLoopBackOff 3 (5m ago)",
            ),
            (json!({"status": {"phase": "Failed", "reason": "Evicted"}}), "0/1 Evicted 0"),
            (
                json!({"status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]}}),
                "0/1 Completed 0",
            ),
            (
                json!({"status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]}}),
                "0/1 ExitCode:2 0",
            ),
            (
                json!({"status": {"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}]}}),
                "0/1 Init:0/2 0",
            ),
            (
                json!({"status": {"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}, {"state": {"waiting": {"reason": "ErrImagePull"}}}]}}),
                "0/1 Init:ErrImagePull 0",
            ),
            (json!({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running"}}), "0/1 Terminating 0"),
        ];
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        for (mut pod, expected) in cases {
            pod["spec"] = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]});
            let cells = cells(&Object::from_value(pod.clone()).unwrap(), now);
            let line: Vec<&str> = cells[1..4].iter().filter_map(Value::as_str).collect();
            assert_eq!(line.join(" "), expected, "{pod}");
        }
    }
}
