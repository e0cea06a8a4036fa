//! What is still to be sent to one node: a state machine without I/O.
//!
//! It compares what the node should see with what it is known to have, and lets out the next messages as far as the
//! window allows. Only the newest version of an object is ever sent, since a message is made when it leaves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use edgeward_wire::{Envelope, content, group, new_id, operation, source};
use indexmap::IndexSet;
use serde::Serialize;
use tokio::time::Instant;

use crate::object::{KINDS, Kind, Object, ObjectId};
use crate::view::View;

/// Deliveries to one node in one session.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Unacknowledged messages at once.
    window: usize,
    resend: Duration,
    /// What the node has acknowledged, in this session or before.
    known: HashMap<ObjectId, Known>,
    /// Objects to look at, oldest change first.
    waiting: IndexSet<ObjectId>,
    /// Unacknowledged messages by their id.
    flying: HashMap<String, Flight>,
    /// Objects with a message in flight; each has one at most, so that order per object holds.
    busy: HashSet<ObjectId>,
}

/// The version of an object that a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Not told by our agents: the version says enough.
    pub(crate) uid: Option<String>,
    pub(crate) version: u64,
}

/// A message that waits for its acknowledgement.
#[derive(Debug)]
struct Flight {
    id: ObjectId,
    /// What the node has once it acknowledged; `None`: the object is gone.
    then: Option<Known>,
    message: Envelope,
    tries: u32,
    due: Instant,
}

/// What to send next.
#[derive(Debug)]
pub(crate) struct Step {
    /// The object it is about.
    pub(crate) object: Arc<str>,
    /// Its uid and version, for bookkeeping before the message leaves; `None` for deletions.
    pub(crate) holds: Option<Known>,
    /// Messages in order: the acknowledged one, with membership changes before or after it.
    pub(crate) messages: Vec<Envelope>,
}

/// What an acknowledgement settled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) id: ObjectId,
    /// What the node had before.
    pub(crate) before: Option<Known>,
    /// What it has now.
    pub(crate) now: Option<Known>,
}

impl Delivery {
    pub(crate) fn new(window: usize, resend: Duration) -> Self {
        Self {
            window: window.max(1),
            resend,
            known: HashMap::new(),
            waiting: IndexSet::new(),
            flying: HashMap::new(),
            busy: HashSet::new(),
        }
    }

    /// The node has this already.
    pub(crate) fn has(&mut self, id: ObjectId, known: Known) {
        self.known.insert(id, known);
    }

    /// How many objects the node is known to have.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// An object changed or should be compared again.
    pub(crate) fn touch(&mut self, id: ObjectId) {
        self.waiting.insert(id);
    }

    /// Everything should be compared: what the node should see, then what it has or is about to have (and perhaps
    /// should not).
    pub(crate) fn touch_all(&mut self, seen: Vec<ObjectId>) {
        self.waiting.extend(seen);
        let mut held: Vec<_> = self.known.keys().chain(&self.busy).map(|id| (id.kind(), id.clone())).collect();
        // Pods before what they mention: the order of arrival, reversed.
        held.sort_unstable_by(|a, b| b.cmp(a));
        self.waiting.extend(held.into_iter().map(|(_, id)| id));
    }

    /// The next message, if the window has room and an object differs.
    pub(crate) fn next(&mut self, node: &str, view: &View, now_ms: i64, now: Instant) -> Option<Step> {
        if self.flying.len() >= self.window {
            return None;
        }
        let mut position = 0;
        while let Some(id) = self.waiting.get_index(position).cloned() {
            if self.busy.contains(&id) {
                position += 1;
                continue;
            }
            self.waiting.shift_remove_index(position);
            if !view.is_ready(&id) {
                // Everything is compared again when its kind becomes ready.
                continue;
            }
            if let Some(step) = self.difference(id, node, view, now_ms, now) {
                return Some(step);
            }
        }
        None
    }

    /// The node acknowledged a message. `None`: it is none of ours, or was settled before.
    pub(crate) fn acknowledged(&mut self, message_id: &str) -> Option<Settled> {
        let flight = self.flying.remove(message_id)?;
        self.busy.remove(&flight.id);
        let before = match &flight.then {
            Some(known) => self.known.insert(flight.id.clone(), known.clone()),
            None => self.known.remove(&flight.id),
        };
        Some(Settled { id: flight.id, before, now: flight.then })
    }

    /// Whether this message waits for its acknowledgement.
    pub(crate) fn is_flying(&self, message_id: &str) -> bool {
        self.flying.contains_key(message_id)
    }

