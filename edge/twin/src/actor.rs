//! The one task that owns the state: takes what came together, applies it, commits once, then publishes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use edgeward_broker::{self as broker, Delivery};
use edgeward_service::Tasks;
use edgeward_service::clock::now_ms;
use tokio::sync::{mpsc, oneshot};

use crate::apply::{Effects, State};
use crate::bus::Bus;
use crate::device::{Device, DeviceId, Model};
use crate::drive::Drivers;
use crate::driver::Driver;
use crate::error::TwinError;
use crate::handle::{DeviceView, TwinHandle};
use crate::metrics;
use crate::normalise::Membership;
use crate::payload::{DeviceState, INTERNAL, Refusal};
use crate::publish::{self, device_topic, parse_topic};
use crate::store::Store;
use crate::uplink::{Outgoing, Queue, TwinUplink};

/// How the twin service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The SQLite file, its own; made if missing.
    pub path: PathBuf,
    /// The node's name, in membership topics.
    pub node: String,
    /// Requests of handles that may wait before callers wait too.
    pub queue: usize,
    /// Requests that may share one transaction.
    pub batch: usize,
    /// Properties one device may have; updates beyond are refused.
    pub max_properties: usize,
    /// Unanswered MQTT requests the broker keeps for the twin.
    pub inbox: usize,
}

impl Options {
    /// The usual limits.
    pub fn new(path: impl Into<PathBuf>, node: impl Into<String>) -> Self {
        Self { path: path.into(), node: node.into(), queue: 1024, batch: 512, max_properties: 1024, inbox: 16_384 }
    }
}

/// The twin service.
#[derive(Debug)]
pub struct Twin;

impl Twin {
    /// Opens the store, subscribes at the broker and starts the writer task under `tasks`.
    ///
    /// Twins of the last run are there at once; documents come with the agent's calls to
    /// [`TwinHandle::apply_device`]. The [`TwinUplink`] is the link's end of the queue to the cloud.
    pub async fn start(
        options: Options,
        broker: broker::Handle,
        tasks: &Tasks,
    ) -> Result<(TwinHandle, TwinUplink), TwinError> {
        let node: Arc<str> = options.node.as_str().into();
        let path = options.path.clone();
        let (store, devices) = blocking(move || {
            let store = Store::open(&path)?;
            let devices = store.load().map_err(|source| TwinError::Open { path, source })?;
            Ok((store, devices))
        })
        .await?;
        let bus = Bus::start(broker, options.inbox)?;
        let (commands, receive) = mpsc::channel(options.queue);
        let mut state = State {
            node: node.clone(),
            max_properties: options.max_properties,
            devices,
            models: Default::default(),
            queue: Queue::default(),
        };
        for device in state.devices.values().filter(|device| device.is_dirty()) {
            state.queue.push(&device.id);
        }
        metrics::DEVICES.set(i64::try_from(state.devices.len()).unwrap_or(i64::MAX));
        let actor = Actor {
            state,
            drivers: Drivers::default(),
            store: Some(store),
            bus,
            commands: receive,
            link: None,
            confirmed: Effects::default(),
            batch: options.batch,
        };
        tasks.spawn("twin", actor.run(tasks.clone()));
        Ok((TwinHandle::new(commands.clone()), TwinUplink::new(commands, node)))
    }
}

type Reply<T> = oneshot::Sender<T>;
type Done = Reply<Result<(), TwinError>>;

/// What handles ask.
pub(crate) enum Command {
    ApplyDevice(Box<Device>, Done),
    ApplyModel(Box<Model>, Done),
    RemoveDevice(DeviceId, Done),
    RemoveModel(DeviceId, Done),
    Retain(Vec<DeviceId>, Done),
    Membership(Membership, Done),
    RegisterDriver(Vec<String>, Arc<dyn Driver>, Reply<()>),
    Report(DeviceId, Vec<(Arc<str>, String)>, Done),
    SetState(DeviceId, DeviceState, Done),
    List(Reply<Vec<DeviceView>>),
    Describe(DeviceId, Reply<Option<DeviceView>>),
    Take(Reply<Outgoing>),
    Confirm(u64),
    Rewind,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command")
    }
}

struct Actor {
    state: State,
    drivers: Drivers,
    /// Away while a transaction runs on the blocking pool.
    store: Option<Store>,
    bus: Bus,
    commands: mpsc::Receiver<Command>,
    /// The link, when it waits for something to send.
    link: Option<Reply<Outgoing>>,
    /// Rows whose `confirmed` flag changed; they ride with the next transaction.
    confirmed: Effects,
    batch: usize,
}

