//! A running rule: the thin task that drives a core, and the tasks of its sinks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use edgeward_functions::Context;
use edgeward_service::{Tasks, clock};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use crate::busy::Busy;
use crate::core::Core;
use crate::emission::Emission;
use crate::metrics::NodeMetrics;
use crate::plan::Program;
use crate::queue::{Abandon, Queue, settle};
use crate::sink::SinkInput;
use crate::sink_task::SinkTask;
use crate::stream::{Attachment, Barrier, Filter, Inbox, Item, Stream};
use crate::{Ack, EngineError, Plan, lookup, nodes};

/// How long a stopped rule's sinks may take to finish.
const GRACE: Duration = Duration::from_secs(5);

/// How long a reader of counters waits for a busy rule.
const PATIENCE: Duration = Duration::from_millis(50);

/// Starts rules.
pub struct RuleTask;

/// How a rule is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleStatus {
    /// Rows are being worked on.
    Running,
    /// All its inputs ended (`done`).
    Done,
    /// Stopped from outside.
    Stopped,
}

/// A running rule.
pub struct RuleHandle {
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// How a rule is doing, and what is to be done when it ends.
struct Life {
    status: RuleStatus,
    then: Option<Then>,
}

type Then = Box<dyn FnOnce(RuleStatus) + Send>;

/// The state of a rule at one moment, and where its sources go on from there.
pub(crate) struct Checkpoint {
    state: Vec<u8>,
    /// Told when the sinks are done with everything sent before.
    settled: oneshot::Receiver<bool>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Checkpoint")
    }
}

/// What was sent between two checkpoints: each emission holds the token until its sinks are done with it.
struct Epoch {
    token: Ack,
    settled: oneshot::Receiver<bool>,
}

impl Epoch {
    fn new() -> Epoch {
        let (sender, settled) = oneshot::channel();
        // Nobody may be waiting for it.
        let token = Ack::new(move |ok| {
            let _ = sender.send(ok);
        });
        Epoch { token, settled }
    }
}

struct Shared {
    core: Mutex<Core>,
    queue: Arc<Queue<Item>>,
    inputs: Box<[(Arc<Stream>, Attachment)]>,
    sinks: Box<[Arc<SinkTask>]>,
    life: Mutex<Life>,
    ended: Notify,
    /// What was seen last, for when the core is busy with a function a user brought; other rules are never busy for long.
    last_metrics: Option<Mutex<Vec<NodeMetrics>>>,
    busy: Mutex<Busy>,
    /// Time the operators took for one item of the last turn.
    latency_us: AtomicU64,
}

impl RuleTask {
    /// Starts a planned rule over its streams, which must come in the order of [`Plan::inputs`]. The rule reads from them until it
    /// is stopped or they end; whoever made the streams runs their sources (start those afterwards, so that no row is missed).
    /// `saved` is what [`RuleHandle::checkpoint`] answered: sources that can rewind then begin where it was taken.
    ///
    /// # Errors
    /// The statement does not compile against the streams, or the state cannot be read.
    pub fn start(
        id: &str,
        plan: &Plan,
        streams: Vec<Arc<Stream>>,
        sinks: Vec<SinkInput>,
        saved: Option<&[u8]>,
        tasks: &Tasks,
    ) -> Result<RuleHandle, EngineError> {
        let options = plan.options().clone();
        let program = Arc::new(plan.compile(&mut |input, column| {
            streams.get(input).and_then(|stream| stream.slots(std::iter::once(column)).pop()).unwrap_or_default()
        })?);
        let mut core = Core::new(program.clone(), plan, id, clock::now_ms());
        core.context.sleeps = program.calls_users;
        if let Some(saved) = saved {
            let positions = core.restore(saved, &streams)?;
            streams.iter().zip(positions).for_each(|(stream, position)| stream.rewind(position));
        }
        core.asks = streams.iter().any(|stream| stream.lookup().is_some());
        let asked = core.asks.then(|| (program.clone(), streams.clone()));
        let tasks = tasks.child(format!("rule {id}"));
        let queue = Arc::new(Queue::new(options.buffer_length, !options.disable_buffer_full_discard));
        let context = core.context.clone();
        let discard = options.qos == 0;
        let sinks =
            sinks.into_iter().enumerate().map(|(index, sink)| SinkTask::start(index, sink, discard, &tasks)).collect();
        let inputs = streams
            .into_iter()
            .enumerate()
            .map(|(input, stream)| {
                let filter = stream_filter(&program, &context);
                let attachment = stream.attach(input, filter, queue.clone());
                (stream, attachment)
            })
            .collect();
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            queue,
            inputs,
            sinks,
            life: Mutex::new(Life { status: RuleStatus::Running, then: None }),
            ended: Notify::new(),
            last_metrics: program.calls_users.then(Mutex::default),
            latency_us: AtomicU64::new(0),
            busy: Mutex::default(),
        });
        let own_thread = program.calls_users;
        let open = program.tables.iter().filter(|table| table.is_none()).count();
        let epoch = (options.qos > 0).then(Epoch::new);
        let runner = Runner { shared: shared.clone(), tasks: tasks.clone(), open, own_thread, asked, epoch };
        if own_thread {
            shared.metrics();
        }
        match own_thread {
            true => tasks.spawn("rule", on_own_thread(runner)),
            false => tasks.spawn("rule", runner.run()),
        }
        Ok(RuleHandle { shared, tasks })
    }
}

