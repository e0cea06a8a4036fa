//! How far a rollout may go now: pure arithmetic on sizes.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{available, replicas};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    Recreate,
    Rolling { surge: i32, unavailable: i32 },
}

pub(super) fn strategy(spec: &DeploymentSpec) -> Strategy {
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
        return Strategy::Recreate;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let desired = spec.replicas.unwrap_or(1);
    let quarter = IntOrString::String("25%".to_owned());
    let share = |value: Option<&IntOrString>, up| absolute(value.unwrap_or(&quarter), desired, up);
    let surge = share(rolling.and_then(|rolling| rolling.max_surge.as_ref()), true);
    let unavailable = share(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), false);
    // Both zero would never move.
    Strategy::Rolling { surge, unavailable: if surge == 0 { unavailable.max(1) } else { unavailable } }
}

/// An absolute number, or a percentage of `total` rounded up or down.
pub(crate) fn absolute(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = total.saturating_mul(percent);
            if round_up { (product + 99) / 100 } else { product / 100 }
        }
    }
}

/// Which sets get which size now. The rest follows as pods become available.
pub(super) fn steps<'a>(
    desired: i32,
    strategy: Strategy,
    current: &'a ReplicaSet,
    old: &'a [Arc<ReplicaSet>],
    still_has_pods: impl Fn(&ReplicaSet) -> bool,
) -> Vec<(&'a ReplicaSet, i32)> {
    let old_total: i32 = old.iter().map(|set| replicas(set)).sum();
    let mut steps = Vec::new();
    match strategy {
        Strategy::Recreate => {
            steps.extend(old.iter().filter(|set| replicas(set) > 0).map(|set| (&**set, 0)));
            if old_total == 0 && !old.iter().any(|set| still_has_pods(set)) {
                steps.push((current, desired));
            }
        }
        Strategy::Rolling { surge, unavailable } => {
            let size = desired.min((desired + surge - old_total).max(replicas(current).min(desired)));
            steps.push((current, size));
            let all_available = available(current) + old.iter().map(|set| available(set)).sum::<i32>();
            let mut may_go = all_available - (desired - unavailable).max(0);
            // Old pods that are not available serve nobody: they go first and cost nothing.
            for set in old {
                let broken = (replicas(set) - available(set)).max(0);
                let working = (replicas(set) - broken).min(may_go.max(0));
                let removed = if size < desired || broken + working > 0 { broken + working } else { 0 };
                may_go -= working;
                steps.push((&**set, replicas(set) - removed));
            }
        }
    }
    steps.retain(|(set, size)| replicas(set) != *size);
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(uid: &str, replicas: i32, available: i32) -> Arc<ReplicaSet> {
        let value = json!({
            "metadata": {"uid": uid, "name": uid},
            "spec": {"replicas": replicas, "selector": {}},
            "status": {"replicas": replicas, "availableReplicas": available},
        });
        Arc::new(serde_json::from_value(value).expect("a ReplicaSet"))
    }

    fn check(desired: i32, strategy: Strategy, current: (i32, i32), old: &[(i32, i32)], expected: &[(&str, i32)]) {
        let current = set("new", current.0, current.1);
        let old: Vec<_> = old.iter().map(|(replicas, available)| set("old", *replicas, *available)).collect();
        let steps = steps(desired, strategy, &current, &old, |set| replicas(set) > 0);
        let steps: Vec<_> =
            steps.iter().map(|(set, size)| (set.metadata.name.as_deref().unwrap_or(""), *size)).collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_rollout_keeps_to_surge_and_unavailability() {
        let rolling = |surge, unavailable| Strategy::Rolling { surge, unavailable };
        check(4, rolling(1, 1), (0, 0), &[(4, 4)], &[("new", 1), ("old", 3)]);
        check(4, rolling(1, 1), (1, 1), &[(3, 3)], &[("new", 2), ("old", 2)]);
        check(4, rolling(1, 0), (1, 0), &[(4, 4)], &[]);
        check(4, rolling(1, 0), (1, 1), &[(4, 4)], &[("old", 3)]);
        check(2, rolling(1, 0), (1, 0), &[(2, 0)], &[("old", 0)]);
        check(3, rolling(1, 0), (3, 3), &[(0, 0)], &[]);
        check(1, rolling(1, 0), (3, 3), &[], &[("new", 1)]);
    }

    #[test]
    fn recreate_waits_until_the_old_pods_are_gone() {
        check(2, Strategy::Recreate, (0, 0), &[(2, 2)], &[("old", 0)]);
        check(2, Strategy::Recreate, (0, 0), &[(0, 0)], &[("new", 2)]);
    }

    #[test]
    fn shares_round_as_kubernetes_rounds_them() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        assert_eq!(absolute(&percent("25%"), 1, true), 1);
        assert_eq!(absolute(&percent("25%"), 1, false), 0);
        assert_eq!(absolute(&percent("50%"), 5, true), 3);
        assert_eq!(absolute(&IntOrString::Int(7), 5, true), 7);
    }
}
