//! What an agent costs: memory with 20 devices, CPU while nothing happens. Run with `--ignored --nocapture` on a release
//! build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a measurement for people")]

use std::time::Duration;

use edgeward_agent::{Agent, Options};
use edgeward_objects::Object;
use edgeward_service::Tasks;
use serde_json::json;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// User and system time of this process, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn memory_and_idle_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("agent");
    let mut options = Options::new("edge-1", "127.0.0.1", folder.path());
    options.broker.listen.clear();
    options.local_api = Some(([127, 0, 0, 1], 0).into());
    let handle = Box::pin(Agent::start(options, &tasks)).await.unwrap();
    let metadata = |name: &str| json!({"name": name, "namespace": "default"});
    let property = json!({"name": "temperature", "type": "FLOAT", "accessMode": "ReadWrite"});
    let model = json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel", "metadata": metadata("model"),
        "spec": {"properties": [property]},
    });
    handle.twin().apply_model(&Object::from_value(model).unwrap()).await.unwrap();
    for number in 0..20 {
        let device = json!({
            "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": metadata(&format!("device-{number}")),
            "spec": {"deviceModelRef": {"name": "model"}, "properties": [{"name": "temperature"}]},
        });
        handle.twin().apply_device(&Object::from_value(device).unwrap()).await.unwrap();
    }
    for number in 0..2_000 {
        handle.outbox().append("machine", number, &[b'x'; 100]).await.unwrap();
    }
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = ticks() - before;
    println!(
        "resident: {} KiB with 20 devices; idle CPU: {:.2} % of a core (offline)",
        resident_kib(),
        idle as f64 / 10.0
    );
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
}
