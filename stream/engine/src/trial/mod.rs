//! Rules on a virtual clock: no tasks, no network, the same core.

mod case;
mod values;

pub use case::{Case, CaseError, Outcome};
pub use values::{CaseValueError, from_json};

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::Core;
use crate::queue::Queue;
use crate::rule::stream_filter;
use crate::source::Message;
use crate::stream::{Attachment, Item};
use crate::{Emission, EngineError, Plan, Stream};

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
    emissions: Vec<Emission>,
}

/// The part that a restart replaces.
struct Running {
    core: Core,
    queue: Arc<Queue<Item>>,
    _attachments: Vec<Attachment>,
}

impl Trial {
    /// Starts a rule at `start` (ms since 1970) over streams of its plan's definitions.
    ///
    /// # Errors
    /// The statement does not compile.
    pub fn start(id: &str, plan: Plan, start: i64) -> Result<Trial, EngineError> {
        let streams: Vec<Arc<Stream>> = plan.inputs().map(|definition| Stream::new(definition.clone(), None)).collect();
        let running = Running::new(id, &plan, &streams, start, None)?;
        Ok(Trial { id: id.into(), plan, streams, running, now: start, checkpoint: None, emissions: Vec::new() })
    }

    /// Delivers a message to every input of that stream at `at`, after the timers due before it.
    pub fn push(&mut self, stream: &str, message: Message, at: i64) {
        self.tick_until(at.saturating_sub(1));
        self.now = self.now.max(at);
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

    /// Keeps the state as of now.
    pub fn checkpoint(&mut self) {
        self.checkpoint = Some(self.running.core.snapshot());
    }

    /// Ends the rule as kill -9 would and starts it from its last checkpoint, or from nothing with qos 0.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn restart(&mut self) -> Result<(), EngineError> {
        let saved = self.checkpoint.clone().filter(|_| self.plan.options().qos >= 1);
        self.running = Running::new(&self.id, &self.plan, &self.streams, self.now, saved.as_deref())?;
        Ok(())
    }

    /// The messages to the sinks since the last call.
    pub fn take(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.emissions)
    }

    fn deliver(&mut self) {
        let mut inbox = VecDeque::new();
        self.running.queue.drain(&mut inbox);
        for item in inbox {
            match item {
                Item::Row(input, row, _) => self.running.core.push(input, row, self.now, &mut self.emissions),
                Item::Error(text, _) => {
                    self.running.core.context.now = self.now;
                    self.running.core.fail(&text, &mut self.emissions);
                }
                Item::End => {}
            }
        }
    }

    fn tick_until(&mut self, to: i64) {
        for _ in 0..MAX_TICKS {
            let Some(due) = self.running.core.next_timer().filter(|due| *due <= to) else { return };
            self.now = self.now.max(due);
            self.running.core.advance(due, &mut self.emissions);
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
        Ok(Running { core, queue, _attachments: attachments })
    }
}
