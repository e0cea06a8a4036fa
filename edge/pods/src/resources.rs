//! Requests and limits: quantities, quality of service, and what becomes of them in the kernel.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::pod;

/// CPU quota period, microseconds.
pub(crate) const CPU_PERIOD: i64 = 100_000;
const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
/// The kernel refuses a smaller quota.
const MIN_QUOTA: i64 = 1000;

/// Quality of service, by the kubelet's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// CPU in thousandths of a core and memory in bytes; 0 where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu_millis: i64,
    pub(crate) memory: i64,
}

type Map = Option<BTreeMap<String, Quantity>>;

pub(crate) fn limits(container: &Container) -> Amounts {
    container.resources.as_ref().map(|resources| amounts(&resources.limits)).unwrap_or_default()
}

/// Requests; where only a limit is given it is the request.
pub(crate) fn requests(container: &Container) -> Amounts {
    let Some(resources) = &container.resources else { return Amounts::default() };
    let (mut requests, limits) = (amounts(&resources.requests), amounts(&resources.limits));
    let named = |name| resources.requests.as_ref().is_some_and(|map| map.contains_key(name));
    if !named("cpu") {
        requests.cpu_millis = limits.cpu_millis;
    }
    if !named("memory") {
        requests.memory = limits.memory;
    }
    requests
}

/// What the pod as a whole asks of the node: its containers together, or its greediest init container if that is more.
pub(crate) fn pod_requests(pod: &Pod) -> Amounts {
    let sidecars = pod::init_containers(pod).iter().filter(|container| pod::is_sidecar(container));
    let mut sum = Amounts::default();
    for container in pod::containers(pod).iter().chain(sidecars) {
        let one = requests(container);
        sum.cpu_millis = sum.cpu_millis.saturating_add(one.cpu_millis);
        sum.memory = sum.memory.saturating_add(one.memory);
    }
    for init in pod::init_containers(pod).iter().map(requests) {
        sum = Amounts { cpu_millis: sum.cpu_millis.max(init.cpu_millis), memory: sum.memory.max(init.memory) };
    }
    sum
}

/// Limits of the whole pod, 0 where some container has none.
pub(crate) fn pod_limits(pod: &Pod) -> Amounts {
    let mut sum = Amounts::default();
    let (mut cpu_bound, mut memory_bound) = (true, true);
    for limit in pod::all_containers(pod).map(limits) {
        cpu_bound &= limit.cpu_millis > 0;
        memory_bound &= limit.memory > 0;
        sum.cpu_millis = sum.cpu_millis.saturating_add(limit.cpu_millis);
        sum.memory = sum.memory.saturating_add(limit.memory);
    }
    Amounts {
        cpu_millis: if cpu_bound { sum.cpu_millis } else { 0 },
        memory: if memory_bound { sum.memory } else { 0 },
    }
}

pub(crate) fn qos(pod: &Pod) -> Qos {
    let (mut any, mut guaranteed) = (false, true);
    for container in pod::all_containers(pod) {
        let (requests, limits) = (requests(container), limits(container));
        any |= requests != Amounts::default() || limits != Amounts::default();
        guaranteed &= limits.cpu_millis > 0 && limits.memory > 0 && requests == limits;
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// `cpu.shares` of cgroup v1, which the runtime converts for v2.
pub(crate) fn cpu_shares(cpu_millis: i64) -> i64 {
    if cpu_millis <= 0 {
        MIN_SHARES
    } else {
        cpu_millis.saturating_mul(1024).div_euclid(1000).clamp(MIN_SHARES, MAX_SHARES)
    }
}

/// `cpu.cfs_quota_us`; 0: no limit.
pub(crate) fn cpu_quota(cpu_millis: i64) -> i64 {
    if cpu_millis <= 0 { 0 } else { (cpu_millis.saturating_mul(CPU_PERIOD) / 1000).max(MIN_QUOTA) }
}

/// How early the kernel kills the container when memory runs out, by the kubelet's formula.
pub(crate) fn oom_score_adj(qos: Qos, memory_request: i64, memory_capacity: i64) -> i64 {
    match qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let share = memory_request.saturating_mul(1000).checked_div(memory_capacity).unwrap_or(0);
            (1000 - share).clamp(3, 999)
        }
    }
}

/// Memory of the machine, bytes.
pub(crate) fn memory_capacity() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: i64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    kib.saturating_mul(1024)
}

fn amounts(map: &Map) -> Amounts {
    let value = |name: &str| map.as_ref().and_then(|map| map.get(name));
    Amounts {
        cpu_millis: value("cpu").and_then(millis).unwrap_or(0),
        memory: value("memory").and_then(bytes).unwrap_or(0),
    }
}

/// Bytes of a quantity, rounded up; `None` if it is none.
pub(crate) fn bytes(quantity: &Quantity) -> Option<i64> {
    parse(quantity).map(edgeward_objects::Quantity::units)
}

/// Thousandths of a quantity, rounded up; `None` if it is none.
pub(crate) fn millis(quantity: &Quantity) -> Option<i64> {
    parse(quantity).map(edgeward_objects::Quantity::millis)
}

/// An amount in thousandths divided by a `resourceFieldRef`'s divisor (1 if there is none), rounded up.
pub(crate) fn divided(amount_millis: i128, divisor: Option<&Quantity>) -> Option<i64> {
    let divisor = i128::from(divisor.and_then(millis).filter(|millis| *millis > 0).unwrap_or(1000));
    let whole = amount_millis.div_euclid(divisor) + i128::from(amount_millis.rem_euclid(divisor) != 0);
    i64::try_from(whole).ok()
}

fn parse(quantity: &Quantity) -> Option<edgeward_objects::Quantity> {
    quantity.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_and_scores() {
        let cases = [
            (json!([{}]), Qos::BestEffort, 2, 0, 1000),
            (json!([{ "requests": { "cpu": "100m" } }]), Qos::Burstable, 102, 0, 999),
            (json!([{ "requests": { "memory": "500Mi" } }]), Qos::Burstable, 2, 0, 512),
            (json!([{ "limits": { "cpu": "200m", "memory": "256Mi" } }]), Qos::Guaranteed, 204, 20_000, -997),
            (
                json!([{ "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "200m", "memory": "256Mi" } }]),
                Qos::Burstable,
                102,
                20_000,
                875,
            ),
            (json!([{ "limits": { "cpu": "5m", "memory": "1Gi" } }, {}]), Qos::Burstable, 5, 1000, 3),
        ];
        for (resources, class, shares, quota, score) in cases {
            let containers: Vec<_> =
                resources.as_array().unwrap().iter().map(|r| json!({ "name": "a", "resources": r })).collect();
            let pod: Pod = serde_json::from_value(json!({ "spec": { "containers": containers } })).unwrap();
            let (first, capacity) = (&pod::containers(&pod)[0], 1024 * 1024 * 1024);
            let request = requests(first);
            assert_eq!(qos(&pod), class, "{resources}");
            assert_eq!(cpu_shares(request.cpu_millis), shares, "{resources}");
            assert_eq!(cpu_quota(limits(first).cpu_millis), quota, "{resources}");
            assert_eq!(oom_score_adj(class, request.memory, capacity), score, "{resources}");
        }
    }
}
