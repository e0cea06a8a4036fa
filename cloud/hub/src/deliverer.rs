//! Sends one node what it should see, and hears what it has taken.

use std::sync::Arc;

use edgeward_service::clock::now_ms;
use edgeward_wire::{Envelope, Frame, Have};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::changes::{Changed, Changes};
use crate::delivery::{Delivery, Known, Step};
use crate::metrics::{BROKEN, NACKED, RESENT, SENT};
use crate::object::ObjectId;
use crate::objectsync::Syncs;
use crate::service::{Hub, PeerKind};

/// Bytes of deliveries put into one batch frame.
const BATCH_BYTES: usize = 256 << 10;

/// What the deliverer hears from the reader.
pub(crate) enum News {
    /// The node answered a message: with an acknowledgement, or (`Some`) with an error.
    Answer(String, Option<String>),
    /// Our agent says what it has.
    Have(Have),
}

/// The task of one session that delivers.
pub(crate) struct Deliverer {
    pub(crate) hub: Arc<Hub>,
    pub(crate) node: Arc<str>,
    pub(crate) peer: PeerKind,
    pub(crate) changes: Arc<Changes>,
    pub(crate) outgoing: mpsc::Sender<Message>,
    pub(crate) news: mpsc::Receiver<News>,
}

impl Deliverer {
    /// Runs until the session ends.
    pub(crate) async fn run(mut self) {
        let syncs = (self.peer == PeerKind::Kubeedge).then(|| Syncs::new(self.hub.client.clone(), &self.node));
        let window = if syncs.is_some() { 1 } else { self.hub.options.window };
        let mut delivery = Delivery::new(window, self.hub.options.resend);
        match &syncs {
            Some(syncs) => syncs.load().await.into_iter().for_each(|(id, known)| delivery.has(id, known)),
            None => self.inventory(&mut delivery).await,
        }
        loop {
            match self.changes.take() {
                Changed::These(ids) => ids.into_iter().for_each(|id| delivery.touch(id)),
                Changed::Everything => delivery.touch_all(self.hub.view.objects_of(&self.node)),
            }
            if !self.fill(&mut delivery, syncs.as_ref()).await {
                return;
            }
            let deadline = delivery.deadline();
            tokio::select! {
                () = self.changes.changed() => {}
                news = self.news.recv() => match news {
                    Some(news) => self.hear(news, &mut delivery, syncs.as_ref()).await,
                    None => return,
                },
                () = until(deadline) => {
                    for message in delivery.overdue(Instant::now()) {
                        RESENT.inc();
                        if self.outgoing.send(Message::text(message.encode())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Sends as much as the window allows. False: the session has ended.
    async fn fill(&self, delivery: &mut Delivery, syncs: Option<&Syncs>) -> bool {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(step) = delivery.next(&self.node, &self.hub.view, now_ms(), Instant::now()) {
            SENT.inc();
            self.begin(&step, syncs).await;
            bytes += step.messages.iter().map(|message| message.content.get().len()).sum::<usize>();
            batch.extend(step.messages);
            if bytes >= BATCH_BYTES {
                bytes = 0;
                if !self.send(std::mem::take(&mut batch)).await {
                    return false;
                }
            }
        }
        self.send(batch).await
    }

    async fn begin(&self, step: &Step, syncs: Option<&Syncs>) {
        if let (Some(syncs), Some(known), Some(id)) = (syncs, &step.holds, ObjectId::parse(&step.object)) {
            syncs.begin(&id, known).await;
        }
    }

    /// One text frame each, or one batch frame where the peer understands it.
    async fn send(&self, batch: Vec<Envelope>) -> bool {
        if self.peer == PeerKind::Own && batch.len() > 1 {
            return match Frame::Batch(batch).encode() {
                Ok(frame) => self.outgoing.send(Message::Binary(frame)).await.is_ok(),
                Err(error) => {
                    tracing::error!(node = %self.node, %error, "cannot encode a batch");
                    false
                }
            };
        }
        for envelope in batch {
            if self.outgoing.send(Message::text(envelope.encode())).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn hear(&self, news: News, delivery: &mut Delivery, syncs: Option<&Syncs>) {
        match news {
            News::Answer(id, None) => {
                if let (Some(settled), Some(syncs)) = (delivery.acknowledged(&id), syncs) {
                    syncs.settle(&settled).await;
                }
            }
            // It stays unacknowledged and is repeated, ever more rarely.
            News::Answer(id, Some(reason)) if delivery.is_flying(&id) => {
                NACKED.inc();
                tracing::warn!(node = %self.node, reason, "node could not take a delivery; it will be repeated");
            }
            News::Answer(..) => {}
            // An inventory belongs to the beginning.
            News::Have(_) => BROKEN.inc(),
        }
    }

    /// Hears what our agent has, before anything is compared.
    async fn inventory(&mut self, delivery: &mut Delivery) {
        let deadline = Instant::now() + self.hub.options.have_timeout;
        loop {
            match tokio::time::timeout_at(deadline, self.news.recv()).await {
                Ok(Some(News::Have(have))) => {
                    if note(have, delivery, self.hub.options.inventory_objects) {
                        return;
                    }
                }
                Ok(Some(News::Answer(..))) => {}
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(node = %self.node, "agent did not say what it has; everything is sent to it");
                    return;
                }
            }
        }
    }
}

/// Notes an inventory; whether it was its last part, or more than is noted. What is not noted is sent again.
fn note(have: Have, delivery: &mut Delivery, limit: usize) -> bool {
    for entry in have.entries {
        if delivery.known() >= limit {
            tracing::warn!(limit, "agent has more objects than are noted; the others are sent again");
            return true;
        }
        let id = ObjectId::parse(&entry.resource).filter(|id| id.kind().is_some());
        if let (Some(id), Ok(version)) = (id, entry.resource_version.parse()) {
            delivery.has(id, Known { uid: None, version });
        }
    }
    have.complete
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
