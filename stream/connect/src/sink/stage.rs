//! What stands before a sink that batches or caches: a task that owns the sink and takes messages in while the sink works.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Connection, Emission, Map, OutRow, Sink, SinkError, Value};
use edgeward_service::{Backoff, Tasks};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::SinkOptions;
use super::batch::Intake;
use super::cache::{Alter, CacheOptions, Store};

/// Pauses between two tries when `resendInterval` is 0.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long a stopped rule may still send what waits; the rest goes to the disk.
const GOODBYE: Duration = Duration::from_secs(2);

/// The sinks behind a stage.
pub(crate) struct Behind {
    pub(crate) sink: Box<dyn Sink>,
    /// Where messages go that are sent again, if elsewhere.
    pub(crate) again: Option<Box<dyn Sink>>,
}

/// The sink the engine sees.
pub(crate) struct Staged {
    /// What the task needs, until it has been started.
    parts: Option<(Behind, Config)>,
    entry: Option<mpsc::Sender<Arc<Emission>>>,
    ended: Option<oneshot::Receiver<()>>,
    shared: Arc<Mutex<Shared>>,
}

struct Config {
    batch_size: usize,
    linger: Duration,
    cache: Option<CacheOptions>,
    place: Option<PathBuf>,
    tasks: Tasks,
}

#[derive(Default)]
struct Shared {
    connection: Option<Connection>,
    /// The latest failure nobody has heard of.
    failure: Option<String>,
}

impl Staged {
    /// A stage, if the options ask for one. Nothing is opened before the rule runs.
    pub(crate) fn before(
        behind: Behind,
        options: &SinkOptions,
        place: Option<PathBuf>,
        tasks: &Tasks,
    ) -> Box<dyn Sink> {
        let SinkOptions { batch_size, linger, cache, .. } = options;
        if *batch_size == 0 && linger.is_zero() && cache.is_none() {
            return behind.sink;
        }
        let (batch_size, linger, cache) = (*batch_size, *linger, cache.clone());
        let config = Config { batch_size, linger, cache, place, tasks: tasks.clone() };
        Box::new(Staged { parts: Some((behind, config)), entry: None, ended: None, shared: Arc::default() })
    }
}

impl Sink for Staged {
    fn open(&mut self) {
        let Some((mut behind, config)) = self.parts.take() else { return };
        behind.sink.open();
        if let Some(again) = &mut behind.again {
            again.open();
        }
        let (sender, entry) = mpsc::channel(1);
        let (done, ended) = oneshot::channel();
        (self.entry, self.ended) = (Some(sender), Some(ended));
        let (shared, tasks) = (self.shared.clone(), config.tasks.clone());
        tasks.spawn("sink-stage", async move {
            run(behind, config, entry, &shared).await;
            let _ = done.send(());
        });
    }

    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        self.open();
        Box::pin(async {
            let gone = || SinkError::Recoverable("the sink was stopped".to_owned());
            let entry = self.entry.as_ref().ok_or_else(gone)?;
            entry.send(Arc::new(emission.clone())).await.map_err(|_| gone())?;
            // An earlier message's failure is told with this one; this one itself is in good hands.
            self.shared.lock().failure.take().map_or(Ok(()), |text| Err(SinkError::Rejected(text)))
        })
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.entry = None;
        Box::pin(async {
            if let Some(ended) = self.ended.take() {
                let _ = ended.await;
            }
        })
    }

    fn connection(&self) -> Option<Connection> {
        self.shared.lock().connection.clone()
    }
}

async fn run(behind: Behind, config: Config, entry: mpsc::Receiver<Arc<Emission>>, shared: &Mutex<Shared>) {
    let mut intake = Intake::new(entry, config.batch_size, config.linger);
    let mut peer = Peer { behind, shared };
    match config.cache {
        None => {
            while let Some(emission) = intake.next().await {
                peer.send(&emission).await;
            }
        }
        Some(options) => {
            let (opened, place) = (options.clone(), config.place);
            let store = tokio::task::spawn_blocking(move || Store::open(opened, place)).await;
            let Ok(store) = store else { return };
            let pace = Pace { interval: options.interval, backoff: Backoff::new(BACKOFF.0, BACKOFF.1), due: None };
            let store = Arc::new(Mutex::new(store));
            Cached { peer: &mut peer, store, pace, alter: options.alter, turn: false }.run(&mut intake).await;
        }
    }
    peer.behind.sink.close().await;
    if let Some(again) = &mut peer.behind.again {
        again.close().await;
    }
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Sent, or rejected for good.
    Done,
    /// To be tried again.
    Later,
}

/// The sink, and what is told of it.
struct Peer<'a> {
    behind: Behind,
    shared: &'a Mutex<Shared>,
}

impl Peer<'_> {
    /// Sends a message that is not kept when it fails.
    async fn send(&mut self, emission: &Emission) {
        if self.attempt(emission, false).await == Outcome::Later {
            emission.fail();
        }
    }

    async fn attempt(&mut self, emission: &Emission, again: bool) -> Outcome {
        let sink = self.behind.again.as_mut().filter(|_| again).unwrap_or(&mut self.behind.sink);
        let outcome = sink.send(emission).await;
        let mut shared = self.shared.lock();
        shared.connection = sink.connection();
        let Err(error) = outcome else { return Outcome::Done };
        shared.failure = Some(error.to_string());
        match error {
            SinkError::Recoverable(_) => Outcome::Later,
            SinkError::Rejected(_) => Outcome::Done,
        }
    }
}

