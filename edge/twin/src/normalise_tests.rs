use proptest::prelude::*;
use serde_json::json;

use super::*;

fn device(document: Value) -> Device {
    parse_device(&Object::from_value(document).unwrap()).unwrap()
}

fn model(document: Value) -> Model {
    parse_model(&Object::from_value(document).unwrap()).unwrap()
}

#[test]
fn v1beta1_devices() {
    let device = device(json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device",
        "metadata": {"name": "m1", "namespace": "plant", "labels": {"description": "a pump"}},
        "spec": {
            "deviceModelRef": {"name": "pump"}, "nodeName": "n1",
            "protocol": {"protocolName": "Modbus", "configData": {"ip": "127.0.0.1", "port": 1502, "slaveID": 1}},
            "properties": [
                {"name": "temperature", "collectCycle": 500, "reportCycle": 2000, "reportToCloud": false,
                 "visitors": {"protocolName": "modbus", "configData": {"register": "HoldingRegister", "offset": 2}}},
                {"name": "setpoint", "desired": {"value": "42"}}
            ]
        }
    }));
    assert_eq!(device.id, DeviceId::new("plant", "m1"));
    assert_eq!((device.model.as_str(), device.description.as_str()), ("pump", "a pump"));
    assert_eq!(device.protocol.name, "modbus");
    assert_eq!(device.protocol.config["port"], 1502);
    let [temperature, setpoint] = &device.properties[..] else { panic!("two properties") };
    assert_eq!(temperature.collect_cycle, Some(Duration::from_millis(500)));
    assert_eq!(temperature.visitor["offset"], 2);
    assert!(!temperature.report_to_cloud && setpoint.report_to_cloud);
    assert_eq!(setpoint.desired.as_deref(), Some("42"));
}

#[test]
fn v1alpha2_devices_take_the_same_form() {
    let device = device(json!({
        "apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "Device",
        "metadata": {"name": "m1"},
        "spec": {
            "deviceModelRef": {"name": "pump"},
            "protocol": {"modbus": {"slaveID": 3}, "common": {"tcp": {"ip": "10.0.0.1", "port": 502}}},
            "propertyVisitors": [{"propertyName": "temperature", "collectCycle": 500_000_000, "reportCycle": 1000,
                "modbus": {"register": "CoilRegister", "offset": 1, "limit": 1}}]
        },
        "status": {"twins": [
            {"propertyName": "temperature", "desired": {"value": "", "metadata": {}}},
            {"propertyName": "mode", "desired": {"value": "auto"}}
        ]}
    }));
    assert_eq!(device.id, DeviceId::new("default", "m1"));
    assert_eq!(device.protocol.name, "modbus");
    assert_eq!(device.protocol.config, json!({"ip": "10.0.0.1", "port": 502, "slaveID": 3}));
    let [temperature, mode] = &device.properties[..] else { panic!("two properties") };
    assert_eq!(temperature.collect_cycle, Some(Duration::from_millis(500)));
    assert_eq!(temperature.report_cycle, Some(Duration::from_secs(1)));
    assert_eq!(temperature.desired, None);
    assert_eq!(mode.desired.as_deref(), Some("auto"));
}

#[test]
fn models_of_both_versions() {
    let beta = model(json!({"metadata": {"name": "pump", "namespace": "plant"}, "spec": {"properties": [
        {"name": "temperature", "type": "INT", "accessMode": "ReadOnly", "minimum": "-40", "maximum": "125"}]}}));
    let alpha = model(json!({"metadata": {"name": "pump", "namespace": "plant"}, "spec": {"properties": [
        {"name": "temperature", "type": {"int": {"accessMode": "ReadOnly", "minimum": -40, "maximum": 125}}}]}}));
    assert_eq!(beta, alpha);
    let property = &beta.properties[0];
    assert_eq!((property.value_type, property.access), (ValueType::Int, Access::ReadOnly));
    assert_eq!((property.minimum, property.maximum), (Some(-40.0), Some(125.0)));
}

#[test]
fn wrong_documents_name_the_field() {
    let check = |document: Value, expect: &str| {
        let object = Object::from_value(document).unwrap();
        let error = parse_device(&object).map(drop).and_then(|()| parse_model(&object).map(drop)).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(json!({}), "metadata.name");
    check(json!({"metadata": {"name": "a/b"}}), "metadata.name");
    check(json!({"metadata": {"name": "a"}, "spec": {"properties": [{}]}}), "spec.properties[].name");
    check(
        json!({"metadata": {"name": "a"}, "spec": {"propertyVisitors": [{}]}}),
        "spec.propertyVisitors[].propertyName",
    );
    check(json!({"metadata": {"name": "a"}, "spec": {"properties": [{"name": "p", "type": "WORD"}]}}), "\"WORD\"");
    check(json!({"metadata": {"name": "a"}, "spec": {"properties": vec![json!({"name": "p"}); 5000]}}), "the limit");
}

#[test]
fn the_labs_device_has_no_properties_of_its_own() {
    let device = device(json!({"metadata": {"name": "temperature-sensor-1", "namespace": "edge-system"},
        "spec": {"deviceModelRef": {"name": "temperature-sensor-model"}, "nodeSelector": {"nodeSelectorTerms": []}}}));
    assert!(device.properties.is_empty() && device.protocol.name.is_empty());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "[a-z/]{0,8}".prop_map(Value::String)
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("name"),
        Just("spec"),
        Just("properties"),
        Just("propertyVisitors"),
        Just("protocol"),
        Just("twins"),
        Just("status"),
        Just("type"),
        Just("desired"),
        Just("value"),
        Just("common"),
        Just("tcp")
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(document in any_json()) {
        if let Ok(object) = Object::from_value(document) {
            let _either = (parse_device(&object), parse_model(&object));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _either = parse_membership(&bytes);
        let _either = crate::payload::UpdateRequest::parse(&bytes);
        let _either = crate::payload::BaseRequest::parse(&bytes, "twin");
        let _either = crate::payload::parse_state(&bytes);
    }
}