/// The filter of a statement as the stream runs it.
pub(crate) fn stream_filter(program: &Arc<Program>, context: &Context) -> Option<Filter> {
    let there = program.filter_in_stream && program.filter.is_some();
    there.then(|| Filter { program: program.clone(), context: context.clone() })
}

impl RuleHandle {
    /// How the rule is doing.
    pub fn status(&self) -> RuleStatus {
        self.shared.life.lock().status
    }

    /// Waits until the rule has ended and answers how.
    pub async fn ended(&self) -> RuleStatus {
        loop {
            let ended = self.shared.ended.notified();
            let status = self.status();
            if status != RuleStatus::Running {
                return status;
            }
            ended.await;
        }
    }

    /// Calls `then` when the rule ends, or now if it has. It must be quick and wait for nothing; only the last one given is called.
    pub fn when_ended(&self, then: impl FnOnce(RuleStatus) + Send + 'static) {
        let mut life = self.shared.life.lock();
        if life.status == RuleStatus::Running {
            life.then = Some(Box::new(then));
            return;
        }
        let status = life.status;
        drop(life);
        then(status);
    }

    /// Stops the rule: no more rows are taken in; what was handed to the sinks is sent. Windows still open are dropped.
    pub async fn stop(&self) {
        self.tasks.shutdown(GRACE).await;
    }

    /// Takes a checkpoint: the state of all operators and the positions of the sources that can rewind, as of one moment, to be
    /// kept and given to [`RuleTask::start`] later. It is answered when the sinks are done with everything sent before that
    /// moment, so that nothing is lost by going on from it. None with `qos` 0, or if the rule ends first.
    pub async fn checkpoint(&self) -> Option<Vec<u8>> {
        let (reply, taken) = oneshot::channel();
        let streams: Vec<&Arc<Stream>> = self.shared.inputs.iter().map(|(stream, _)| stream).collect();
        Barrier::put(&streams, &self.shared.queue, reply);
        let settle = async {
            let Checkpoint { state, settled } = taken.await.ok()?;
            let ok = settled.await.unwrap_or(false);
            // A message that a sink could not send is counted and gone; one that a stopped rule gave up must come again.
            (ok || !self.tasks.is_cancelled()).then_some(state)
        };
        tokio::select! {
            state = settle => state,
            _ = self.ended() => None,
        }
    }

    /// How long the rule's task has worked, in all and in the last 30 s.
    pub fn busy(&self) -> (Duration, Duration) {
        let busy = self.shared.busy.lock();
        (busy.total(), busy.lately())
    }

    /// Counters of every node of the plan, in the plan's order.
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        self.shared.metrics()
    }
}

impl Shared {
    /// The first end counts.
    fn end(&self, status: RuleStatus) {
        let then = {
            let mut life = self.life.lock();
            if life.status != RuleStatus::Running {
                return;
            }
            life.status = status;
            life.then.take()
        };
        self.ended.notify_waiters();
        if let Some(then) = then {
            then(status);
        }
    }

    /// Counts a turn of the rule over so many items.
    fn worked(&self, begun: Instant, items: u64) {
        let ended = Instant::now();
        let took = u64::try_from((ended - begun).as_micros()).unwrap_or(u64::MAX);
        if let Some(each) = took.checked_div(items) {
            self.latency_us.store(each, Ordering::Relaxed);
        }
        self.busy.lock().add(begun, ended);
    }

