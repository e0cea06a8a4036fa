//! Writes reports into DeviceStatus objects: one write in flight per device, reports that come meanwhile are merged.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_control::{Error, Key};
use edgeward_hub::HandlerError;
use edgeward_service::Tasks;
use kube::api::DynamicObject;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use crate::report::Update;
use crate::{Context, document, kinds, metrics, status};

/// Tries of one write: the object may be made or deleted in between.
const TRIES: usize = 3;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    context: Arc<Context>,
    /// A device is in here while its task runs.
    waiting: Mutex<HashMap<Key, Waiting>>,
    permits: Semaphore,
}

#[derive(Default)]
struct Waiting {
    update: Update,
    reporters: Vec<oneshot::Sender<Result<(), String>>>,
}

impl Writer {
    pub(crate) fn new(context: Arc<Context>, tasks: Tasks) -> Self {
        let permits = Semaphore::new(context.options.writes_in_flight.max(1));
        Self { shared: Arc::new(Shared { context, waiting: Mutex::default(), permits }), tasks }
    }

    /// Returns once the report, or a later one of the same properties, is in the API.
    pub(crate) async fn submit(&self, key: Key, update: Update) -> Result<(), HandlerError> {
        metrics::REPORTS.inc();
        let (reporter, written) = oneshot::channel();
        let start = {
            let mut waiting = self.shared.waiting.lock();
            let start = !waiting.contains_key(&key);
            let slot = waiting.entry(key.clone()).or_default();
            slot.update.merge(update);
            slot.reporters.push(reporter);
            start
        };
        if start {
            self.tasks.spawn_until_cancelled("report", self.shared.clone().drain(key));
        }
        match written.await {
            Ok(outcome) => outcome.map_err(Into::into),
            Err(_) => Err("the fleet is stopping; send the report again".into()),
        }
    }
}

impl Shared {
    /// Writes until nothing waits for this device.
    async fn drain(self: Arc<Self>, key: Key) {
        loop {
            // Waiting for a permit is when most reports of a busy moment are merged.
            let Ok(_permit) = self.permits.acquire().await else { return };
            let Some(batch) = self.take(&key) else { return };
            let outcome = self.write(&key, batch.update).await.map_err(|error| error.to_string());
            if outcome.is_ok() {
                // Reports of the next moment are shown along with this one.
                self.context.queue.add_after(key.clone(), self.context.options.mirror_interval);
            }
            for reporter in batch.reporters {
                let _gone = reporter.send(outcome.clone());
            }
        }
    }

    fn take(&self, key: &Key) -> Option<Waiting> {
        let mut waiting = self.waiting.lock();
        let slot = waiting.get_mut(key)?;
        if slot.reporters.is_empty() {
            waiting.remove(key);
            return None;
        }
        Some(std::mem::take(slot))
    }

    async fn write(&self, key: &Key, mut update: Update) -> Result<(), Error> {
        let Some(device) = self.device(key).await? else {
            // Deleted while its last words were on their way.
            metrics::ORPHANS.inc();
            return Ok(());
        };
        metrics::UNLISTED.add(self.drop_unlisted(&device, &mut update) as u64);
        if update.is_empty() {
            return Ok(());
        }
        let mut last = None;
        for _ in 0..TRIES {
            match self.attempt(key, &device, &update).await {
                // Made or deleted by somebody else since we looked.
                Err(error) if error.is_code(404) || error.is_code(409) => last = Some(error),
                outcome => return outcome,
            }
        }
        last.map_or(Ok(()), Err)
    }

    async fn attempt(&self, key: &Key, device: &DynamicObject, update: &Update) -> Result<(), Error> {
        let held = status::ensure(&self.context, key, device).await?;
        let Some(changes) = update.over(held.data.get("status").unwrap_or(&Value::Null)) else {
            metrics::UNCHANGED.inc();
            return Ok(());
        };
        metrics::WRITES.inc();
        status::patch(&self.context, key, &held, json!({ "status": changes })).await.map(drop)
    }

    async fn device(&self, key: &Key) -> Result<Option<Arc<DynamicObject>>, Error> {
        if let Some(device) = self.context.devices.get(key) {
            return Ok(Some(device));
        }
        // The watch may be behind the hub's.
        Ok(kinds::devices_in(&self.context.client, &key.namespace).get_opt(&key.name).await?.map(Arc::new))
    }

    /// Only properties the Device lists are reported, as in KubeEdge. One that lists none has those of its model.
    fn drop_unlisted(&self, device: &DynamicObject, update: &mut Update) -> usize {
        if let Some(listed) = document::listed(device) {
            return update.retain(|name| listed.contains(&name));
        }
        let model = document::model(device).and_then(|model| self.context.models.get(&model));
        model.map_or(0, |model| {
            let (defined, wished) = (document::defined(&model), document::twin_names(device));
            update.retain(|name| defined.contains(&name) || wished.contains(&name))
        })
    }
}
