//! Sums of resource requests.

use std::collections::BTreeMap;

use edgeward_objects::Quantity as Amount;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths of a unit by resource name: `cpu` in millicores, `memory` in millibytes.
pub(super) type Totals = BTreeMap<String, i64>;

/// Thousandths in a quantity; one that cannot be read counts as nothing, as admission would have refused it.
fn milli(quantity: &Quantity) -> i64 {
    quantity.0.parse().map_or(0, Amount::millis)
}

fn add(totals: &mut Totals, requests: Option<&BTreeMap<String, Quantity>>) {
    for (name, quantity) in requests.into_iter().flatten() {
        *totals.entry(name.clone()).or_default() += milli(quantity);
    }
}

/// What a pod asks for: its containers together, or its largest init container if that is more; plus itself.
pub(super) fn requested(pod: &Pod) -> Totals {
    let mut totals = Totals::new();
    let Some(spec) = &pod.spec else { return totals };
    for container in &spec.containers {
        add(&mut totals, container.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    }
    for container in spec.init_containers.iter().flatten() {
        let mut alone = Totals::new();
        add(&mut alone, container.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
        for (name, amount) in alone {
            let total = totals.entry(name).or_default();
            *total = (*total).max(amount);
        }
    }
    add(&mut totals, spec.overhead.as_ref());
    totals.insert("pods".to_owned(), 1000);
    totals
}

pub(super) fn allocatable(node: &Node) -> Totals {
    let status = node.status.as_ref();
    let mut totals = Totals::new();
    add(&mut totals, status.and_then(|status| status.allocatable.as_ref().or(status.capacity.as_ref())));
    totals
}

/// Everything the pods of a node ask for.
pub(super) fn sum<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Totals {
    let mut totals = Totals::new();
    for pod in pods {
        for (name, amount) in requested(pod) {
            *totals.entry(name).or_default() += amount;
        }
    }
    totals
}