    /// Takes the checkpoint a barrier asks for; `unsent` was made before it. Answers the next epoch.
    fn checkpoint(
        &self,
        epoch: Option<Epoch>,
        core: &Core,
        barrier: Barrier,
        unsent: &mut [Emission],
    ) -> Option<Epoch> {
        let Epoch { token, settled } = epoch?;
        unsent.iter_mut().for_each(|emission| emission.acks.push(token.clone()));
        let streams: Vec<Arc<Stream>> = self.inputs.iter().map(|(stream, _)| stream.clone()).collect();
        let state = core.snapshot(&streams, &barrier.positions);
        // Whoever asked may have given up.
        let _ = barrier.reply.send(Checkpoint { state, settled });
        Some(Epoch::new())
    }

    fn metrics(&self) -> Vec<NodeMetrics> {
        let core = match &self.last_metrics {
            None => self.core.lock(),
            // Whoever asks for counters does not wait for a slow function.
            Some(last) => match self.core.try_lock_for(PATIENCE) {
                Some(core) => core,
                None => return last.lock().clone(),
            },
        };
        let input = |(stream, attachment): &'_ (Arc<Stream>, Attachment)| (stream.clone(), attachment.received());
        let inputs: Vec<(Arc<Stream>, u64)> = self.inputs.iter().map(input).collect();
        let inputs: Vec<_> = inputs.iter().map(|(stream, received)| nodes::Input::of(stream, *received)).collect();
        let load = nodes::Load {
            queued: self.queue.len() as u64,
            dropped: self.queue.dropped(),
            latency_us: self.latency_us.load(Ordering::Relaxed),
        };
        let mut nodes = nodes::of(&core, &inputs, load);
        for (index, sink) in self.sinks.iter().enumerate() {
            nodes::add_sink(&mut nodes, sink.kind(), index, sink.metrics());
        }
        drop(core);
        if let Some(last) = &self.last_metrics {
            last.lock().clone_from(&nodes);
        }
        nodes
    }
}

/// The loop of a rule.
struct Runner {
    shared: Arc<Shared>,
    tasks: Tasks,
    /// Inputs that have not ended.
    open: usize,
    /// Functions users brought may block.
    own_thread: bool,
    /// The inputs, if some are lookup tables whose sources are asked.
    asked: Option<(Arc<Program>, Vec<Arc<Stream>>)>,
    /// Since the last checkpoint; none with `qos` 0.
    epoch: Option<Epoch>,
}

impl Runner {
    async fn run(mut self) {
        let mut inbox = Inbox::new();
        let mut out = Vec::new();
        loop {
            let timer = self.shared.core.lock().next_timer();
            tokio::select! {
                biased;
                () = self.tasks.cancelled() => break,
                () = self.shared.queue.ready() => {}
                () = until(timer) => {}
            }
            match self.asked.clone() {
                None => {
                    let begun = Instant::now();
                    let items = self.turn(&mut inbox, &mut out);
                    self.shared.worked(begun, items);
                }
                // Boxed: few rules have it, and all would be larger by it.
                Some((program, streams)) => {
                    Box::pin(self.asking_turn(&program, &streams, &mut inbox, &mut out)).await;
                }
            }
            for emission in out.drain(..) {
                self.send(emission).await;
            }
            if self.open == 0 {
                break;
            }
        }
        let ended = if self.open == 0 { RuleStatus::Done } else { RuleStatus::Stopped };
        self.shared.inputs.iter().for_each(|(_, attachment)| attachment.detach());
        self.shared.queue.clear();
        self.shared.sinks.iter().for_each(|sink| sink.end());
        self.shared.end(ended);
    }

    /// Works on everything that waits, then on the clock. Answers how many items there were.
    fn turn(&mut self, inbox: &mut Inbox, out: &mut Vec<Emission>) -> u64 {
        self.shared.queue.drain(inbox);
        let items = inbox.len() as u64;
        let mut core = self.shared.core.lock();
        for item in inbox.drain(..) {
            if self.own_thread {
                if self.tasks.is_cancelled() {
                    item.abandon();
                    continue;
                }
                // Others get the core between two calls.
                MutexGuard::bump(&mut core);
            }
            if let Item::Barrier(barrier) = item {
                self.epoch = self.shared.checkpoint(self.epoch.take(), &core, *barrier, out);
                continue;
            }
            let before = out.len();
            let ack = work(&mut core, &mut self.open, item, out);
            // What the row caused directly must be safe before it is acknowledged; what a window or the watermark keeps is state.
            out[before..].iter_mut().for_each(|emission| emission.acks.extend(ack.clone()));
        }
        // Where nothing can be due the clock is not looked at: among thousands of rules that would cost as much as the rows.
        if core.next_timer().is_some() {
            core.advance(clock::now_ms(), out);
        }
        drop(core);
        settle(inbox);
        items
    }

