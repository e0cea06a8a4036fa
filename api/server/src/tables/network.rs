//! Services and everything else about reaching pods.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cells, Printer, joined, name, own_age, pairs, selector, str_of, text};

/// Endpoints printed before the rest becomes a number.
const SHOWN: usize = 3;

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match (group, plural) {
        ("", "services") => ("Name:name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector:wide", service),
        ("", "endpoints") => ("Name:name|Endpoints|Age", endpoints),
        ("discovery.k8s.io", "endpointslices") => ("Name:name|AddressType|Ports|Endpoints|Age", slice),
        ("networking.k8s.io", "ingresses") => ("Name:name|Class|Hosts|Address|Ports|Age", ingress),
        ("networking.k8s.io", "ingressclasses") => ("Name:name|Controller|Parameters|Age", ingress_class),
        ("networking.k8s.io", "networkpolicies") => ("Name:name|Pod-Selector|Age", |o, now| {
            vec![name(o), selector(o, &["spec", "podSelector"]), own_age(o, now)]
        }),
        ("networking.k8s.io", "servicecidrs") => ("Name:name|CIDRs|Age", |o, now| {
            vec![name(o), joined(o.get_list(&["spec", "cidrs"]).iter().filter_map(Value::as_str)), own_age(o, now)]
        }),
        ("networking.k8s.io", "ipaddresses") => ("Name:name|ParentRef", |o, _| {
            let part = |key: &str| o.get_str(&["spec", "parentRef", key]).unwrap_or_default().to_owned();
            vec![name(o), json!(format!("{}/{}/{}", part("resource"), part("namespace"), part("name")))]
        }),
        _ => return None,
    };
    Some(Printer { columns, cells })
}

fn service(object: &Object, now: Timestamp) -> Vec<Value> {
    let kind = object.get_str(&["spec", "type"]).unwrap_or("ClusterIP");
    let ip = object.get_str(&["spec", "clusterIP"]).filter(|ip| !ip.is_empty()).unwrap_or("<none>");
    vec![
        name(object),
        json!(kind),
        json!(ip),
        json!(external(object, kind)),
        json!(ports(object.get_list(&["spec", "ports"]))),
        own_age(object, now),
        pairs(object, &["spec", "selector"]),
    ]
}

fn external(object: &Object, kind: &str) -> String {
    let given = object.get_list(&["spec", "externalIPs"]).iter().filter_map(Value::as_str);
    let balancer = object.get_list(&["status", "loadBalancer", "ingress"]).iter();
    let balancer =
        balancer.map(|item| if str_of(item, "ip").is_empty() { str_of(item, "hostname") } else { str_of(item, "ip") });
    let all: Vec<&str> = match kind {
        "ExternalName" => object.get_str(&["spec", "externalName"]).into_iter().collect(),
        "LoadBalancer" => balancer.chain(given).collect(),
        _ => given.collect(),
    };
    match (all.is_empty(), kind) {
        (false, _) => all.join(","),
        (true, "LoadBalancer") => "<pending>".to_owned(),
        (true, _) => "<none>".to_owned(),
    }
}

fn ports(ports: &[Value]) -> String {
    let port = |port: &Value| {
        let number = |key: &str| port.get(key).and_then(Value::as_i64).unwrap_or(0);
        let protocol = Some(str_of(port, "protocol")).filter(|text| !text.is_empty()).unwrap_or("TCP");
        match number("nodePort") {
            0 => format!("{}/{protocol}", number("port")),
            node => format!("{}:{node}/{protocol}", number("port")),
        }
    };
    if ports.is_empty() { "<none>".to_owned() } else { ports.iter().map(port).collect::<Vec<_>>().join(",") }
}

fn shown(all: &[String], limit: usize) -> Value {
    match all.len() {
        0 => json!("<none>"),
        count if count > limit => json!(format!("{} + {} more...", all[..limit].join(","), count - limit)),
        _ => json!(all.join(",")),
    }
}

fn endpoints(object: &Object, now: Timestamp) -> Vec<Value> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = Vec::new();
    for subset in object.get_list(&["subsets"]) {
        let ports = list(subset, "ports");
        for address in list(subset, "addresses") {
            let ip = str_of(&address, "ip");
            if ports.is_empty() {
                all.push(ip.to_owned());
            }
            all.extend(
                ports.iter().map(|port| format!("{ip}:{}", port.get("port").and_then(Value::as_i64).unwrap_or(0))),
            );
        }
    }
    vec![name(object), shown(&all, SHOWN), own_age(object, now)]
}

