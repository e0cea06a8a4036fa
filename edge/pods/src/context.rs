//! What all parts of the room share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::cri::Cri;
use crate::events::Recorder;
use crate::images::Images;
use crate::spec::Facts;
use crate::worker::Admitted;
use crate::{NodeApi, Options, resources};

/// Shared by all pod workers of a node.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) api: Arc<dyn NodeApi>,
    pub(crate) cri: Cri,
    pub(crate) images: Images,
    pub(crate) events: Recorder,
    pub(crate) host_ips: Vec<String>,
    pub(crate) memory_capacity: i64,
    pub(crate) ended: Ended,
    pub(crate) admitted: Admitted,
    /// Why the runtime cannot run pods; `None`: it can.
    pub(crate) trouble: watch::Sender<Option<String>>,
}

impl Context {
    pub(crate) fn new(options: Options, api: Arc<dyn NodeApi>, cri: Cri) -> Self {
        let given: Vec<String> = options.host_ips.iter().map(ToString::to_string).collect();
        let host_ips = if given.is_empty() { default_address().into_iter().collect() } else { given };
        Self {
            images: Images::new(cri.clone(), options.registry_connect_timeout),
            events: Recorder::new(api.clone(), options.node_name.clone()),
            memory_capacity: resources::memory_capacity(),
            ended: Ended::default(),
            admitted: Admitted::default(),
            trouble: watch::Sender::new(None),
            host_ips,
            options,
            api,
            cri,
        }
    }

    /// Asks the runtime what keeps it from running pods. Tells whether it answered; while it does not, the reason that
    /// is known already stays.
    pub(crate) async fn look_for_trouble(&self) -> bool {
        match self.cri.unmet_conditions().await {
            Ok(unmet) => self.set_trouble((!unmet.is_empty()).then(|| unmet.join("; "))),
            Err(error) => {
                if self.trouble.borrow().is_none() {
                    self.set_trouble(Some(error.to_string()));
                }
                return false;
            }
        }
        true
    }

    /// Keeps why the runtime cannot run pods; whoever follows it hears of changes only.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.trouble.send_if_modified(|current| {
            let changed = *current != trouble;
            if let Some(reason) = trouble.as_ref().filter(|_| changed) {
                tracing::warn!(reason, "the container runtime is not ready for all pods");
            }
            *current = trouble;
            changed
        });
    }

    /// What a pod with these addresses may refer to.
    pub(crate) fn facts(&self, pod_ips: &[String]) -> Facts {
        Facts { node_name: self.options.node_name.clone(), pod_ips: pod_ips.to_vec(), host_ips: self.host_ips.clone() }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("node", &self.options.node_name).finish_non_exhaustive()
    }
}

/// Who is told when a container or sandbox ends.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    watched: Mutex<HashMap<String, Watched>>,
    /// Told when something new is watched.
    started: Notify,
}

#[derive(Debug)]
struct Watched {
    uid: String,
    wake: Arc<Notify>,
    /// Cancelled once it ended or is no longer watched.
    ended: EndToken,
}

/// A token that is cancelled when it is dropped: whoever waits for an end never waits for something forgotten.
#[derive(Debug, Default)]
struct EndToken(CancellationToken);

impl Drop for EndToken {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Ended {
    /// From now on these ids, and no others, belong to the pod `uid`.
    pub(crate) fn watch<'a>(&self, uid: &str, wake: &Arc<Notify>, ids: impl Iterator<Item = &'a str>) {
        let mut watched = self.watched.lock();
        let ids: HashSet<&str> = ids.collect();
        watched.retain(|id, entry| entry.uid != uid || ids.contains(id.as_str()));
        if ids.iter().any(|id| !watched.contains_key(*id)) {
            self.started.notify_one();
        }
        for id in ids {
            let new = || Watched { uid: uid.to_owned(), wake: wake.clone(), ended: EndToken::default() };
            watched.entry(id.to_owned()).or_insert_with(new);
        }
    }

    /// Waits for a container or sandbox to be watched that was not before. One waiter at a time.
    pub(crate) async fn started(&self) {
        self.started.notified().await;
    }

    /// A container or sandbox ended.
    pub(crate) fn note(&self, id: &str) {
        if let Some(entry) = self.watched.lock().get_mut(id) {
            entry.ended.0.cancel();
            entry.wake.notify_one();
        }
    }

    /// A token that is cancelled when this container ends; at once for one that nobody watches.
    pub(crate) fn token(&self, id: &str) -> CancellationToken {
        let watched = self.watched.lock().get(id).map(|entry| entry.ended.0.clone());
        watched.unwrap_or_else(|| EndToken::default().0.clone())
    }

    /// Wakes every pod, when events may have been missed.
    pub(crate) fn wake_all(&self) {
        self.watched.lock().values().for_each(|entry| entry.wake.notify_one());
    }

    /// The pod's ids that are known to have ended.
    pub(crate) fn of(&self, uid: &str) -> HashSet<String> {
        let watched = self.watched.lock();
        watched
            .iter()
            .filter(|(_, entry)| entry.ended.0.is_cancelled() && entry.uid == uid)
            .map(|(id, _)| id.clone())
            .collect()
    }
}

/// The address this machine would speak from: what the kernel picks for a far destination (nothing is sent).
fn default_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (address != IpAddr::from([0, 0, 0, 0])).then(|| address.to_string())
}
