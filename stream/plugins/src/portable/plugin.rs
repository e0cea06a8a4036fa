//! A plugin in use: its handle, the symbols that run, and the actor that keeps its process alive.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use edgeward_service::{Backoff, Counter, Tasks};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::conversation::Conversation;
use super::process::Process;
use super::{Options, Spec, check_name};
use crate::error::{PluginError, Result};

static RESTARTS: Counter =
    Counter::new("edgeward_plugins_process_failures_total", "plugin processes that died or did not start");

/// Commands that may wait for a plugin.
const COMMANDS: usize = 64;

/// What a symbol is, in the words of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    /// A source.
    Source,
    /// A sink.
    Sink,
    /// A function.
    Func,
}

/// Where in a rule a symbol runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The rule.
    pub rule_id: String,
    /// Its operator.
    pub op_id: String,
    /// The operator's instance.
    pub instance_id: u32,
}

impl Meta {
    /// Names of files are made of these: they must be plain.
    ///
    /// # Errors
    /// The rule's or the operator's id is no plain name.
    pub fn check(&self) -> Result<()> {
        check_name(&self.rule_id)?;
        check_name(&self.op_id)
    }

    /// `RULE_OP_INSTANCE`, the name of its socket.
    pub(super) fn channel(&self) -> String {
        format!("{}_{}_{}", self.rule_id, self.op_id, self.instance_id)
    }
}

/// What a process is told of a symbol it shall run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// Name of the symbol.
    pub symbol_name: String,
    /// Where it runs.
    pub meta: Meta,
    /// What it is.
    pub plugin_type: SymbolKind,
    /// DATASOURCE of a source. The SDKs write the key in small letters.
    #[serde(rename = "datasource", skip_serializing_if = "Option::is_none")]
    pub data_source: Option<String>,
    /// Its properties.
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// How a plugin is doing, as `GET /plugins/portables/{name}/status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Symbols that run, by rule.
    pub ref_count: BTreeMap<String, usize>,
    /// `initializing`, `running`, `stop` or `error`.
    pub status: &'static str,
    /// Why, after an error.
    pub err_msg: String,
    /// The process; 0 when there is none.
    pub pid: u32,
}

type Key = (SymbolKind, String, Meta);

enum Command {
    Start(Box<Control>, oneshot::Sender<Result<()>>),
    Stop(Key),
}

/// A plugin in use. Clones are the same plugin; its process ends with [`Plugin::close`] or with the tasks it was opened under.
#[derive(Debug, Clone)]
pub struct Plugin {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    pub(super) tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    spec: Spec,
    options: Arc<Options>,
    status: Mutex<Status>,
}

/// A symbol that runs; dropping it stops the symbol.
#[derive(Debug)]
pub struct Running {
    key: Key,
    commands: mpsc::Sender<Command>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.commands.try_send(Command::Stop(self.key.clone())).is_err() {
            tracing::debug!(symbol = self.key.1, "a plugin's symbol is not told to stop: its plugin is gone or stuck");
        }
    }
}

impl Plugin {
    /// Makes a plugin usable. Its process starts with its first symbol.
    pub fn open(spec: Spec, options: Arc<Options>, tasks: &Tasks) -> Plugin {
        let tasks = tasks.child(format!("plugin {}", spec.name));
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let status = Mutex::new(Status { status: "stop", ..Status::default() });
        let shared = Arc::new(Shared { spec, options, status });
        let actor = Actor { shared: shared.clone(), inbox, running: BTreeMap::new(), tasks: tasks.clone() };
        tasks.spawn("plugin", actor.run());
        Plugin { shared, commands, tasks }
    }