    /// Messages whose acknowledgement is overdue, to be sent again under the same id.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Envelope> {
        let late = self.flying.values_mut().filter(|flight| flight.due <= now);
        late.map(|flight| {
            flight.tries += 1;
            flight.due = now + self.resend * (1 << flight.tries.min(4));
            flight.message.clone()
        })
        .collect()
    }

    /// When [`Delivery::overdue`] should be asked next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.flying.values().map(|flight| flight.due).min()
    }

    /// Compares one object with what the node has of it, and puts the message that makes up the difference in flight.
    fn difference(&mut self, id: ObjectId, node: &str, view: &View, now_ms: i64, now: Instant) -> Option<Step> {
        let kind = &KINDS[id.kind()?];
        let known = self.known.get(&id);
        let object = view.object(node, &id);
        let messages = match (&object, known) {
            (None, None) => return None,
            (Some(object), Some(known)) if known.uid.as_ref().is_some_and(|uid| *uid != object.uid) => {
                // Another object of the same name: the node must drop the old one first.
                self.waiting.insert(id.clone());
                vec![deletion(kind, &id, Some(known), now_ms)]
            }
            (Some(object), Some(known)) if is_current(object, known) => return None,
            (Some(object), Some(_)) => vec![upsert(kind, object, operation::UPDATE, now_ms)],
            (Some(object), None) => {
                let operation = if kind.always_update { operation::UPDATE } else { operation::INSERT };
                let joins = (kind.word == "device").then(|| membership(&object.id, Some(&object.description), now_ms));
                joins.into_iter().chain([upsert(kind, object, operation, now_ms)]).collect()
            }
            (None, Some(known)) => {
                let leaves = (kind.word == "device").then(|| membership(&id, None, now_ms));
                [deletion(kind, &id, Some(known), now_ms)].into_iter().chain(leaves).collect()
            }
        };
        let main = messages.iter().find(|message| message.route.resource == id.text())?.clone();
        let then = (main.route.operation != operation::DELETE)
            .then_some(object)
            .flatten()
            .map(|object| Known { uid: Some(object.uid.clone()), version: object.version });
        let step = Step { object: id.text().into(), holds: then.clone(), messages };
        self.busy.insert(id.clone());
        let flight = Flight { id, then, tries: 0, due: now + self.resend, message: main };
        self.flying.insert(flight.message.header.id.clone(), flight);
        Some(step)
    }
}

/// Whether nothing changed since the version the node has. A version beyond the API's own is of a former life of the API
/// (restored from a backup), and says nothing.
fn is_current(object: &Object, known: &Known) -> bool {
    (object.content_version..=object.version).contains(&known.version)
}

fn upsert(kind: &Kind, object: &Object, operation: &str, now_ms: i64) -> Envelope {
    let resource = object.id.text().to_owned();
    Envelope::new(now_ms, kind.source, group::RESOURCE, operation, resource, object.content.clone())
        .with_version(object.version_text.clone())
}

/// The form in which KubeEdge's sync controller deletes, with type fields added.
fn deletion(kind: &Kind, id: &ObjectId, known: Option<&Known>, now_ms: i64) -> Envelope {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Gone<'a> {
        api_version: String,
        kind: String,
        metadata: Metadata<'a>,
    }
    #[derive(Serialize)]
    struct Metadata<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<&'a str>,
    }
    let (namespace, _, name) = id.parts();
    let types = kind.types();
    let uid = known.and_then(|known| known.uid.as_deref());
    let gone = Gone { api_version: types.api_version, kind: types.kind, metadata: Metadata { name, namespace, uid } };
    let body = content(&gone).unwrap_or_else(|_| edgeward_wire::null());
    Envelope::new(now_ms, source::EDGE_CONTROLLER, group::RESOURCE, operation::DELETE, id.text().to_owned(), body)
}

/// A device joins (with its description) or leaves this node. Not acknowledged; it travels just before the device's
/// insert or just after its deletion, and both are repeated together if the session breaks.
fn membership(id: &ObjectId, joins: Option<&str>, now_ms: i64) -> Envelope {
    #[derive(Serialize)]
    struct Membership<'a> {
        event_id: String,
        timestamp: i64,
        added_devices: Option<[Member<'a>; 1]>,
        removed_devices: Option<[Member<'a>; 1]>,
    }
    #[derive(Serialize)]
    struct Member<'a> {
        id: String,
        name: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        description: &'a str,
    }
    let (namespace, _, name) = id.parts();
    let device = format!("{}/{name}", namespace.unwrap_or_default());
    let member = [Member { id: device, name, description: joins.unwrap_or_default() }];
    let (added_devices, removed_devices) = if joins.is_some() { (Some(member), None) } else { (None, Some(member)) };
    let change = Membership { event_id: new_id(), timestamp: now_ms, added_devices, removed_devices };
    let body = content(&change).unwrap_or_else(|_| edgeward_wire::null());
    Envelope::new(now_ms, source::DEVICE_CONTROLLER, group::TWIN, operation::UPDATE, "membership".into(), body)
}

#[cfg(test)]
mod tests;
