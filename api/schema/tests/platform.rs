//! The platform's own kinds: every definition is a valid CRD whose schema accepts what users write.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use std::path::Path;

use edgeward_objects::{Cause, Object, platform};
use edgeward_schema::Schema;
use serde_json::{Value, json};

fn definition(group: &str, kind: &str) -> &'static Object {
    let named = |crd: &&Object| {
        crd.get_str(&["spec", "group"]) == Some(group) && crd.get_str(&["spec", "names", "kind"]) == Some(kind)
    };
    platform::crds().iter().find(named).unwrap_or_else(|| panic!("no {kind} in {group}"))
}

fn schema(object: &Object) -> Schema {
    let kind = object.gvk();
    let versions = definition(&kind.group, &kind.kind).get_list(&["spec", "versions"]);
    let version = versions.iter().find(|version| version["name"] == *kind.version).unwrap();
    Schema::compile(&version["schema"]["openAPIV3Schema"], "schema").unwrap()
}

/// Unknown fields and faults of an object.
fn faults(value: Value) -> (Vec<String>, Vec<String>) {
    let mut object = Object::from_value(value).unwrap();
    let schema = schema(&object);
    let unknown = schema.prune(&mut object);
    (unknown, schema.validate(&object).iter().map(Cause::text).collect())
}

#[test]
fn every_definition_is_a_valid_crd() {
    let kinds: Vec<_> = platform::crds().iter().map(|crd| crd.name().to_owned()).collect();
    assert_eq!(kinds.len(), 18, "{kinds:?}");
    assert_eq!(kinds[0], "devices.devices.kubeedge.io", "devices must mean KubeEdge's");
    for crd in platform::crds() {
        let mut completed = crd.clone();
        let schema = Schema::builtin(&crd.gvk()).unwrap();
        assert_eq!(schema.prune(&mut completed), Vec::<String>::new(), "{}", crd.name());
        schema.default(&mut completed);
        assert_eq!(completed, *crd, "nothing is left to default");
        assert_eq!(schema.validate(&completed), vec![], "{}", crd.name());
        assert!(crd.to_bytes().len() < 30_000, "{} is large", crd.name());
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "tells what this run leaves out")]
fn the_lab_loses_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/lab");
    let mut checked = 0;
    for file in ["edge-app.yaml", "edge-autonomy.yaml"] {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            println!("LEFT OUT: {file}, {} is absent", folder.display());
            return;
        };
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let own = document["apiVersion"].as_str().unwrap().contains("kubeedge")
                || document["apiVersion"].as_str().unwrap().contains("openyurt");
            let (unknown, causes) = if own {
                faults(document.clone())
            } else {
                let mut object = Object::from_value(document.clone()).unwrap();
                let schema = Schema::builtin(&object.gvk()).unwrap();
                let unknown = schema.prune(&mut object);
                schema.default(&mut object);
                (unknown, schema.validate(&object).iter().map(Cause::text).collect())
            };
            assert_eq!((unknown, causes), (vec![], vec![]), "{document}");
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
}