    /// As [`Runner::turn`] for a rule with lookup tables: what an item causes is joined and sent before the next one.
    async fn asking_turn(
        &mut self,
        program: &Program,
        streams: &[Arc<Stream>],
        inbox: &mut Inbox,
        out: &mut Vec<Emission>,
    ) {
        self.shared.queue.drain(inbox);
        while let Some(item) = inbox.pop_front() {
            if self.tasks.is_cancelled() {
                item.abandon();
                continue;
            }
            let shared = self.shared.clone();
            if let Item::Barrier(barrier) = item {
                self.epoch = shared.checkpoint(self.epoch.take(), &shared.core.lock(), *barrier, out);
                continue;
            }
            let ack = work(&mut shared.core.lock(), &mut self.open, item, out);
            if !self.look_up(program, streams, out).await {
                ack.iter().for_each(Ack::fail);
            }
            out.iter_mut().for_each(|emission| emission.acks.extend(ack.clone()));
            for emission in out.drain(..) {
                self.send(emission).await;
            }
        }
        self.shared.core.lock().advance(clock::now_ms(), out);
        self.look_up(program, streams, out).await;
        settle(inbox);
    }

    /// Joins what waits for lookup tables; false if the rule was stopped meanwhile.
    async fn look_up(&self, program: &Program, streams: &[Arc<Stream>], out: &mut Vec<Emission>) -> bool {
        loop {
            let Some(waiting) = self.shared.core.lock().next_waiting() else { return true };
            let joined = tokio::select! {
                joined = lookup::join(program, streams, waiting.rows, &waiting.context) => joined,
                () = self.tasks.cancelled() => return false,
            };
            self.shared.core.lock().joined(waiting.range, joined, out);
        }
    }

    async fn wait_for(&self, sink: &SinkTask) {
        tokio::select! {
            () = sink.wait_for_space() => {}
            () = self.tasks.cancelled() => {}
        }
    }

    /// Hands an emission to every sink; they share its rows. With `qos` a full sink holds the rule up.
    async fn send(&self, mut emission: Emission) {
        emission.acks.extend(self.epoch.as_ref().map(|epoch| epoch.token.clone()));
        let emission = Arc::new(emission);
        for sink in &self.shared.sinks {
            if sink.push(emission.clone()) {
                // Boxed, as all that a rule rarely does: its task waits most of the time, and there may be very many.
                Box::pin(self.wait_for(sink)).await;
            }
        }
    }
}

impl Drop for Runner {
    /// Also after a panic nobody waits in vain.
    fn drop(&mut self) {
        self.shared.end(RuleStatus::Stopped);
    }
}

/// The operators' part of an item; answers its token. `open` counts the inputs that have not ended.
fn work(core: &mut Core, open: &mut usize, item: Item, out: &mut Vec<Emission>) -> Option<Ack> {
    match item {
        Item::Row(input, row, ack) => {
            let now = row.at;
            core.push(input, row, now, out);
            ack
        }
        Item::Error(text, ack) => {
            core.fail_to_read(&text, clock::now_ms(), out);
            ack
        }
        Item::End => {
            *open = open.saturating_sub(1);
            None
        }
        // Not here: it needs the runner.
        Item::Barrier(_) => None,
    }
}

/// Drives a rule whose functions may block on a thread that no other rule waits for.
async fn on_own_thread(runner: Runner) {
    let runtime = tokio::runtime::Handle::current();
    let (done, ended) = oneshot::channel::<()>();
    let spawned = std::thread::Builder::new().name("rule".into()).spawn(move || {
        runtime.block_on(runner.run());
        drop(done);
    });
    match spawned {
        // An error is how the end of the thread is told.
        Ok(_) => drop(ended.await),
        Err(error) => tracing::error!(%error, "a rule that calls users' functions got no thread and does not run"),
    }
}

/// Sleeps until a time on the wall clock; for ever without one.
async fn until(timer: Option<i64>) {
    match timer {
        Some(at) => {
            let wait = u64::try_from(at - clock::now_ms()).unwrap_or(0);
            Box::pin(tokio::time::sleep(Duration::from_millis(wait))).await;
        }
        None => std::future::pending().await,
    }
}
