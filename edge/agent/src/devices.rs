//! Devices between replica, twins and link.

use std::sync::Arc;
use std::time::Duration;

use edgeward_objects::Object;
use edgeward_service::{Backoff, Counter, clock};
use edgeward_store::{Change, Key, Revision};
use edgeward_twin::{DeviceId, Outgoing, TwinError, TwinHandle, TwinUplink};
use edgeward_wire::{Envelope, group, source};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;

use crate::Error;
use crate::link::{Devices, End, Session, SessionWork};
use crate::replica::kinds::{DEVICE, DEVICE_MODEL};
use crate::replica::{Document, Replica};

/// Reports of different devices that may be unanswered at once.
const IN_FLIGHT: usize = 64;
/// Pause before reports the cloud refused are sent again.
const RETRY: Duration = Duration::from_secs(5);

/// Hands the replica's devices and models to the twins: all of them now, changes in [`follow`]. Returns the revision that
/// was read.
pub(crate) async fn load(replica: &Replica, twin: &TwinHandle) -> Result<Revision, Error> {
    let (models, _) = replica.list(DEVICE_MODEL).await?;
    let (devices, revision) = replica.list(DEVICE).await?;
    for (key, document) in models {
        note(&key, twin.apply_model(&document.object).await)?;
    }
    let mut keep = Vec::with_capacity(devices.len());
    for (key, document) in devices {
        keep.push(DeviceId::new(key.namespace.as_deref().unwrap_or_default(), &key.name));
        note(&key, twin.apply_device(&document.object).await)?;
    }
    twin.retain_devices(keep).await?;
    Ok(revision)
}

/// Keeps the twins in step with the replica for ever.
pub(crate) async fn follow(replica: Replica, twin: TwinHandle, mut from: Revision) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        match follow_from(&replica, &twin, from).await {
            Ok(()) => return,
            Err(Error::Twin(error)) if matches!(*error, TwinError::Stopped) => return,
            Err(error) => tracing::warn!(%error, "devices are read again from the replica"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
        from = match load(&replica, &twin).await {
            Ok(revision) => revision,
            Err(_) => continue,
        };
        backoff.reset();
    }
}

async fn follow_from(replica: &Replica, twin: &TwinHandle, from: Revision) -> Result<(), Error> {
    let changes = futures::stream::select(replica.watch(DEVICE_MODEL, from)?, replica.watch(DEVICE, from)?);
    let mut changes = std::pin::pin!(changes);
    while let Some(change) = changes.next().await {
        let change = change?;
        let key = &change.entry().key;
        let (namespace, model) = (key.namespace.as_deref().unwrap_or_default(), DEVICE_MODEL.is(key));
        let done = match &change {
            Change::Put { entry, .. } => match (read(&entry.value), model) {
                (None, _) => continue,
                (Some(object), true) => twin.apply_model(&object).await,
                (Some(object), false) => twin.apply_device(&object).await,
            },
            Change::Deleted { .. } if model => twin.remove_model(namespace, &key.name).await,
            Change::Deleted { .. } => twin.remove_device(namespace, &key.name).await,
        };
        note(key, done)?;
    }
    Ok(())
}

fn read(value: &[u8]) -> Option<Object> {
    Document::read(value).ok().map(|document| document.object)
}

/// A document the twins cannot use is told and left; the twins' own failures are not.
fn note(key: &Key, result: Result<(), TwinError>) -> Result<(), Error> {
    match result {
        Err(error @ TwinError::Document { .. }) => {
            UNUSABLE.inc();
            tracing::warn!(%key, %error, "document cannot be used");
            Ok(())
        }
        result => result.map_err(Error::from),
    }
}

/// KubeEdge's membership messages reach the twins through this.
pub(crate) struct Membership(pub(crate) TwinHandle);

impl Devices for Membership {
    fn membership<'a>(&'a self, content: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match self.0.apply_membership(content).await {
                Err(error @ TwinError::Document { .. }) => {
                    UNUSABLE.inc();
                    tracing::warn!(%error, "membership message cannot be used");
                    Ok(())
                }
                result => Ok(result?),
            }
        })
    }
}

/// Sends what the twins have to tell, as long as a session lives.
pub(crate) struct TwinReports {
    /// Taken by the session that runs, put back when it ends.
    uplink: Mutex<Option<TwinUplink>>,
}

impl TwinReports {
    pub(crate) fn new(uplink: TwinUplink) -> Self {
        Self { uplink: Mutex::new(Some(uplink)) }
    }
}

impl SessionWork for TwinReports {
    fn run(self: Arc<Self>, session: Session) -> BoxFuture<'static, End> {
        Box::pin(async move {
            let Some(uplink) = self.uplink.lock().take() else { return std::future::pending().await };
            let mut lent = Lent { home: self.clone(), uplink: Some(uplink) };
            let Some(uplink) = &mut lent.uplink else { return End::Closed };
            match send(uplink, &session).await {
                Ok(never) => match never {},
                Err(error) => End::Failed(error),
            }
        })
    }
}

/// Goes back however the session ends.
struct Lent {
    home: Arc<TwinReports>,
    uplink: Option<TwinUplink>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.home.uplink.lock() = self.uplink.take();
    }
}

async fn send(uplink: &mut TwinUplink, session: &Session) -> Result<std::convert::Infallible, Error> {
    uplink.rewind().await?;
    let mut sending = FuturesUnordered::new();
    let mut again = None;
    loop {
        let retry = async {
            match again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            report = uplink.next(), if sending.len() < IN_FLIGHT => sending.push(ask(session, report?)),
            Some((id, result)) = sending.next(), if !sending.is_empty() => match result {
                Ok(()) => uplink.confirm(id).await?,
                Err(Error::Offline) => return Err(Error::Offline),
                Err(error) => {
                    REFUSED.inc();
                    tracing::debug!(%error, "report of a device did not reach the API; it is sent again");
                    again = again.or(Some(tokio::time::Instant::now() + RETRY));
                }
            },
            () = retry => {
                again = None;
                uplink.rewind().await?;
            }
        }
    }
}

async fn ask(session: &Session, report: Outgoing) -> (u64, Result<(), Error>) {
    let Outgoing { id, operation, resource, content, .. } = report;
    let message = Envelope::new(clock::now_ms(), source::TWIN, group::RESOURCE, operation, resource, content);
    let result = match session.request(message).await {
        Ok(answer) => answer.object().map(drop).map_err(|refusal| Error::Message(refusal.to_string())),
        Err(error) => Err(error),
    };
    (id, result)
}

static UNUSABLE: Counter = Counter::new("edgeward_agent_unusable_documents_total", "device documents nobody can use");
static REFUSED: Counter = Counter::new("edgeward_link_reports_refused_total", "reports of devices the cloud refused");
