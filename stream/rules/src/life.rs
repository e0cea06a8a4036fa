//! The life of a rule: its states, and what starts and ends it (section 4.2 of eKuiper's rules).
//!
//! Whoever changes the state of a rule holds its `commands`, so that what is asked while a rule starts or stops waits for
//! that, and a rule that stops slowly holds up no other.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::RuleStatus;
use edgeward_service::{Tasks, clock};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use crate::definition::{Brief, Definition};
use crate::error::{Code, Result, RulesError};
use crate::registry::Registry;
use crate::run::Run;
use crate::schedule::{Phase, Schedule};
use crate::store::Store;

/// A rule and how it is doing.
pub(crate) struct Rule {
    kept: RwLock<Kept>,
    pub(crate) life: Mutex<Life>,
    /// Held while the rule is started, stopped or changed.
    pub(crate) commands: tokio::sync::Mutex<()>,
    /// What starts the rule again: its schedule, or its restart strategy.
    driver: Mutex<Option<Tasks>>,
}

/// What is known of a rule at all times. What else its document says is read when it is needed, so that thousands of rules at
/// rest are small.
struct Kept {
    document: Arc<str>,
    schedule: Option<Arc<Schedule>>,
}

impl Kept {
    fn new(definition: &Definition) -> Kept {
        Kept { document: definition.stored().into(), schedule: definition.schedule.clone().map(Arc::new) }
    }
}

/// How a rule is doing.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) state: State,
    /// What ended the last run.
    pub(crate) message: String,
    pub(crate) last_start: i64,
    pub(crate) last_stop: i64,
    /// Errors that ended a run since someone started the rule.
    failures: u32,
    /// The present run, or the last one for its counters.
    pub(crate) run: Option<Arc<Run>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    #[default]
    Stopped,
    Starting,
    Running,
    Stopping,
    StoppedByError,
    /// Between two runs of a schedule.
    Scheduled,
}

impl State {
    /// The text of `status`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::StoppedByError => "stopped by error",
            State::Scheduled => "stopped: waiting for next schedule.",
        }
    }
}

impl Rule {
    pub(crate) fn new(definition: &Definition) -> Arc<Rule> {
        Arc::new(Rule {
            kept: RwLock::new(Kept::new(definition)),
            life: Mutex::default(),
            commands: tokio::sync::Mutex::default(),
            driver: Mutex::default(),
        })
    }

    /// The document as it is kept.
    pub(crate) fn document(&self) -> Arc<str> {
        self.kept.read().document.clone()
    }

    /// When it runs; none for always.
    pub(crate) fn schedule(&self) -> Option<Arc<Schedule>> {
        self.kept.read().schedule.clone()
    }

    pub(crate) fn redefine(&self, definition: &Definition) {
        *self.kept.write() = Kept::new(definition);
    }

    fn ended(&self, state: State, message: &str) {
        let mut life = self.life.lock();
        life.state = state;
        life.message = message.to_owned();
        life.last_stop = clock::now_ms();
    }

    /// Whether this is its run, and nobody has ended it.
    fn is_running(&self, run: &Arc<Run>) -> bool {
        let life = self.life.lock();
        life.state == State::Running && life.run.as_ref().is_some_and(|known| Arc::ptr_eq(known, run))
    }

    /// Lets nothing start the rule any more.
    fn undrive(&self) {
        if let Some(driver) = self.driver.lock().take() {
            driver.token().cancel();
        }
    }
}

impl Registry {
    /// Starts a rule because someone asked for it, now or by its schedule.
    pub(crate) fn engage(self: &Arc<Self>, rule: &Arc<Rule>, definition: &Definition) -> Result<()> {
        rule.undrive();
        rule.life.lock().failures = 0;
        let Some(schedule) = rule.schedule() else { return self.launch(rule, definition) };
        let node = self.driver(rule);
        let (registry, rule, driver) = (self.clone(), rule.clone(), node.clone());
        rule.life.lock().state = State::Scheduled;
        node.spawn_until_cancelled("rule-schedule", async move { registry.drive(&rule, &schedule, &driver).await });
        Ok(())
    }