/// One batch in the making.
#[derive(Default)]
struct Work {
    effects: Effects,
    replies: Vec<Done>,
    /// MQTT requests, to be acknowledged to their clients.
    deliveries: Vec<Delivery>,
    requests: usize,
}

impl Actor {
    async fn run(mut self, tasks: Tasks) {
        loop {
            let mut work = Work::default();
            tokio::select! {
                () = tasks.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command, &mut work),
                    None => break,
                },
                delivery = self.bus.recv() => self.message(delivery, &mut work),
            }
            self.gather(&mut work);
            self.finish(work).await;
        }
        // Confirmations that found no transaction to ride with.
        let flags = std::mem::take(&mut self.confirmed);
        if let Err(error) = self.commit(&flags).await {
            tracing::warn!(%error, "confirmed twins will be sent once more after the next start");
        }
    }

    /// Takes what else is there already, so that it shares the transaction.
    fn gather(&mut self, work: &mut Work) {
        while work.requests < self.batch {
            if let Ok(command) = self.commands.try_recv() {
                self.command(command, work);
            } else if let Some(delivery) = self.bus.try_recv() {
                self.message(delivery, work);
            } else {
                return;
            }
        }
    }

    fn message(&mut self, delivery: Delivery, work: &mut Work) {
        work.requests += 1;
        if let Some(request) = parse_topic(delivery.topic.as_str(), &self.state.node) {
            self.state.request(request, &delivery.payload, now_ms(), &mut work.effects);
        }
        work.deliveries.push(delivery);
    }

    fn command(&mut self, command: Command, work: &mut Work) {
        work.requests += 1;
        let (now, effects) = (now_ms(), &mut work.effects);
        match command {
            Command::ApplyDevice(device, done) => {
                self.state.apply_device(*device, now, effects);
                work.replies.push(done);
            }
            Command::ApplyModel(model, done) => {
                let id = model.id.clone();
                self.state.set_model(&id, Some(*model), now, effects);
                work.replies.push(done);
            }
            Command::RemoveModel(id, done) => {
                self.state.set_model(&id, None, now, effects);
                work.replies.push(done);
            }
            Command::RemoveDevice(id, done) => {
                self.state.remove(&id, now, effects);
                work.replies.push(done);
            }
            Command::Retain(keep, done) => {
                let keep: BTreeSet<_> = keep.into_iter().collect();
                let gone: Vec<_> = self.state.devices.keys().filter(|id| !keep.contains(*id)).cloned().collect();
                gone.iter().for_each(|id| self.state.remove(id, now, effects));
                work.replies.push(done);
            }
            Command::Membership(membership, done) => {
                membership.added.iter().for_each(|(id, text)| self.state.add(id, text, now, effects));
                membership.removed.iter().for_each(|id| self.state.remove(id, now, effects));
                work.replies.push(done);
            }
            Command::Report(id, values, done) => {
                let reported = self.state.report(&id, values, now, effects);
                answer(reported, done, &mut work.replies);
            }
            Command::SetState(id, state, done) => {
                let set = self.state.set_state(&id, state, now, effects);
                answer(set, done, &mut work.replies);
            }
            other => self.question(other),
        }
    }

    /// Commands that change no twin.
    fn question(&mut self, command: Command) {
        match command {
            Command::RegisterDriver(protocols, driver, reply) => {
                self.drivers.register(protocols, &driver);
                for id in self.state.devices.keys() {
                    self.drivers.redrive(id, &self.state);
                }
                let _gone = reply.send(());
            }
            Command::List(reply) => {
                let views = self.state.devices.keys().filter_map(|id| self.state.view(id, &self.drivers));
                let _gone = reply.send(views.collect());
            }
            Command::Describe(id, reply) => {
                let _gone = reply.send(self.state.view(&id, &self.drivers));
            }
            Command::Take(reply) => self.link = Some(reply),
            Command::Confirm(id) => self.confirm(id),
            Command::Rewind => self.state.queue.rewind(),
            _ => {}
        }
    }

    fn confirm(&mut self, id: u64) {
        let Some(carried) = self.state.confirm(id) else { return };
        metrics::CONFIRMED.inc();
        if carried.state.is_some() {
            self.confirmed.devices.insert(carried.device.clone());
        }
        let twins = carried.twins.into_iter().map(|(name, _)| (carried.device.clone(), name));
        self.confirmed.twins.extend(twins);
    }

    /// Commits the batch; only then its answers go out.
    async fn finish(&mut self, mut work: Work) {
        match self.write(&mut work.effects).await {
            Ok(()) => {
                self.settle(&work.effects);
                work.replies.into_iter().for_each(|done| drop(done.send(Ok(()))));
            }
            Err(error) => {
                metrics::COMMIT_FAILURES.inc();
                tracing::error!(%error, "twin changes were not stored and are refused");
                self.undo(&mut work.effects, &error).await;
                for done in work.replies {
                    let _gone = done.send(Err(TwinError::Shared(error.to_string())));
                }
            }
        }
        self.bus.publish(std::mem::take(&mut work.effects.publications));
        // Refused requests have their answer too: nobody needs to send them again.
        work.deliveries.into_iter().for_each(Delivery::confirm);
        self.feed_link();
    }

    /// Gives a waiting link its next message; if it stopped waiting meanwhile, the message waits for the next one.
    fn feed_link(&mut self) {
        let Some(reply) = self.link.take() else { return };
        let Some(outgoing) = self.state.take() else {
            self.link = Some(reply);
            return;
        };
        match reply.send(outgoing) {
            Ok(()) => metrics::SENT.inc(),
            Err(unsent) => {
                self.state.queue.settle(unsent.id);
                self.state.queue.push(&unsent.device);
            }
        }
    }

    /// One transaction with the batch and the flags that waited for one.
    async fn write(&mut self, effects: &mut Effects) -> Result<(), TwinError> {
        if effects.touched().is_empty() {
            return Ok(());
        }
        let riders = std::mem::take(&mut self.confirmed);
        effects.twins.extend(riders.twins);
        effects.devices.extend(riders.devices);
        self.commit(effects).await
    }

    async fn commit(&mut self, effects: &Effects) -> Result<(), TwinError> {
        let batch = self.state.rows(effects);
        if batch.is_empty() {
            return Ok(());
        }
        let Some(mut store) = self.store.take() else { return Err(TwinError::Stopped) };
        let (store, outcome) = blocking(move || {
            let outcome = store.commit(&batch);
            Ok((store, outcome))
        })
        .await?;
        self.store = Some(store);
        metrics::COMMITS.inc();
        outcome
    }

    /// What follows from a committed batch besides its answers.
    fn settle(&mut self, effects: &Effects) {
        for id in effects.touched() {
            match self.state.devices.get(&id) {
                Some(device) if device.is_dirty() => self.state.queue.push(&id),
                Some(_) => {}
                None => self.state.queue.forget(&id),
            }
        }
        for id in &effects.redrive {
            self.drivers.redrive(id, &self.state);
        }
        if !effects.devices.is_empty() || !effects.removed.is_empty() {
            metrics::DEVICES.set(i64::try_from(self.state.devices.len()).unwrap_or(i64::MAX));
        }
    }

    /// Takes every touched device back to what the disk has, and turns the batch's answers into refusals.
    async fn undo(&mut self, effects: &mut Effects, error: &TwinError) {
        let touched = effects.touched();
        let reason = error.to_string();
        effects.publications.clear();
        for (id, event_id) in effects.requests.drain(..) {
            let refusal = Refusal { code: INTERNAL, reason: reason.clone() };
            let topic = device_topic(id.as_str(), "twin/update/result");
            effects.publications.push(publish::refusal(topic, &event_id, &refusal, now_ms()));
        }
        let Some(store) = self.store.take() else { return };
        let read = blocking(move || {
            let devices: Vec<_> = touched.into_iter().map(|id| (store.load_device(&id), id)).collect();
            Ok((store, devices))
        });
        let Ok((store, devices)) = read.await else { return };
        self.store = Some(store);
        for (found, id) in devices {
            let document = self.state.devices.get(&id).and_then(|device| device.document.clone());
            match found {
                Ok(Some(mut device)) => {
                    device.document = document;
                    self.state.devices.insert(id, device);
                }
                Ok(None) => {
                    self.state.devices.remove(&id);
                }
                // The disk cannot even be read: memory keeps the newer values, which the next commit writes.
                Err(error) => tracing::error!(device = %id, %error, "twin could not be read back"),
            }
        }
    }
}

/// A refused request is answered at once, an accepted one after the commit.
fn answer(outcome: Result<(), TwinError>, done: Done, replies: &mut Vec<Done>) {
    match outcome {
        Ok(()) => replies.push(done),
        Err(error) => drop(done.send(Err(error))),
    }
}

/// Runs disk work beside the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TwinError> + Send + 'static,
) -> Result<T, TwinError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(TwinError::Stopped),
    }
}
