//! What the machine is and how it does: the `status` of the Node.

use std::net::IpAddr;

use edgeward_service::clock;
use serde_json::{Value, json};

use super::pressure::{Pressure, kibibytes};
use super::{KUBELET_VERSION, Options, Readiness};

/// `status` of the Node, as of now.
pub(super) async fn status(options: &Options, readiness: &Readiness, pressure: Pressure) -> Value {
    let memory = memory_bytes();
    let storage = storage_bytes(&options.data_dir);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let size = |memory: u64, storage: u64| {
        json!({
            "cpu": cpus.to_string(),
            "memory": format!("{}Ki", memory >> 10),
            "ephemeral-storage": format!("{}Ki", storage >> 10),
            "pods": options.max_pods.to_string(),
        })
    };
    json!({
        "capacity": size(memory, storage),
        // The kubelet keeps back a tenth of the file system as well.
        "allocatable": size(memory.saturating_sub(options.reserved_memory), storage / 10 * 9),
        "conditions": conditions(readiness, pressure),
        "addresses": addresses(options).await,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10350}},
        "nodeInfo": info(options),
    })
}

/// A condition that keeps its status keeps the time it got it.
pub(super) fn keep_transition_times(before: Option<&Value>, status: &mut Value) {
    let before = before.and_then(|status| status["conditions"].as_array()).map_or(&[][..], Vec::as_slice);
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    for condition in conditions {
        let same = |old: &&Value| old["type"] == condition["type"] && old["status"] == condition["status"];
        if let Some(since) = before.iter().find(same).and_then(|old| old.get("lastTransitionTime")) {
            condition["lastTransitionTime"] = since.clone();
        }
    }
}

/// `amd64`, `arm64`, … as Go names it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn conditions(readiness: &Readiness, pressure: Pressure) -> Value {
    let now = clock::now_rfc3339();
    let condition = |kind: &str, status: bool, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": if status { "True" } else { "False" },
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        })
    };
    let short = |kind: &str, is_short: bool, yes: &str, no: &str| {
        let message = if is_short { "the machine runs short of it" } else { "there is enough of it" };
        condition(kind, is_short, if is_short { yes } else { no }, message)
    };
    json!([
        short("MemoryPressure", pressure.memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
        short("DiskPressure", pressure.disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
        short("PIDPressure", pressure.pids, "KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
        condition("Ready", readiness.ready, &readiness.reason, &readiness.message),
    ])
}

async fn addresses(options: &Options) -> Value {
    let mut addresses = options.addresses.clone();
    if addresses.is_empty() {
        addresses.extend(route_address(&options.server).await);
    }
    let internal = addresses.iter().map(|address| json!({"type": "InternalIP", "address": address.to_string()}));
    internal.chain([json!({"type": "Hostname", "address": options.name})]).collect()
}

/// The address packets to the hub leave from. Connecting a UDP socket sends none.
async fn route_address(server: &str) -> Option<IpAddr> {
    let bind = if server.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = tokio::net::UdpSocket::bind(bind).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn info(options: &Options) -> Value {
    let uname = nix::sys::utsname::uname().ok();
    let kernel = uname.as_ref().map(|uname| uname.release().to_string_lossy().into_owned()).unwrap_or_default();
    json!({
        "machineID": line("/etc/machine-id"),
        "systemUUID": line("/sys/class/dmi/id/product_uuid"),
        "bootID": line("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": kernel,
        "osImage": os_image(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        "containerRuntimeVersion": options.runtime_version,
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
    })
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The first line of a small file; empty if it cannot be read.
fn line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&text, "MemTotal:").unwrap_or(0).saturating_mul(1024)
}

fn storage_bytes(path: &std::path::Path) -> u64 {
    let Ok(stat) = nix::sys::statvfs::statvfs(path) else { return 0 };
    stat.blocks().saturating_mul(stat.fragment_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_system() {
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(os_image(""), "Linux");
    }

    #[tokio::test]
    async fn tells_what_kubectl_prints() {
        let mut options = Options::new("edge-1", "127.0.0.1:10000", "/".into(), 110);
        options.runtime_version = "containerd://1.6.20".to_owned();
        let status = status(&options, &Readiness::default(), Pressure::default()).await;
        assert_eq!(status["addresses"][0], json!({"type": "InternalIP", "address": "127.0.0.1"}));
        assert_eq!(status["addresses"][1], json!({"type": "Hostname", "address": "edge-1"}));
        assert_eq!(status["conditions"][1]["status"], "False");
        assert_eq!(status["conditions"][1]["reason"], "KubeletHasNoDiskPressure");
        assert_eq!(status["conditions"][3]["type"], "Ready");
        assert_eq!(status["conditions"][3]["status"], "True");
        assert_eq!(status["capacity"]["pods"], "110");
        for path in ["/capacity/memory", "/allocatable/ephemeral-storage", "/nodeInfo/kernelVersion"] {
            let text = status.pointer(path).and_then(Value::as_str).unwrap();
            assert!(!text.is_empty() && !text.starts_with("0"), "{path} is {text:?}");
        }
    }

    #[test]
    fn transitions_are_timed_and_heartbeats_are_not() {
        let condition =
            |status: &str, time: &str| json!({"type": "Ready", "status": status, "lastTransitionTime": time});
        let check = |before: Value, expect: &str| {
            let mut status = json!({"conditions": [condition("True", "now")]});
            keep_transition_times(Some(&before), &mut status);
            assert_eq!(status["conditions"][0]["lastTransitionTime"], expect);
        };
        check(json!({"conditions": [condition("True", "then")]}), "then");
        check(json!({"conditions": [condition("False", "then")]}), "now");
        check(json!({"conditions": "nonsense"}), "now");
        check(json!(null), "now");
    }
}
