//! Rules on a virtual clock: no tasks, no network, the same core.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::Core;
use crate::metrics::NodeMetrics;
use crate::queue::Queue;
use crate::rule::stream_filter;
use crate::source::Message;
use crate::stream::{Attachment, Item};
use crate::{Decode, Emission, EngineError, Plan, Stream, TableKind, nodes};

/// Most timers fired without an input between them; a rule that ticks for ever would never end otherwise.
const MAX_TICKS: usize = 10_000_000;

/// A rule whose clock stands still until it is moved.
pub struct Trial {
    id: String,
    plan: Plan,
    streams: Vec<Arc<Stream>>,
    running: Running,
    now: i64,
    checkpoint: Option<Vec<u8>>,
    /// When the next checkpoint is due by the rule's own interval.
    next_checkpoint: i64,
    /// What was delivered since the last checkpoint, to be delivered again by a restart.
    delivered: Vec<(String, Message)>,
    /// What tables held before the first input.
    contents: Vec<(String, Message)>,
    emissions: Vec<Emission>,
}

/// The part that a restart replaces.
struct Running {
    core: Core,
    queue: Arc<Queue<Item>>,
    attachments: Vec<Attachment>,
}

/// Gives the decoder of a stream by its name; none is JSON's.
pub type DecoderOf<'a> = dyn FnMut(&str) -> Result<Option<Box<dyn Decode>>, EngineError> + 'a;

impl Trial {
    /// Starts a rule at `start` (ms since 1970) over streams of its plan's definitions.
    ///
    /// # Errors
    /// The statement does not compile.
    pub fn start(id: &str, plan: Plan, start: i64) -> Result<Trial, EngineError> {
        Trial::start_with(id, plan, start, &mut |_| Ok(None))
    }

    /// The same with decoders by the names of streams; none is JSON's.
    ///
    /// # Errors
    /// The statement does not compile, or a decoder's own.
    pub fn start_with(id: &str, plan: Plan, start: i64, decoder: &mut DecoderOf<'_>) -> Result<Trial, EngineError> {
        let streams: Result<Vec<Arc<Stream>>, EngineError> =
            plan.inputs().map(|definition| Ok(Stream::new(definition.clone(), decoder(&definition.name)?))).collect();
        let streams = streams?;
        let running = Running::new(id, &plan, &streams, start, None)?;
        Ok(Trial {
            id: id.into(),
            next_checkpoint: start.saturating_add(plan.options().checkpoint_interval.max(1)),
            plan,
            streams,
            running,
            now: start,
            checkpoint: None,
            delivered: Vec::new(),
            contents: Vec::new(),
            emissions: Vec::new(),
        })
    }

    /// Adds to what a table holds before the first input. A source that begins anew brings it again.
    pub fn fill(&mut self, table: &str, message: Message) {
        self.deliver_to(table, &message);
        self.contents.push((table.to_string(), message));
    }

    /// Delivers a message to every input of that stream at `at`, after the timers due before it.
    pub fn push(&mut self, stream: &str, message: Message, at: i64) {
        self.tick_until(at.saturating_sub(1));
        self.now = self.now.max(at);
        if self.plan.options().qos >= 1 {
            self.delivered.push((stream.to_string(), message.clone()));
        }
        self.deliver_to(stream, &message);
    }

    fn deliver_to(&mut self, stream: &str, message: &Message) {
        for input in self.streams.iter().filter(|input| input.definition().name == stream) {
            input.push_at(message.clone(), self.now);
        }
        self.deliver();
    }

    /// Moves the clock to `to`, firing every timer up to and including it.
    pub fn advance(&mut self, to: i64) {
        self.tick_until(to);
        self.now = self.now.max(to);
    }

    /// Keeps the state as of `at`, after the timers due before it.
    pub fn checkpoint_at(&mut self, at: i64) {
        self.tick_until(at.saturating_sub(1));
        self.now = self.now.max(at);
        self.save();
    }

    fn save(&mut self) {
        self.checkpoint = Some(self.running.core.snapshot(&self.streams, &[]));
        self.delivered.clear();
    }