#[test]
fn both_versions_of_a_device_survive_in_one() {
    let check = |api_version: &str, kind: &str, spec: Value| {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec});
        assert_eq!(faults(object), (vec![], vec![]), "{api_version} {spec}");
    };
    for version in ["devices.kubeedge.io/v1alpha2", "devices.kubeedge.io/v1beta1"] {
        check(
            version,
            "Device",
            json!({"deviceModelRef": {"name": "m"}, "nodeName": "n",
            "protocol": {"protocolName": "modbus-tcp", "configData": {"ip": "127.0.0.1", "port": 502}},
            "properties": [{"name": "temperature", "collectCycle": 1000, "reportToCloud": true, "desired": {"value": "5"},
                "visitors": {"protocolName": "modbus-tcp", "configData": {"register": "InputRegister", "offset": 0}},
                "pushMethod": {"mqtt": {"address": "tcp://x", "topic": "t", "qos": 1}}}]}),
        );
        check(
            version,
            "Device",
            json!({"protocol": {"modbus": {"slaveID": 1}, "common": {"tcp": {"ip": "1.2.3.4", "port": 502}}},
            "propertyVisitors": [{"propertyName": "t", "modbus": {"register": "CoilRegister", "offset": 2, "scale": 0.1}}],
            "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]}}),
        );
        check(
            version,
            "DeviceModel",
            json!({"protocol": "modbus", "properties": [{"name": "t", "type": "INT", "accessMode": "ReadWrite", "minimum": "1"}]}),
        );
        check(
            version,
            "DeviceModel",
            json!({"properties": [{"name": "t", "type": {"int": {"accessMode": "ReadWrite", "minimum": 1}}}]}),
        );
    }
    for version in ["v1alpha1", "v1beta1"] {
        let api_version = format!("apps.openyurt.io/{version}");
        check(
            &api_version,
            "YurtAppSet",
            json!({"selector": {"matchLabels": {"a": "b"}}, "workloadTemplate": {"deploymentTemplate": {"spec": {"x": 1}}},
            "topology": {"pools": [{"name": "p", "replicas": 1, "patch": {"spec": {}}, "tolerations": [{"operator": "Exists"}]}]}}),
        );
        check(
            &api_version,
            "YurtAppSet",
            json!({"pools": ["p"], "workload": {"workloadTemplate": {"statefulSetTemplate": {"spec": {}}},
            "workloadTweaks": [{"pools": ["p"], "tweaks": {"replicas": 2, "patches": [{"path": "/x", "operation": "add", "value": [1]}]}}]}}),
        );
        check(
            &api_version,
            "NodePool",
            json!({"type": "Edge", "selector": {"matchLabels": {"a": "b"}}, "taints": [{"key": "a", "effect": "NoSchedule"}],
            "leaderReplicas": 2}),
        );
    }
}

#[test]
fn what_the_kinds_refuse() {
    let ud = json!({"apiVersion": "apps.openyurt.io/v1alpha1", "kind": "UnitedDeployment", "metadata": {"name": "x"}, "spec": {}});
    assert_eq!(faults(ud).1, ["spec.selector: Required value"]);
    let pool = json!({"apiVersion": "apps.openyurt.io/v1beta1", "kind": "NodePool", "metadata": {"name": "x"}, "spec": {"type": "Fog", "size": 3}});
    let (unknown, causes) = faults(pool);
    assert_eq!(unknown, ["spec.size"]);
    assert_eq!(causes, ["spec.type: Unsupported value: \"Fog\": supported values: \"Edge\", \"Cloud\""]);
}

#[test]
fn columns_and_warnings_are_those_people_know() {
    let columns = |group: &str, kind: &str, version: &str| -> Vec<String> {
        let versions = definition(group, kind).get_list(&["spec", "versions"]);
        let version = versions.iter().find(|entry| entry["name"] == *version).unwrap();
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        columns.iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect()
    };
    for version in ["v1alpha2", "v1beta1"] {
        assert_eq!(columns("devices.kubeedge.io", "Device", version), ["MODEL", "NODE", "STATE", "VALUES", "AGE"]);
    }
    assert_eq!(columns("apps.openyurt.io", "NodePool", "v1alpha1"), ["Type", "ReadyNodes", "NotReadyNodes", "Age"]);
    assert_eq!(columns("apps.openyurt.io", "NodePool", "v1beta2").len(), 6);
    assert_eq!(columns("apps.openyurt.io", "UnitedDeployment", "v1alpha1"), ["READY", "WorkloadTemplate", "AGE"]);
    let ud = &definition("apps.openyurt.io", "UnitedDeployment").get_list(&["spec", "versions"])[0];
    assert!(ud["deprecationWarning"].as_str().unwrap().contains("use apps.openyurt.io/v1alpha1 YurtAppSet"));
}
