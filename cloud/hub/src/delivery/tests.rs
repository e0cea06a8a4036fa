//! The view and the delivery together, against a model node that acknowledges in any order, restarts and forgets.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NODE: &str = "edge1";

fn object(word: &str, value: Value) -> Object {
    let kind = &KINDS[Kind::position(word).unwrap()];
    Object::read(kind, serde_json::from_value::<DynamicObject>(value).unwrap()).unwrap()
}

fn pod(name: &str, uid: &str, version: u64, node: &str, config: &str, image: u8) -> Object {
    object(
        "pod",
        json!({
            "metadata": {"name": name, "namespace": "default", "uid": uid, "resourceVersion": version.to_string()},
            "spec": {"nodeName": node, "image": image, "volumes": [{"configMap": {"name": config}}]},
            "status": {"version": version},
        }),
    )
}

fn config(name: &str, version: u64, data: u8) -> Object {
    object(
        "configmap",
        json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": version.to_string()},
            "data": {"key": data},
        }),
    )
}

fn ready_view() -> View {
    let view = View::default();
    (0..KINDS.len()).for_each(|kind| view.complete(kind, &HashSet::new()));
    view
}

fn next(delivery: &mut Delivery, view: &View) -> Option<Step> {
    delivery.next(NODE, view, 1, Instant::now())
}

/// Operations and resources of everything that is sent now, acknowledged at once.
fn drain(delivery: &mut Delivery, view: &View) -> Vec<String> {
    delivery.touch_all(view.objects_of(NODE));
    let mut sent = Vec::new();
    while let Some(step) = next(delivery, view) {
        for message in step.messages {
            sent.push(format!("{} {}", message.route.operation, message.route.resource));
            delivery.acknowledged(&message.header.id);
        }
    }
    sent
}

fn delivery(window: usize) -> Delivery {
    Delivery::new(window, Duration::from_secs(5))
}

#[test]
fn a_node_gets_its_pods_after_what_they_mention_and_nothing_else() {
    let view = ready_view();
    view.apply(pod("mine", "u1", 1, NODE, "wanted", 0));
    view.apply(pod("other", "u2", 2, "edge2", "unwanted", 0));
    view.apply(config("wanted", 3, 0));
    view.apply(config("unwanted", 4, 0));
    let mut delivery = delivery(64);
    assert_eq!(drain(&mut delivery, &view), ["insert default/configmap/wanted", "insert default/pod/mine"]);
    assert_eq!(drain(&mut delivery, &view), [""; 0]);
    view.apply(config("wanted", 5, 1));
    assert_eq!(drain(&mut delivery, &view), ["update default/configmap/wanted"]);
    view.apply(pod("mine", "u1", 6, NODE, "wanted", 0));
    assert_eq!(drain(&mut delivery, &view), [""; 0], "only the status changed");
    view.remove(&ObjectId::new(Some("default"), "pod", "mine"));
    assert_eq!(drain(&mut delivery, &view), ["delete default/pod/mine", "delete default/configmap/wanted"]);
}

#[test]
fn a_recreated_object_is_deleted_before_it_is_inserted() {
    let view = ready_view();
    let mut delivery = delivery(64);
    view.apply(pod("a", "u1", 1, NODE, "c", 0));
    assert_eq!(drain(&mut delivery, &view), ["insert default/pod/a"]);
    view.apply(pod("a", "u2", 2, NODE, "c", 0));
    delivery.touch_all(view.objects_of(NODE));
    let step = next(&mut delivery, &view).unwrap();
    assert_eq!(
        step.messages[0].content.get(),
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"default","uid":"u1"}}"#
    );
    assert!(next(&mut delivery, &view).is_none(), "the insert waits for the deletion");
    delivery.acknowledged(&step.messages[0].header.id);
    assert_eq!(drain(&mut delivery, &view), ["insert default/pod/a"]);
}

#[test]
fn what_is_in_flight_when_everything_is_compared_is_taken_back_if_need_be() {
    let view = ready_view();
    let mut delivery = delivery(64);
    view.apply(pod("a", "u1", 1, NODE, "c", 0));
    delivery.touch_all(view.objects_of(NODE));
    let step = next(&mut delivery, &view).unwrap();
    view.remove(&ObjectId::new(Some("default"), "pod", "a"));
    delivery.touch_all(view.objects_of(NODE));
    assert!(next(&mut delivery, &view).is_none());
    delivery.acknowledged(&step.messages[0].header.id);
    assert_eq!(next(&mut delivery, &view).unwrap().messages[0].route.operation, "delete");
}