    fn driver(&self, rule: &Rule) -> Tasks {
        let node = self.world.tasks.child("rule-driver");
        *rule.driver.lock() = Some(node.clone());
        node
    }

    /// Starts and stops a rule by its schedule until nothing is left of it.
    async fn drive(self: &Arc<Self>, rule: &Arc<Rule>, schedule: &Schedule, driver: &Tasks) {
        let since = clock::now_ms();
        let mut will = "schedule terminated";
        loop {
            match schedule.phase(clock::now_ms(), since, &self.zone()) {
                Phase::Over => return rule.ended(State::Stopped, will),
                Phase::Wait(until) => {
                    rule.life.lock().state = State::Scheduled;
                    sleep_until(until).await;
                }
                Phase::Run(until, last_will) => {
                    will = last_will;
                    self.launch_by(rule, driver).await;
                    sleep_until(until).await;
                    let _commands = rule.commands.lock().await;
                    if driver.is_cancelled() {
                        return;
                    }
                    self.end_run(rule, last_will).await;
                }
            }
        }
    }

    /// Starts a rule on behalf of its driver, unless someone stopped it meanwhile.
    async fn launch_by(self: &Arc<Self>, rule: &Arc<Rule>, driver: &Tasks) {
        let _commands = rule.commands.lock().await;
        if driver.is_cancelled() {
            return;
        }
        if let Err(error) = self.definition(rule).and_then(|definition| self.launch(rule, &definition)) {
            tracing::error!(rule = Brief::read(&rule.document()).id, %error, "rule cannot be started");
        }
    }

    /// Runs a failed rule again, if its restart strategy asks for it. Scheduled rules wait for their schedule.
    fn restart_later(self: &Arc<Self>, rule: &Arc<Rule>, definition: &Definition) {
        let Some(strategy) = definition.restart.as_ref().filter(|_| definition.schedule.is_none()) else { return };
        let failures = {
            let mut life = rule.life.lock();
            life.failures = life.failures.saturating_add(1);
            life.failures
        };
        let pause = strategy.pause(failures, rand::random(), self.patrol);
        let node = self.driver(rule);
        let (registry, rule, driver) = (self.clone(), rule.clone(), node.clone());
        node.spawn_until_cancelled("rule-patrol", async move {
            tokio::time::sleep(pause).await;
            registry.launch_by(&rule, &driver).await;
        });
    }

    /// Runs a rule; what its end leads to is done when it ends.
    fn launch(self: &Arc<Self>, rule: &Arc<Rule>, definition: &Definition) -> Result<()> {
        rule.life.lock().state = State::Starting;
        let run = match self.world.start(definition) {
            Ok(run) => Arc::new(run),
            Err(error) => {
                rule.ended(State::StoppedByError, &error.to_string());
                self.restart_later(rule, definition);
                return Err(error);
            }
        };
        {
            let mut life = rule.life.lock();
            life.state = State::Running;
            life.message = String::new();
            life.last_start = clock::now_ms();
            life.run = Some(run.clone());
        }
        if definition.options.qos > 0 {
            self.save_states(rule, &run, definition);
        }
        // The run belongs to the rule: what waits for its end keeps neither.
        let (registry, rule, ended) = (self.clone(), Arc::downgrade(rule), Arc::downgrade(&run));
        run.handle.when_ended(move |status| {
            let (Some(rule), Some(run)) = (rule.upgrade(), ended.upgrade()) else { return };
            if rule.is_running(&run) {
                let tasks = registry.world.tasks.clone();
                tasks.spawn_until_cancelled("rule-end", async move { registry.run_ended(&rule, &run, status).await });
            }
        });
        Ok(())
    }