fn slice(object: &Object, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = object
        .get_list(&["ports"])
        .iter()
        .map(|port| {
            port.get("port")
                .and_then(Value::as_i64)
                .map_or_else(|| str_of(port, "name").to_owned(), |number| number.to_string())
        })
        .collect();
    let addresses: Vec<String> = object
        .get_list(&["endpoints"])
        .iter()
        .flat_map(|endpoint| endpoint.get("addresses").and_then(Value::as_array).cloned().unwrap_or_default())
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    let ports = if ports.is_empty() { json!("<unset>") } else { shown(&ports, SHOWN) };
    let addresses = if addresses.is_empty() { json!("<unset>") } else { shown(&addresses, SHOWN) };
    vec![name(object), text(object, &["addressType"]), ports, addresses, own_age(object, now)]
}

fn ingress(object: &Object, now: Timestamp) -> Vec<Value> {
    let hosts =
        object.get_list(&["spec", "rules"]).iter().map(|rule| str_of(rule, "host")).filter(|host| !host.is_empty());
    let hosts: Vec<String> = hosts.map(str::to_owned).collect();
    let address = object.get_list(&["status", "loadBalancer", "ingress"]).iter();
    let address: Vec<&str> = address
        .map(|item| if str_of(item, "ip").is_empty() { str_of(item, "hostname") } else { str_of(item, "ip") })
        .collect();
    let secured = !object.get_list(&["spec", "tls"]).is_empty();
    vec![
        name(object),
        text(object, &["spec", "ingressClassName"]),
        if hosts.is_empty() { json!("*") } else { shown(&hosts, SHOWN) },
        json!(address.join(",")),
        json!(if secured { "80, 443" } else { "80" }),
        own_age(object, now),
    ]
}

fn ingress_class(object: &Object, now: Timestamp) -> Vec<Value> {
    let part = |key: &str| object.get_str(&["spec", "parameters", key]).unwrap_or_default();
    let parameters = match (part("apiGroup"), part("kind")) {
        (_, "") => "<none>".to_owned(),
        ("", kind) => format!("{kind}/{}", part("name")),
        (group, kind) => format!("{kind}.{group}/{}", part("name")),
    };
    vec![name(object), text(object, &["spec", "controller"]), json!(parameters), own_age(object, now)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_endpoints_print_as_kubectl_prints_them() {
        let now: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
        let base = json!({"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let cases = [
            (
                "",
                "services",
                json!({"spec": {"clusterIP": "10.43.0.9", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}], "selector": {"a": "b"}}}),
                json!(["x", "ClusterIP", "10.43.0.9", "<none>", "80/TCP,53:30053/UDP", "5s", "a=b"]),
            ),
            (
                "",
                "services",
                json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.43.0.9"}}),
                json!(["x", "LoadBalancer", "10.43.0.9", "<pending>", "<none>", "5s", "<none>"]),
            ),
            (
                "",
                "services",
                json!({"spec": {"type": "ExternalName", "externalName": "a.b"}}),
                json!(["x", "ExternalName", "<none>", "a.b", "<none>", "5s", "<none>"]),
            ),
            (
                "",
                "endpoints",
                json!({"subsets": [{"addresses": [{"ip": "1"}, {"ip": "2"}, {"ip": "3"}, {"ip": "4"}], "ports": [{"port": 8}]}]}),
                json!(["x", "1:8,2:8,3:8 + 1 more...", "5s"]),
            ),
            ("", "endpoints", json!({}), json!(["x", "<none>", "5s"])),
            (
                "discovery.k8s.io",
                "endpointslices",
                json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1"]}]}),
                json!(["x", "IPv4", "80", "1", "5s"]),
            ),
            (
                "networking.k8s.io",
                "ingresses",
                json!({"spec": {"rules": [{"host": "h"}]}}),
                json!(["x", "<none>", "h", "", "80", "5s"]),
            ),
        ];
        for (group, plural, mut document, expected) in cases {
            document["metadata"] = base.clone();
            let printer = printer(group, plural).unwrap();
            let cells = (printer.cells)(&Object::from_value(document).unwrap(), now);
            assert_eq!(cells.len(), printer.columns.split('|').count(), "{plural}");
            assert_eq!(Value::from(cells), expected, "{plural}");
        }
    }
}
