//! What every driver does with readings: the bus for rules, the twin for state.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_broker::{self as broker, Message, QoS};
use edgeward_service::{Counter, Tasks};
use edgeward_twin::{DeviceId, DeviceState, TwinError, TwinHandle};
use futures::future::join_all;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tokio::sync::mpsc;

/// Reports that may wait for the twin; then the driver waits.
const QUEUE: usize = 256;
/// Reports handed to the twin at once, so that they share a transaction.
const BATCH: usize = 64;

static REFUSED: Counter = Counter::new("edgeward_drivers_reports_refused_total", "readings the twin refused");
static PUBLISH_FAILED: Counter =
    Counter::new("edgeward_drivers_publish_failed_total", "readings the broker did not take");

/// Something to tell the twin.
#[derive(Debug)]
pub(crate) enum Report {
    Values(DeviceId, Vec<(Arc<str>, String)>),
    State(DeviceId, DeviceState),
}

/// Where drivers send readings; clones are cheap.
#[derive(Clone)]
pub(crate) struct Reports {
    queue: mpsc::Sender<Report>,
    broker: broker::Handle,
}

impl Reports {
    /// Starts the task that talks to the twin.
    pub(crate) fn start(twin: TwinHandle, broker: broker::Handle, tasks: &Tasks) -> Self {
        let (queue, receive) = mpsc::channel(QUEUE);
        tasks.spawn_until_cancelled("reports", pump(receive, twin));
        Self { queue, broker }
    }

    /// Publishes a reading for rules, QoS 1; waits while the rules are behind.
    pub(crate) async fn publish(&self, topic: String, payload: Bytes) {
        let message = Message::new(topic, payload).map(|message| message.with_qos(QoS::AtLeastOnce));
        let published = match message {
            Ok(message) => self.broker.publish(message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            PUBLISH_FAILED.inc();
            tracing::debug!(%error, "reading not published");
        }
    }

    /// Waits while the twin is behind. The next reading repeats what is lost at shutdown.
    pub(crate) async fn send(&self, report: Report) {
        let _stopping = self.queue.send(report).await;
    }
}

async fn pump(mut queue: mpsc::Receiver<Report>, twin: TwinHandle) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        join_all(batch.drain(..).map(|report| tell(&twin, report))).await;
    }
}

async fn tell(twin: &TwinHandle, report: Report) {
    match report {
        Report::State(id, state) => log(&id, twin.set_state(&id, state).await),
        Report::Values(id, values) => match twin.report(&id, values.clone()).await {
            // One value that cannot be a twin must not keep the others back.
            Err(TwinError::Refused { .. }) if values.len() > 1 => {
                for value in values {
                    log(&id, twin.report(&id, vec![value]).await);
                }
            }
            outcome => log(&id, outcome),
        },
    }
}

fn log(id: &DeviceId, outcome: Result<(), TwinError>) {
    // A device that was taken away between reading and report is nobody's trouble.
    if let Err(error) = outcome
        && !matches!(error, TwinError::UnknownDevice(_) | TwinError::Stopped)
    {
        REFUSED.inc();
        tracing::debug!(device = %id, %error, "reading refused");
    }
}

/// A value in telemetry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'a> {
    Number(f64),
    Whole(i128),
    Flag(bool),
    Text(&'a str),
}

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Number(number) => serializer.serialize_f64(number),
            Self::Whole(whole) => match i64::try_from(whole) {
                Ok(whole) => serializer.serialize_i64(whole),
                Err(_) => serializer.serialize_f64(whole as f64),
            },
            Self::Flag(flag) => serializer.serialize_bool(flag),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// `{"deviceid":…,"namespace":…,"ts":…,<property>:<value>,…}`; a number JSON cannot write is null.
pub(crate) fn telemetry<'a>(id: &DeviceId, ts: i64, values: impl Iterator<Item = (&'a str, Scalar<'a>)>) -> Bytes {
    let mut text = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::new(&mut text);
    let written = (|| {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("deviceid", id.name())?;
        map.serialize_entry("namespace", id.namespace())?;
        map.serialize_entry("ts", &ts)?;
        for (name, value) in values {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    })();
    debug_assert!(written.is_ok(), "text keys and scalars always serialise");
    text.into()
}
