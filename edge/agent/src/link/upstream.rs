//! State on its way up: the newest status of each object, until the cloud has it.

use std::time::Duration;

use edgeward_service::{Counter, clock};
use edgeward_store::Key;
use edgeward_wire::{Content, Envelope, content, group, operation, source};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::requests::Refusal;
use super::{End, Options, Session};
use crate::Error;
use crate::replica::kinds::{EVENT, NODE, POD};
use crate::replica::{Document, Replica};

/// How long an object waits after the cloud refused its state or did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Sends what the cloud does not know, several objects at a time, one message per object.
pub(super) async fn run(session: Session, replica: Replica, options: &Options) -> End {
    let unsent = match replica.unsent().await {
        Ok(unsent) => unsent,
        Err(error) => return error.into(),
    };
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            key = unsent.next(), if sending.len() < options.reports_in_flight => {
                let (session, replica, unsent) = (session.clone(), replica.clone(), unsent.clone());
                sending.push(async move {
                    let again = match send(&session, &replica, &key).await {
                        Ok(again) => again,
                        Err(error) => {
                            tracing::warn!(%key, %error, "state of an object did not reach the cloud yet");
                            true
                        }
                    };
                    if again {
                        RETRIES.inc();
                        tokio::time::sleep(RETRY).await;
                        unsent.push(&key);
                    }
                    unsent.done(&key);
                });
            }
            Some(()) = sending.next(), if !sending.is_empty() => {}
        }
    }
}

/// Sends the state of one object. Returns whether it has to be sent again.
async fn send(session: &Session, replica: &Replica, key: &Key) -> Result<bool, Error> {
    let Some(document) = replica.get(key).await? else { return Ok(false) };
    let Some(number) = document.mark.unsent else { return Ok(false) };
    let Some(message) = message(key, document)? else { return Ok(false) };
    if EVENT.is(key) && !session.is_own() {
        // A KubeEdge cloud does not answer events.
        session.send(message).await?;
        replica.confirm(key, number, "sent").await?;
        return Ok(false);
    }
    let answer = session.request(message).await?;
    let settled = match answer.object() {
        Ok(_) => true,
        Err(refusal) => give_up(key, &refusal),
    };
    if settled {
        SENT.inc();
        let version = if EVENT.is(key) { "sent" } else { answer.version() };
        replica.confirm(key, number, version).await?;
    }
    Ok(!settled)
}

/// Whether a refusal is final.
fn give_up(key: &Key, refusal: &Refusal) -> bool {
    // The pod was removed in the cloud: its removal is on the way down. Events are worth one attempt.
    let finally = (POD.is(key) && refusal.is_not_found()) || EVENT.is(key);
    if !finally {
        REFUSED.inc();
        tracing::warn!(%key, %refusal, "the cloud refused the state of an object; it is sent again");
    }
    finally
}

/// The message that carries an object's state, in KubeEdge's forms. `None` when there is nothing to send yet.
fn message(key: &Key, document: Document) -> Result<Option<Envelope>, Error> {
    let Document { object, mark } = document;
    let namespace = key.namespace.as_deref().unwrap_or("null");
    let name = &key.name;
    let uid = object.uid();
    let status = object.get(&["status"]).cloned().map(complete_conditions);
    let (operation, resource, content) = if POD.is(key) && mark.gone {
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        (operation::DELETE, format!("{namespace}/pod/{name}"), encode(&options)?)
    } else if POD.is(key) {
        let patch = json!({"metadata": {"uid": uid}, "status": status});
        (operation::PATCH, format!("{namespace}/podpatch/{name}"), encode(&patch.to_string())?)
    } else if NODE.is(key) && !mark.version.is_empty() {
        let patch = json!({"status": status});
        (operation::PATCH, format!("null/nodepatch/{name}"), encode(&patch.to_string())?)
    } else if EVENT.is(key) {
        let operation = if mark.version.is_empty() { operation::INSERT } else { operation::UPDATE };
        (operation, format!("{namespace}/event/{name}"), encode(object.as_map())?)
    } else {
        return Ok(None);
    };
    Ok(Some(Envelope::new(clock::now_ms(), source::EDGED, group::META, operation, resource, content)))
}

/// Names what a condition no longer has: the cloud merges conditions by type, and would keep the reason of a state that is
/// past.
fn complete_conditions(mut status: Value) -> Value {
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        for field in ["reason", "message"] {
            condition.entry(field).or_insert(Value::Null);
        }
    }
    status
}

pub(crate) fn encode<T: serde::Serialize + ?Sized>(value: &T) -> Result<Content, Error> {
    content(value).map_err(|error| Error::Message(error.to_string()))
}

static SENT: Counter = Counter::new("edgeward_link_states_total", "states of objects the cloud has confirmed");
static RETRIES: Counter = Counter::new("edgeward_link_state_retries_total", "states of objects that are sent again");
static REFUSED: Counter = Counter::new("edgeward_link_states_refused_total", "states of objects the cloud refused");