    /// At `at` ends the rule as kill -9 would and starts it from its last checkpoint, or from nothing with qos 0. What was
    /// delivered after the checkpoint is delivered again.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn restart_at(&mut self, at: i64) -> Result<(), EngineError> {
        self.tick_until(at.saturating_sub(1));
        self.now = self.now.max(at);
        let saved = self.checkpoint.clone().filter(|_| self.plan.options().qos >= 1);
        let new = Running::new(&self.id, &self.plan, &self.streams, self.now, saved.as_deref())?;
        let old = std::mem::replace(&mut self.running, new);
        let again = if saved.is_some() { &self.delivered } else { &self.contents };
        let is_lookup = |(name, _): &&(String, Message)| {
            let table = self.plan.inputs().find(|input| input.name == *name).and_then(|input| input.table.as_ref());
            table.is_some_and(|table| table.kind == TableKind::Lookup)
        };
        let again: Vec<(String, Message)> = again.iter().filter(|again| !is_lookup(again)).cloned().collect();
        for (table, old) in self.running.core.tables.iter_mut().zip(old.core.tables) {
            if let (Some(table), Some(old)) = (table, old) {
                table.keep_lookup(old);
            }
        }
        again.iter().for_each(|(stream, message)| self.deliver_to(stream, message));
        Ok(())
    }

    /// The messages to the sinks since the last call.
    pub fn take(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.emissions)
    }

    /// Flat metrics as a JSON object, under the names that a rule's status shows.
    pub fn status_json(&self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("status".into(), "running".into());
        object.insert("message".into(), "".into());
        object.extend(self.nodes().iter().flat_map(nodes::describe));
        serde_json::Value::Object(object).to_string()
    }

    /// `{sources, edges}` of the plan's nodes as a JSON object.
    pub fn topology_json(&self) -> String {
        nodes::topology(&self.nodes()).to_string()
    }

    /// The nodes of the plan, before the memory sink that stands for all.
    fn nodes(&self) -> Vec<NodeMetrics> {
        let received = self.running.attachments.iter().map(Attachment::received);
        let inputs: Vec<_> =
            self.streams.iter().zip(received).map(|(stream, received)| nodes::Input::of(stream, received)).collect();
        let mut nodes = nodes::of(&self.running.core, &inputs, nodes::Load::default());
        let metrics = &self.running.core.metrics;
        let sink = NodeMetrics {
            name: "sink_memory_0_0".into(),
            records_in: metrics.emitted,
            records_out: metrics.emitted,
            processed: metrics.emitted,
            last_invocation: nodes::last_output(&self.running.core),
            ..NodeMetrics::default()
        };
        nodes::add_sink(&mut nodes, "memory", 0, sink);
        nodes
    }

    fn deliver(&mut self) {
        let mut inbox = VecDeque::new();
        self.running.queue.drain(&mut inbox);
        for item in inbox {
            match item {
                Item::Row(input, row, _) => self.running.core.push(input, row, self.now, &mut self.emissions),
                Item::Error(text, _) => {
                    self.running.core.fail_to_read(&text, self.now, &mut self.emissions);
                }
                Item::End | Item::Barrier(_) => {}
            }
        }
    }

    fn tick_until(&mut self, to: i64) {
        for _ in 0..MAX_TICKS {
            let checkpoint = (self.plan.options().qos >= 1).then_some(self.next_checkpoint).filter(|due| *due <= to);
            let timer = self.running.core.next_timer().filter(|due| *due <= to);
            let due = match (timer, checkpoint) {
                (None, None) => return,
                (Some(timer), checkpoint) if checkpoint.is_none_or(|checkpoint| timer <= checkpoint) => timer,
                (_, checkpoint) => {
                    self.now = self.now.max(checkpoint.unwrap_or(self.now));
                    self.save();
                    self.next_checkpoint = self.now.saturating_add(self.plan.options().checkpoint_interval.max(1));
                    continue;
                }
            };
            // After a restart something may be overdue: it happens now.
            self.now = self.now.max(due);
            self.running.core.advance(self.now, &mut self.emissions);
        }
    }
}

impl Running {
    fn new(
        id: &str,
        plan: &Plan,
        streams: &[Arc<Stream>],
        now: i64,
        saved: Option<&[u8]>,
    ) -> Result<Running, EngineError> {
        let program = Arc::new(plan.compile(&mut |input, column| {
            streams.get(input).and_then(|stream| stream.slots(std::iter::once(column)).pop()).unwrap_or_default()
        })?);
        let mut core = Core::new(program.clone(), plan, id, now);
        if let Some(saved) = saved {
            core.restore(saved, streams)?;
        }
        // Nothing is dropped on a virtual clock: the queue is drained after each input.
        let queue = Arc::new(Queue::new(usize::MAX, false));
        let attach = |(input, stream): (usize, &Arc<Stream>)| {
            let filter = stream_filter(&program, &core.context);
            stream.attach(input, filter, queue.clone())
        };
        let attachments = streams.iter().enumerate().map(attach).collect();
        Ok(Running { core, queue, attachments })
    }
}
