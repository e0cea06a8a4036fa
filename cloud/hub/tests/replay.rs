//! Conversations recorded between a real KubeEdge edge and its cloud, with our hub in the cloud's place.
//!
//! What the edge said is said again, ids and versions replaced by those our API gave; each answer must have the form
//! of the recorded one. Objects the recorded cloud sent are made in our API and must then be delivered.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]
#![allow(clippy::print_stdout, reason = "says what is left out when there are no recordings")]

mod common;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use common::{Cloud, Node, outcome};
use edgeward_wire::{Envelope, Resource, needs_ack};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    ch: String,
    kind: String,
    side: String,
    dir: String,
    op: u8,
    raw: Option<String>,
}

/// One recorded message as the cloud saw it.
struct Recorded {
    up: bool,
    message: Envelope,
}

/// The conversation of a file, or nothing (said loudly) where the recordings are absent.
fn recording(file: &str) -> Vec<Recorded> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures")).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("LEFT OUT: no recording {}; the conversation was not replayed", path.display());
        return Vec::new();
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let frames = lines.filter(|line| line.ch == "hub" && line.kind == "frame" && line.side == "cloud" && line.op == 1);
    frames
        .map(|line| Recorded { up: line.dir == "recv", message: Envelope::decode(&line.raw.unwrap()).unwrap() })
        .collect()
}

/// Recorded uids and versions, and what stands for them here.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        for key in ["uid", "resourceVersion"] {
            if let (Some(from), Some(to)) = (recorded["metadata"][key].as_str(), ours["metadata"][key].as_str()) {
                self.0.insert(from.into(), to.into());
            }
        }
    }

    fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.0 {
            for key in ["uid", "resourceVersion"] {
                text = text.replace(&format!("\"{key}\":\"{from}\""), &format!("\"{key}\":\"{to}\""));
                text = text.replace(&format!("\\\"{key}\\\":\\\"{from}\\\""), &format!("\\\"{key}\\\":\\\"{to}\\\""));
            }
        }
        text
    }
}

struct Replay {
    cloud: Cloud,
    edge: Node,
    names: Names,
    made: HashSet<String>,
    /// Deliveries that came while an answer was awaited.
    delivered: HashMap<String, Value>,
    /// Newest version of each object that was answered.
    latest: HashMap<String, String>,
    answered: usize,
}