    /// Keeps checkpoints of a run from time to time, until it is stopped.
    fn save_states(&self, rule: &Arc<Rule>, run: &Arc<Run>, definition: &Definition) {
        let interval = u64::try_from(definition.options.checkpoint_interval).unwrap_or(0);
        let interval = Duration::from_millis(interval).max(SHORTEST);
        let (store, id) = (self.world.store.clone(), definition.id.clone());
        let (rule, saved) = (Arc::downgrade(rule), Arc::downgrade(run));
        run.tasks.spawn_until_cancelled("rule-checkpoints", async move {
            loop {
                tokio::time::sleep(interval).await;
                let (Some(rule), Some(run)) = (rule.upgrade(), saved.upgrade()) else { return };
                let Some(state) = run.handle.checkpoint().await else { return };
                // Nothing is kept of a run that is being ended: what comes next may want no state.
                let _commands = rule.commands.lock().await;
                if rule.is_running(&run) {
                    keep(&store, &id, state).await;
                }
            }
        });
    }

    /// `reset_state`: moves the source of a stream that a running rule reads.
    pub(crate) fn reset(&self, id: &str, stream: &str, input: &Value) -> Result<()> {
        let rule = self.get(id)?;
        let life = rule.life.lock();
        match &life.run {
            Some(run) if life.state == State::Running => run.reset(stream, input),
            _ => Err(RulesError::refused(Code::Rule, format!("rule {id} should be running when modify state"))),
        }
    }

    /// Notes that a run has ended by itself.
    async fn run_ended(self: &Arc<Self>, rule: &Arc<Rule>, run: &Arc<Run>, status: RuleStatus) {
        let _commands = rule.commands.lock().await;
        if !rule.is_running(run) {
            return;
        }
        rule.life.lock().state = State::Stopping;
        run.stop().await;
        let Some(error) = run.failure(status) else {
            // The next run is over the input as a whole.
            if let Err(error) = self.world.store.forget_state(&Brief::read(&rule.document()).id).await {
                tracing::error!(%error, "cannot delete the state of a rule that is done");
            }
            return rule.ended(State::Stopped, "done");
        };
        rule.ended(State::StoppedByError, &error);
        if let Ok(definition) = self.definition(rule) {
            self.restart_later(rule, &definition);
        }
    }

    /// Stops a rule if it runs or waits for its next run.
    pub(crate) async fn halt(&self, rule: &Rule, message: &str) {
        rule.undrive();
        if rule.life.lock().state == State::Scheduled {
            rule.ended(State::Stopped, message);
        }
        self.end_run(rule, message).await;
    }

    async fn end_run(&self, rule: &Rule, message: &str) {
        let run = {
            let mut life = rule.life.lock();
            if life.state != State::Running {
                return;
            }
            // From here on the run's end leaves the rule alone.
            life.state = State::Stopping;
            life.run.clone()
        };
        if let Some(run) = run {
            if let Some(id) = &run.saves
                && let Some(state) = run.last_checkpoint().await
            {
                keep(&self.world.store, id, state).await;
            }
            run.stop().await;
        }
        rule.ended(State::Stopped, message);
    }
}

/// Shortest time between two checkpoints: each is a write to the disk.
const SHORTEST: Duration = Duration::from_millis(10);

async fn keep(store: &Store, id: &str, state: Vec<u8>) {
    if let Err(error) = store.save_state(id, state).await {
        tracing::error!(rule = id, %error, "cannot save the state of a rule; the last one stays");
    }
}

/// How far a sleep may be off when the wall clock is set: a node without a battery learns the time late.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Sleeps until a time on the wall clock, ms since 1970.
async fn sleep_until(at: i64) {
    while let Ok(left) = u64::try_from(at - clock::now_ms())
        && left > 0
    {
        tokio::time::sleep(Duration::from_millis(left).min(CLOCK_CHECK)).await;
    }
}
