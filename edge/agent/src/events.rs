//! Events of this node: kept for the local API and for the cloud, a bounded number of them.

use edgeward_objects::Object;
use edgeward_service::{Counter, clock};
use k8s_openapi::api::core::v1::Event;
use tokio::sync::mpsc;

use crate::Error;
use crate::replica::Replica;
use crate::replica::kinds::EVENT;

/// Events waiting to be stored.
pub(crate) const QUEUE: usize = 256;
/// Events kept; the oldest go first, those the cloud has before those it has not.
const KEPT: usize = 500;
/// Kept events are counted after this many new ones.
const TRIM_EVERY: usize = 50;

/// Stores events as they come.
pub(crate) async fn run(replica: Replica, node: String, mut events: mpsc::Receiver<Event>) {
    let mut stored = 0;
    while let Some(event) = events.recv().await {
        let done = async {
            store(&replica, &node, event).await?;
            stored += 1;
            if stored % TRIM_EVERY == 0 { trim(&replica).await } else { Ok(()) }
        };
        if let Err(error) = done.await {
            LOST.inc();
            tracing::warn!(%error, "event could not be stored");
        }
    }
}

async fn store(replica: &Replica, node: &str, event: Event) -> Result<(), Error> {
    let value = serde_json::to_value(&event).map_err(|error| Error::Message(error.to_string()))?;
    let mut object = Object::from_value(value).map_err(|error| Error::Message(error.to_string()))?;
    object.set_gvk(&EVENT.gvk());
    // The cloud accepts events of this node's own only.
    object.set(&["source", "host"], node);
    if object.creation_timestamp().is_none() {
        object.set(&["metadata", "creationTimestamp"], clock::now_rfc3339());
    }
    let namespace = object.namespace().unwrap_or("default").to_owned();
    object.set(&["metadata", "namespace"], namespace.as_str());
    let key = EVENT.key(Some(&namespace), object.name());
    replica.put_own(&key, object, true).await
}

async fn trim(replica: &Replica) -> Result<(), Error> {
    let (mut events, _) = replica.list(EVENT).await?;
    let excess = events.len().saturating_sub(KEPT);
    events.sort_by_cached_key(|(_, event)| {
        let time = event.object.get_str(&["lastTimestamp"]).or_else(|| event.object.get_str(&["eventTime"]));
        (event.mark.unsent.is_some(), time.or(event.object.creation_timestamp()).unwrap_or_default().to_owned())
    });
    for (key, event) in events.into_iter().take(excess) {
        if event.mark.unsent.is_some() {
            LOST.inc();
        }
        replica.remove(&key, "").await?;
    }
    Ok(())
}

static LOST: Counter =
    Counter::new("edgeward_agent_events_lost_total", "events dropped before the cloud had them: too many of them");
