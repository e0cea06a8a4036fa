//! What a set asks for, the same whether it was written as UnitedDeployment, YurtAppSet v1alpha1 or YurtAppSet v1beta1.

use edgeward_control::Error;
use serde_json::{Value, json};

/// One pool of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pool {
    pub name: String,
    pub replicas: Option<i64>,
    /// A requirement on nodes (`nodeSelectorTerm`); `None`: the nodes of the NodePool of that name.
    pub node_selector_term: Option<Value>,
    pub tolerations: Vec<Value>,
    /// Strategic merge patch over the whole workload (older kinds).
    pub patch: Option<Value>,
    /// Tweaks in the order they apply (v1beta1).
    pub tweaks: Vec<Value>,
}

/// A set with its pools resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// `Deployment` or `StatefulSet`.
    pub kind: &'static str,
    /// `{metadata: {labels, annotations}, spec}`.
    pub template: Value,
    /// `spec.selector` of the older kinds.
    pub selector: Value,
    pub pools: Vec<Pool>,
    /// Whether it was written in the v1beta1 shape.
    pub is_beta: bool,
}

/// Reads `spec` of a set. `node_pools` gives name and labels of each NodePool that exists.
pub(crate) fn read(spec: &Value, node_pools: &[(String, Value)]) -> Result<Plan, Error> {
    let is_beta = spec.get("workload").is_some();
    let holder = if is_beta { spec.pointer("/workload/workloadTemplate") } else { spec.get("workloadTemplate") };
    let template = |name: &str| holder.and_then(|holder| holder.get(name)).filter(|template| !template.is_null());
    let (kind, template) = match (template("deploymentTemplate"), template("statefulSetTemplate")) {
        (Some(template), None) => ("Deployment", template.clone()),
        (None, Some(template)) => ("StatefulSet", template.clone()),
        _ => {
            let message = "workloadTemplate: exactly one of deploymentTemplate and statefulSetTemplate must be given";
            return Err(Error::Object(message.to_owned()));
        }
    };
    let pools = if is_beta { beta_pools(spec, node_pools) } else { listed_pools(spec) };
    let selector = spec.get("selector").cloned().unwrap_or_else(|| json!({}));
    Ok(Plan { kind, template, selector, pools, is_beta })
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn listed_pools(spec: &Value) -> Vec<Pool> {
    let pools = list(spec.pointer("/topology/pools")).iter().filter_map(|pool| {
        Some(Pool {
            name: pool.get("name")?.as_str()?.to_owned(),
            replicas: pool.get("replicas").and_then(Value::as_i64),
            node_selector_term: pool.get("nodeSelectorTerm").filter(|term| !term.is_null()).cloned(),
            tolerations: list(pool.get("tolerations")).to_vec(),
            patch: pool.get("patch").filter(|patch| !patch.is_null()).cloned(),
            tweaks: Vec::new(),
        })
    });
    pools.collect()
}

/// `spec.pools` together with the NodePools that `spec.nodepoolSelector` chooses, as far as they exist.
fn beta_pools(spec: &Value, node_pools: &[(String, Value)]) -> Vec<Pool> {
    let named = list(spec.get("pools"));
    let chosen = node_pools.iter().filter(|(name, labels)| {
        named.iter().any(|wanted| wanted.as_str() == Some(name)) || selects(spec.get("nodepoolSelector"), labels)
    });
    chosen
        .map(|(name, labels)| {
            let tweaks = list(spec.pointer("/workload/workloadTweaks")).iter().filter(|tweak| {
                list(tweak.get("pools")).iter().any(|wanted| wanted.as_str() == Some(name))
                    || selects(tweak.get("nodepoolSelector"), labels)
            });
            Pool {
                name: name.clone(),
                replicas: None,
                node_selector_term: None,
                tolerations: Vec::new(),
                patch: None,
                tweaks: tweaks.filter_map(|tweak| tweak.get("tweaks").cloned()).collect(),
            }
        })
        .collect()
}

/// An absent selector chooses nothing, here as in OpenYurt.
fn selects(selector: Option<&Value>, labels: &Value) -> bool {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return false };
    edgeward_objects::LabelSelector::from_value(Some(selector))
        .is_ok_and(|selector| selector.matches(|key| labels.get(key).and_then(Value::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<&str> {
        plan.pools.iter().map(|pool| pool.name.as_str()).collect()
    }

    #[test]
    fn both_shapes_give_the_same_kind_of_plan() {
        let old = json!({
            "selector": {"matchLabels": {"app": "a"}},
            "workloadTemplate": {"deploymentTemplate": {"spec": {}}},
            "topology": {"pools": [{"name": "f1", "replicas": 2, "nodeSelectorTerm": {"matchExpressions": []}}]},
        });
        let plan = read(&old, &[]).expect("a plan");
        assert_eq!((plan.kind, names(&plan), plan.pools[0].replicas), ("Deployment", vec!["f1"], Some(2)));
        let new = json!({
            "workload": {
                "workloadTemplate": {"statefulSetTemplate": {"spec": {}}},
                "workloadTweaks": [
                    {"pools": ["f2"], "tweaks": {"replicas": 3}},
                    {"nodepoolSelector": {"matchLabels": {"size": "big"}}, "tweaks": {"replicas": 5}},
                ],
            },
            "pools": ["f2", "missing"],
            "nodepoolSelector": {"matchLabels": {"size": "big"}},
        });
        let pools = [
            ("f1".to_owned(), json!({"size": "big"})),
            ("f2".to_owned(), json!({"size": "small"})),
            ("f3".to_owned(), json!({})),
        ];
        let plan = read(&new, &pools).expect("a plan");
        assert_eq!((plan.kind, names(&plan)), ("StatefulSet", vec!["f1", "f2"]));
        assert_eq!(plan.pools[0].tweaks, [json!({"replicas": 5})]);
        assert_eq!(plan.pools[1].tweaks, [json!({"replicas": 3})]);
    }

    #[test]
    fn a_set_needs_exactly_one_template() {
        for template in [json!({}), json!({"deploymentTemplate": {}, "statefulSetTemplate": {}})] {
            assert!(read(&json!({"workloadTemplate": template}), &[]).is_err());
        }
    }
}