#[test]
fn nothing_is_said_about_kinds_that_are_not_listed_yet() {
    let view = View::default();
    let mut delivery = delivery(64);
    let id = ObjectId::new(Some("default"), "pod", "a");
    delivery.has(id.clone(), Known { uid: None, version: 7 });
    assert_eq!(drain(&mut delivery, &view), [""; 0]);
    view.complete(Kind::position("pod").unwrap(), &HashSet::new());
    assert_eq!(drain(&mut delivery, &view), ["delete default/pod/a"]);
}

#[test]
fn an_inventory_saves_what_is_current_and_no_more() {
    let view = ready_view();
    for (name, version) in [("same", 5), ("older", 6), ("restored", 7), ("new", 8)] {
        view.apply(pod(name, name, version, NODE, "c", 0));
    }
    let mut delivery = delivery(64);
    for (name, version) in [("same", 5), ("older", 2), ("restored", 900), ("gone", 3)] {
        delivery.has(ObjectId::new(Some("default"), "pod", name), Known { uid: None, version });
    }
    let mut sent = drain(&mut delivery, &view);
    sent.sort();
    let expected = [
        "delete default/pod/gone",
        "insert default/pod/new",
        "update default/pod/older",
        "update default/pod/restored",
    ];
    assert_eq!(sent, expected);
}

#[test]
fn devices_join_before_they_come_and_leave_after_they_went() {
    let view = ready_view();
    let mut delivery = delivery(64);
    view.apply(object("device", json!({
        "metadata": {"name": "s1", "namespace": "default", "uid": "d", "resourceVersion": "3", "labels": {"description": "test"}},
        "spec": {"nodeName": NODE, "deviceModelRef": {"name": "m"}},
    })));
    delivery.touch_all(view.objects_of(NODE));
    let step = next(&mut delivery, &view).unwrap();
    let joined: Value = step.messages[0].read().unwrap();
    assert_eq!(joined["added_devices"], json!([{"id": "default/s1", "name": "s1", "description": "test"}]));
    assert_eq!(joined["removed_devices"], Value::Null);
    assert_eq!(step.messages[1].route.source, "devicecontroller");
    delivery.acknowledged(&step.messages[1].header.id);
    view.remove(&ObjectId::new(Some("default"), "device", "s1"));
    assert_eq!(drain(&mut delivery, &view), ["delete default/device/s1", "update membership"]);
}

#[test]
fn desired_values_in_a_v1alpha2_status_count_and_reported_ones_do_not() {
    let device = |version: u64, desired: &str, reported: &str| {
        object(
            "device",
            json!({
                "metadata": {"name": "s1", "namespace": "default", "uid": "d", "resourceVersion": version.to_string(),
                             "annotations": {crate::DEVICE_NODE_ANNOTATION: NODE}},
                "spec": {"deviceModelRef": {"name": "m"}},
                "status": {"twins": [{"propertyName": "p", "desired": {"value": desired}, "reported": {"value": reported}}]},
            }),
        )
    };
    let view = ready_view();
    let mut delivery = delivery(64);
    view.apply(device(1, "a", "x"));
    assert_eq!(drain(&mut delivery, &view), ["update membership", "insert default/device/s1"]);
    view.apply(device(2, "a", "y"));
    assert_eq!(drain(&mut delivery, &view), [""; 0]);
    view.apply(device(3, "b", "y"));
    assert_eq!(drain(&mut delivery, &view), ["update default/device/s1"]);
}

#[test]
fn what_is_not_acknowledged_is_repeated_under_its_id_ever_more_rarely() {
    let view = ready_view();
    let mut delivery = delivery(1);
    view.apply(pod("a", "u", 1, NODE, "c", 0));
    view.apply(pod("b", "v", 2, NODE, "c", 0));
    delivery.touch_all(view.objects_of(NODE));
    let mut now = Instant::now();
    let first = delivery.next(NODE, &view, 1, now).unwrap();
    assert!(delivery.next(NODE, &view, 1, now).is_none(), "one in flight");
    for wait in [5, 10, 20, 40, 80, 80] {
        let due = delivery.deadline().unwrap();
        assert_eq!(due - now, Duration::from_secs(wait));
        assert!(delivery.overdue(now).is_empty());
        now = due;
        assert_eq!(delivery.overdue(now)[0].header.id, first.messages[0].header.id);
    }
    assert!(delivery.acknowledged(&first.messages[0].header.id).is_some());
    assert!(delivery.acknowledged(&first.messages[0].header.id).is_none());
    assert!(next(&mut delivery, &view).is_some());
}