    /// What its package says.
    pub fn spec(&self) -> &Spec {
        &self.shared.spec
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Arc<Options> {
        &self.shared.options
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// Starts a symbol, and the process before if there is none; it is started again when the process had to be.
    ///
    /// # Errors
    /// The process does not start or refuses the symbol; the symbol's names are not plain.
    pub async fn start(&self, control: Control) -> Result<Running> {
        control.meta.check()?;
        let key = (control.plugin_type, control.symbol_name.clone(), control.meta.clone());
        let (answer, answered) = oneshot::channel();
        let gone = || PluginError::Process { name: self.spec().name.clone(), reason: "its process ended".into() };
        self.commands.send(Command::Start(Box::new(control), answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())??;
        Ok(Running { key, commands: self.commands.clone() })
    }

    /// Ends the process and everything that belongs to the plugin.
    pub async fn close(&self) {
        self.tasks.shutdown(super::process::GRACE * 2).await;
    }
}

struct Actor {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    running: BTreeMap<Key, Control>,
    tasks: Tasks,
}

impl Actor {
    async fn run(mut self) {
        let options = self.shared.options.clone();
        let mut backoff = Backoff::new(options.restart.0, options.restart.1);
        let mut command = None;
        loop {
            if self.running.is_empty() && command.is_none() {
                let next = tokio::select! {
                    next = self.inbox.recv() => next,
                    () = self.tasks.cancelled() => None,
                };
                let Some(next) = next else { break };
                // Nothing runs, so there is nothing to stop.
                command = Some(next).filter(|next| matches!(next, Command::Start(..)));
                continue;
            }
            let started = Instant::now();
            let Err(error) = self.session(&mut command).await else { break };
            RESTARTS.inc();
            tracing::warn!(plugin = self.shared.spec.name, %error, "a plugin's process failed");
            let text = error.to_string();
            if let Some(Command::Start(_, answer)) = command.take() {
                // Whoever gave up waiting does not need to know.
                let _ = answer.send(Err(error));
            }
            self.report("error", text, 0);
            if started.elapsed() > options.restart.1 {
                backoff.reset();
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = self.tasks.cancelled() => break,
            }
        }
        self.report("stop", String::new(), 0);
    }

    /// One life of the process. `Ok` when the plugin is to end.
    async fn session(&mut self, command: &mut Option<Command>) -> Result<()> {
        let (shared, tasks) = (self.shared.clone(), self.tasks.clone());
        let Shared { spec, options, .. } = &*shared;
        let path = socket(options, &format!("plugin_{}", spec.name));
        // Made anew for each life: what an earlier process still sends must not be taken for the new one's.
        let mut talk = Conversation::listen(spec.name.clone(), path, &options.socket, &tasks)?;
        let mut process = Process::spawn(spec, options, &tasks)?;
        self.report("initializing", String::new(), process.id());
        let id = process.id();
        let ended = tokio::select! {
            ended = self.serve(&mut talk, command, id) => ended,
            reason = process.ended() => {
                Err(PluginError::Process { name: spec.name.clone(), reason })
            }
            () = tasks.cancelled() => Ok(()),
        };
        process.stop().await;
        ended
    }

    async fn serve(&mut self, talk: &mut Conversation, command: &mut Option<Command>, id: u32) -> Result<()> {
        talk.reset();
        talk.ready(self.shared.options.init_timeout).await?;
        self.report("running", String::new(), id);
        for control in self.running.values() {
            unless_stuck(self.tell(talk, "start", control).await)?;
        }
        loop {
            let next = match command.take() {
                Some(command) => command,
                None => match self.inbox.recv().await {
                    Some(next) => next,
                    None => return Ok(()),
                },
            };
            match next {
                Command::Start(control, answer) => {
                    let told = self.tell(talk, "start", &control).await;
                    if told.is_ok() && !answer.is_closed() {
                        let key = (control.plugin_type, control.symbol_name.clone(), control.meta.clone());
                        self.running.insert(key, *control);
                    }
                    let stuck = matches!(
                        told,
                        Err(PluginError::Timeout { .. } | PluginError::Process { .. } | PluginError::Socket(_))
                    );
                    let again = stuck.then(|| self.late());
                    let _ = answer.send(told);
                    again.map_or(Ok(()), Err)?;
                }
                Command::Stop(key) => {
                    if let Some(control) = self.running.remove(&key) {
                        unless_stuck(self.tell(talk, "stop", &control).await)?;
                    }
                }
            }
            self.report("running", String::new(), id);
        }
    }

    fn late(&self) -> PluginError {
        PluginError::Timeout { name: self.shared.spec.name.clone(), limit: self.shared.options.recv_timeout }
    }

    async fn tell(&self, talk: &mut Conversation, command: &str, control: &Control) -> Result<()> {
        let name = &self.shared.spec.name;
        let bad = |error: serde_json::Error| PluginError::Package(error.to_string());
        let arg = serde_json::to_string(control).map_err(bad)?;
        let text = serde_json::to_vec(&serde_json::json!({"cmd": command, "arg": arg})).map_err(bad)?;
        let limit = self.shared.options.recv_timeout.max(self.shared.options.send_timeout);
        let answer = talk.ask(Bytes::from(text), limit).await?;
        if answer == "ok" {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&answer).into_owned();
        Err(PluginError::Refused { name: name.clone(), reason })
    }

    fn report(&self, status: &'static str, error: String, pid: u32) {
        let mut rules = BTreeMap::new();
        for (_, _, meta) in self.running.keys() {
            *rules.entry(meta.rule_id.clone()).or_default() += 1;
        }
        *self.shared.status.lock() = Status { ref_count: rules, status, err_msg: error, pid };
    }
}

/// What a process says of one symbol is no reason to end it; only silence is.
fn unless_stuck(told: Result<()>) -> Result<()> {
    match told {
        Err(PluginError::Refused { name, reason }) => {
            tracing::warn!(plugin = name, reason, "a plugin refused a command");
            Ok(())
        }
        other => other,
    }
}

/// The file of a socket.
pub(super) fn socket(options: &Options, name: &str) -> PathBuf {
    options.sockets.join(format!("{name}.ipc"))
}