impl Replay {
    async fn start() -> Self {
        let cloud = Cloud::start().await;
        for name in ["default", "app-sa"] {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}});
            let accounts = cloud.api_of(&account);
            if accounts.get_opt(name).await.unwrap().is_none() {
                cloud.create(account).await;
            }
        }
        let identity = cloud.join("edge1").await;
        let edge = cloud.edge("edge1", &identity).await;
        Self {
            cloud,
            edge,
            names: Names::default(),
            made: HashSet::new(),
            delivered: HashMap::new(),
            latest: HashMap::new(),
            answered: 0,
        }
    }

    async fn run(&mut self, recorded: &[Recorded]) {
        let answers: HashMap<&str, &Envelope> = recorded
            .iter()
            .filter(|line| !line.up && line.message.is_answer())
            .map(|line| (line.message.header.parent_id.as_str(), &line.message))
            .collect();
        for line in recorded {
            let message = &line.message;
            match (line.up, message.is_answer()) {
                (true, false) => self.say(message, answers.get(message.header.id.as_str()).copied()).await,
                (false, false) => self.expect_object(message).await,
                // Our own deliveries are acknowledged as they come; recorded answers are compared when they are due.
                _ => {}
            }
        }
    }

    /// Says what the edge said and compares the answer with the recorded one.
    async fn say(&mut self, recorded: &Envelope, expected: Option<&Envelope>) {
        if let (Resource::Object { kind: "configmap" | "secret", .. }, Some(expected)) = (recorded.resource(), expected)
        {
            self.make(expected).await;
        }
        self.bridge(recorded);
        let message = Envelope::decode(&self.names.apply(&recorded.encode())).unwrap();
        self.edge.send(&message).await;
        let Some(expected) = expected else { return };
        let answer = self.until(|envelope| envelope.header.parent_id == message.header.id).await;
        let route = |envelope: &Envelope| format!("{:?}", envelope.route);
        assert_eq!(route(&answer), route(expected));
        if !depends_on_other_parts(recorded) {
            let what = format!("{} {}: {}", recorded.route.operation, recorded.route.resource, answer.content);
            assert_eq!(outcome(&answer), outcome(expected), "{what}");
            let versioned = |envelope: &Envelope| !envelope.header.resource_version.is_empty();
            assert_eq!(versioned(&answer), versioned(expected), "{what}");
        }
        let (expected, answer): (Value, Value) = (expected.read().unwrap(), answer.read().unwrap());
        self.names.learn(&expected, &answer);
        self.names.learn(&expected["Object"], &answer["Object"]);
        if let Some(version) = answer["Object"]["metadata"]["resourceVersion"].as_str() {
            self.latest.insert(recorded.route.resource.clone(), version.into());
        }
        self.answered += 1;
    }

    /// Between two recordings the edge went on: a version that was never answered stands for the newest there is.
    fn bridge(&mut self, recorded: &Envelope) {
        let content: Value = recorded.read().unwrap();
        let version = content["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if let (false, Some(latest)) = (self.names.0.contains_key(version), self.latest.get(&recorded.route.resource)) {
            self.names.0.insert(version.into(), latest.clone());
        }
    }

    /// Makes the object that the recorded cloud sent, and waits until our hub sends it.
    async fn expect_object(&mut self, recorded: &Envelope) {
        let Resource::Object { kind: kind @ ("pod" | "configmap" | "secret"), .. } = recorded.resource() else {
            return;
        };
        let resource = &recorded.route.resource;
        if self.make(recorded).await && kind == "pod" && !self.delivered.contains_key(resource) {
            self.until(|envelope| envelope.route.resource == *resource && !envelope.is_answer()).await;
        }
    }

    /// Makes an object that is in a recorded message, unless that was done or it is on its way out.
    async fn make(&mut self, recorded: &Envelope) -> bool {
        let object: Value = recorded.read().unwrap();
        let leaving = recorded.route.operation == "delete" || object["metadata"].get("deletionTimestamp").is_some();
        if leaving || object.get("kind").is_none() || !self.made.insert(recorded.route.resource.clone()) {
            return false;
        }
        let mut fresh = object.clone();
        for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "ownerReferences"] {
            fresh["metadata"].as_object_mut().unwrap().remove(key);
        }
        fresh.as_object_mut().unwrap().remove("status");
        let made = serde_json::to_value(self.cloud.create(fresh).await).unwrap();
        self.names.learn(&object, &made);
        true
    }

    /// Reads until a message is the wanted one, acknowledging deliveries.
    async fn until(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Envelope {
        loop {
            let envelope = self.edge.next().await.expect("the session ended");
            if needs_ack(&envelope) {
                self.edge.send(&envelope.ack(1)).await;
            }
            if !envelope.is_answer() {
                self.delivered.insert(envelope.route.resource.clone(), envelope.read().unwrap_or_default());
            }
            if wanted(&envelope) {
                return envelope;
            }
        }
    }
}

/// Objects that controllers of the recorded cluster made at their own time, and the node's Lease and Node whose first
/// answers depend on what was there before the recording began.
fn depends_on_other_parts(recorded: &Envelope) -> bool {
    let resource = &recorded.route.resource;
    resource.ends_with("kube-root-ca.crt") || resource.ends_with("openshift-service-ca.crt")
}

async fn replay(files: &[&str], at_least: usize) {
    let mut recorded = Vec::new();
    for file in files {
        recorded.extend(recording(file));
    }
    if recorded.is_empty() {
        return;
    }
    let mut replay = Replay::start().await;
    replay.run(&recorded).await;
    assert!(replay.answered >= at_least, "{} answers compared", replay.answered);
    replay.cloud.stop().await;
}

#[tokio::test]
async fn a_recorded_join_goes_the_same_way() {
    replay(&["a_join.jsonl"], 5).await;
}

#[tokio::test]
async fn recorded_pods_live_and_die_the_same_way() {
    replay(&["a_join.jsonl", "b_pod.jsonl"], 35).await;
}