/// What happens to the cluster, the node and the line between them.
#[derive(Clone, Debug)]
enum Act {
    Pod {
        name: u8,
        on: bool,
        config: u8,
        image: u8,
        recreate: bool,
    },
    Config {
        name: u8,
        data: u8,
    },
    DeletePod(u8),
    DeleteConfig(u8),
    /// Lets the delivery send one message.
    Send,
    /// The node applies and acknowledges a message in flight, not always the oldest.
    Acknowledge(u8),
    /// The session breaks: what is in flight may have been applied or not.
    Break {
        applied: bool,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0u8..4, any::<bool>(), 0u8..3, 0u8..3, any::<bool>())
            .prop_map(|(name, on, config, image, recreate)| Act::Pod { name, on, config, image, recreate }),
        (0u8..3, 0u8..3).prop_map(|(name, data)| Act::Config { name, data }),
        (0u8..4).prop_map(Act::DeletePod),
        (0u8..3).prop_map(Act::DeleteConfig),
        Just(Act::Send),
        Just(Act::Send),
        any::<u8>().prop_map(Act::Acknowledge),
        any::<u8>().prop_map(Act::Acknowledge),
        any::<bool>().prop_map(|applied| Act::Break { applied }),
    ]
}

/// A node's disk: content by resource, with its version.
#[derive(Default)]
struct Disk(BTreeMap<String, (Value, u64)>);

impl Disk {
    fn apply(&mut self, message: &Envelope) {
        let resource = message.route.resource.clone();
        match message.route.operation.as_str() {
            operation::DELETE => drop(self.0.remove(&resource)),
            _ => {
                let mut content: Value = message.read().unwrap();
                content.as_object_mut().unwrap().shift_remove("status");
                content["metadata"].as_object_mut().unwrap().shift_remove("resourceVersion");
                self.0.insert(resource, (content, message.header.resource_version.parse().unwrap()));
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_node_converges(acts in vec(act(), 0..120), window in 1usize..4) {
        let view = ready_view();
        let changes = std::sync::Arc::new(crate::changes::Changes::new(3));
        view.listen(NODE.into(), changes.clone());
        let (mut delivery, mut disk, mut flying) = (delivery(window), Disk::default(), Vec::<Envelope>::new());
        let (mut version, mut uids) = (10u64, [0u32; 4]);
        let feed = |delivery: &mut Delivery| match changes.take() {
            crate::changes::Changed::These(ids) => ids.into_iter().for_each(|id| delivery.touch(id)),
            crate::changes::Changed::Everything => delivery.touch_all(view.objects_of(NODE)),
        };
        for act in acts {
            version += 1;
            match act {
                Act::Pod { name, on, config, image, recreate } => {
                    uids[usize::from(name)] += u32::from(recreate);
                    let uid = format!("{name}-{}", uids[usize::from(name)]);
                    let node = if on { NODE } else { "edge2" };
                    view.apply(pod(&format!("p{name}"), &uid, version, node, &format!("c{config}"), image));
                }
                Act::Config { name, data } => view.apply(config(&format!("c{name}"), version, data)),
                Act::DeletePod(name) => view.remove(&ObjectId::new(Some("default"), "pod", &format!("p{name}"))),
                Act::DeleteConfig(name) => view.remove(&ObjectId::new(Some("default"), "configmap", &format!("c{name}"))),
                Act::Send => {
                    feed(&mut delivery);
                    if let Some(step) = next(&mut delivery, &view) {
                        flying.extend(step.messages);
                    }
                    prop_assert!(flying.len() <= window);
                }
                Act::Acknowledge(which) if !flying.is_empty() => {
                    let message = flying.swap_remove(usize::from(which) % flying.len());
                    disk.apply(&message);
                    prop_assert!(delivery.acknowledged(&message.header.id).is_some());
                }
                Act::Acknowledge(_) => {}
                Act::Break { applied } => {
                    flying.drain(..).filter(|_| applied).for_each(|message| disk.apply(&message));
                    delivery = Delivery::new(window, Duration::from_secs(5));
                    for (resource, (_, version)) in &disk.0 {
                        delivery.has(ObjectId::parse(resource).unwrap(), Known { uid: None, version: *version });
                    }
                    changes.add_everything();
                }
            }
        }
        loop {
            feed(&mut delivery);
            match next(&mut delivery, &view) {
                Some(step) => flying.extend(step.messages),
                None if flying.is_empty() => break,
                None => {}
            }
            for message in flying.drain(..) {
                disk.apply(&message);
                delivery.acknowledged(&message.header.id);
            }
        }
        let expected: BTreeMap<String, Value> = view.objects_of(NODE).iter().map(|id| {
            let object = view.object(NODE, id).unwrap();
            let mut content: Value = serde_json::from_str(object.content.get()).unwrap();
            content.as_object_mut().unwrap().shift_remove("status");
            content["metadata"].as_object_mut().unwrap().shift_remove("resourceVersion");
            (id.text().to_owned(), content)
        }).collect();
        let held: BTreeMap<String, Value> = disk.0.into_iter().map(|(resource, (content, _))| (resource, content)).collect();
        prop_assert_eq!(held, expected);
    }
}