/// When the next try may be.
struct Pace {
    interval: Duration,
    backoff: Backoff,
    /// None: at once.
    due: Option<Instant>,
}

impl Pace {
    fn after(&mut self, outcome: Outcome) {
        self.due = match outcome {
            Outcome::Later if self.interval.is_zero() => Some(Instant::now() + self.backoff.next_delay()),
            Outcome::Later => Some(Instant::now() + self.interval),
            Outcome::Done => {
                self.backoff.reset();
                // What is sent again goes out at this pace even when the peer is well.
                self.due.filter(|_| !self.interval.is_zero()).map(|_| Instant::now() + self.interval)
            }
        };
    }
}

/// A sink with a cache.
struct Cached<'a, 'b> {
    peer: &'a mut Peer<'b>,
    store: Arc<Mutex<Store>>,
    pace: Pace,
    alter: Option<Alter>,
    /// Whose turn it is when neither old nor new messages come first.
    turn: bool,
}

impl Cached<'_, '_> {
    async fn run(mut self, intake: &mut Intake) {
        while !intake.ended {
            let empty = self.store.lock().is_empty();
            if empty {
                self.pace.due = None;
            }
            let due = self.pace.due.unwrap_or_else(Instant::now);
            if !empty && due <= Instant::now() && self.old_first() {
                self.resend(intake).await;
                continue;
            }
            tokio::select! {
                biased;
                received = intake.next() => if let Some(emission) = received {
                    self.take(emission, intake).await;
                },
                () = sleep_until(due), if !empty => self.resend(intake).await,
            }
        }
        while let Some(emission) = intake.next().await {
            keep(&self.store, emission).await;
        }
        self.finish().await;
    }

    fn old_first(&mut self) -> bool {
        match self.alter.as_ref().map(|alter| alter.priority) {
            None | Some(1..) => true,
            Some(0) => {
                self.turn = !self.turn;
                self.turn
            }
            Some(_) => false,
        }
    }

    /// A new message: tried at once if it need not keep the order, else added to the others.
    async fn take(&mut self, emission: Arc<Emission>, intake: &mut Intake) {
        let direct = match &self.alter {
            None => false,
            Some(alter) => alter.priority <= 0 || self.store.lock().is_empty(),
        };
        if direct {
            if self.attempt(&emission, false, intake).await == Outcome::Done {
                return;
            }
            self.pace.after(Outcome::Later);
        }
        keep(&self.store, emission).await;
    }

    /// Sends the oldest message.
    async fn resend(&mut self, intake: &mut Intake) {
        let Some(oldest) = on_disk(&self.store, Store::front).await else { return };
        let again = self.alter.is_some();
        let marked = self.alter.as_ref().and_then(|alter| alter.indicator.as_deref()).map(|name| mark(&oldest, name));
        let outcome = self.attempt(marked.as_ref().unwrap_or(&oldest), again, intake).await;
        if outcome == Outcome::Done {
            on_disk(&self.store, Store::pop).await;
        }
        self.pace.after(outcome);
    }

    /// Sends a message and meanwhile takes in others, unless they could be sent by themselves.
    async fn attempt(&mut self, emission: &Emission, again: bool, intake: &mut Intake) -> Outcome {
        let takes_in = self.alter.is_none();
        let sending = self.peer.attempt(emission, again);
        tokio::pin!(sending);
        loop {
            let ended = intake.ended;
            tokio::select! {
                biased;
                outcome = &mut sending => return outcome,
                received = intake.next(), if takes_in && !ended => if let Some(emission) = received {
                    keep(&self.store, emission).await;
                },
                // The rule was stopped, and the peer hangs.
                () = tokio::time::sleep(GOODBYE), if ended => return Outcome::Later,
            }
        }
    }

    /// Sends what it can soon; the rest goes to the disk.
    async fn finish(&mut self) {
        let deadline = Instant::now() + GOODBYE;
        while self.pace.due.is_none() && Instant::now() < deadline {
            let Some(oldest) = on_disk(&self.store, Store::front).await else { break };
            let sent = tokio::time::timeout_at(deadline, self.peer.attempt(&oldest, false)).await;
            if sent != Ok(Outcome::Done) {
                break;
            }
            on_disk(&self.store, Store::pop).await;
        }
        let store = self.store.clone();
        let _ = tokio::task::spawn_blocking(move || store.lock().close()).await;
    }
}

async fn keep(store: &Arc<Mutex<Store>>, emission: Arc<Emission>) {
    on_disk(store, move |store| store.push(emission)).await;
}

/// Works on the store where blocking is allowed, if the disk may be needed.
async fn on_disk<R: Default + Send + 'static>(
    store: &Arc<Mutex<Store>>,
    work: impl FnOnce(&mut Store) -> R + Send + 'static,
) -> R {
    if store.lock().is_in_memory() {
        return work(&mut store.lock());
    }
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&mut store.lock())).await.unwrap_or_default()
}

/// The message with a column set to true in every row.
fn mark(emission: &Emission, name: &str) -> Emission {
    let marked = |row: &OutRow| {
        let mut map: Map = (*row.to_map()).clone();
        map.insert(name.into(), Value::Bool(true));
        OutRow::Free(Arc::new(map))
    };
    Emission { rows: emission.rows.iter().map(marked).collect(), ..emission.clone() }
}
