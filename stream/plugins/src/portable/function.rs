//! Functions of portable plugins, as statements call them.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use edgeward_functions::json::{self, Numbers, Printer};
use edgeward_functions::{Args, Context, Error, Value};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::conversation::Conversation;
use super::plugin::{Control, Meta, Plugin, Running, SymbolKind, socket};
use crate::error::{PluginError, Result};

/// Functions belong to no rule; this name stands for all that call them.
pub(crate) const FUNCTIONS_RULE: &str = "edgeward";

/// One function of a plugin. All rules share its channel, as in eKuiper: calls wait for each other.
#[derive(Clone)]
pub struct PortableFunction {
    name: Arc<str>,
    calls: mpsc::Sender<Call>,
    patience: Duration,
}

struct Call {
    body: Bytes,
    answer: SyncSender<Result<Value>>,
}

impl fmt::Debug for PortableFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PortableFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PortableFunction {
    /// Makes a function callable; the plugin's process starts with the first call.
    pub fn open(plugin: &Plugin, name: &str) -> PortableFunction {
        let options = plugin.options();
        let (calls, inbox) = mpsc::channel(options.max_calls);
        // The first call waits for the process too.
        let patience = options.init_timeout + options.send_timeout + options.recv_timeout;
        let actor = Actor { plugin: plugin.clone(), name: name.to_owned(), inbox, talk: None };
        plugin.tasks.spawn_until_cancelled("function", actor.run());
        PortableFunction { name: name.into(), calls, patience }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the function. Blocks the thread until the process has answered or its time is up: call it where that harms
    /// nobody else.
    ///
    /// # Errors
    /// The function's own, a process that does not answer, too many calls that wait.
    pub fn call(&self, args: &Args<'_>, context: &Context) -> Result<Value, Error> {
        let failed = |error: &dyn fmt::Display| Error::call(format!("call func {} error: {error}", self.name));
        let printer = Printer::new(context.zone.clone());
        let body = exec(args, &context.rule_id, &printer).map_err(|error| failed(&error))?;
        self.ask(body).map_err(|error| failed(&error))
    }

    /// Whether the function works on the rows of a group. Blocks as [`PortableFunction::call`] does.
    ///
    /// # Errors
    /// As for [`PortableFunction::call`].
    pub fn is_aggregate(&self) -> Result<bool> {
        let answer = self.ask(Bytes::from_static(br#"{"func":"IsAggregate","arg":null}"#))?;
        Ok(matches!(answer, Value::Bool(true)))
    }

    /// Lets the function check its arguments as the statement has them (JSON of the syntax). Blocks as well.
    ///
    /// # Errors
    /// The function's text, or as for [`PortableFunction::call`].
    pub fn validate(&self, args: &str) -> Result<()> {
        self.ask(Bytes::from(format!(r#"{{"func":"Validate","arg":{args}}}"#))).map(drop)
    }

    fn ask(&self, body: Bytes) -> Result<Value> {
        let busy = |_| PluginError::Limit(format!("function {} has too many calls waiting", self.name));
        let (answer, answered) = sync_channel(1);
        self.calls.try_send(Call { body, answer }).map_err(busy)?;
        let late = |_| PluginError::Timeout { name: self.name.to_string(), limit: self.patience };
        answered.recv_timeout(self.patience).map_err(late)?
    }
}

/// The message of a call: the arguments, and as the last one the place of the call as JSON text.
fn exec(args: &Args<'_>, rule: &str, printer: &Printer) -> Result<Bytes> {
    let mut body = br#"{"func":"Exec","arg":["#.to_vec();
    for arg in args {
        printer.write(arg, &mut body).map_err(|error| PluginError::Limit(error.to_string()))?;
        body.push(b',');
    }
    let mut place = br#"{"ruleId":"#.to_vec();
    json::write_string(rule, &mut place);
    place.extend_from_slice(br#","opId":"op_func","instanceId":0,"funcId":0}"#);
    json::write_string(&String::from_utf8_lossy(&place), &mut body);
    body.extend_from_slice(b"]}");
    Ok(body.into())
}

struct Actor {
    plugin: Plugin,
    name: String,
    inbox: mpsc::Receiver<Call>,
    talk: Option<(Conversation, Running)>,
}

impl Actor {
    async fn run(mut self) {
        while let Some(call) = self.inbox.recv().await {
            let answer = self.serve(call.body).await;
            // Whoever gave up waiting does not need to know.
            let _ = call.answer.try_send(answer);
        }
    }

    async fn serve(&mut self, body: Bytes) -> Result<Value> {
        let limit = self.plugin.options().recv_timeout;
        let name = self.name.clone();
        let answer = self.channel().await?.ask(body, limit).await?;
        read_reply(&name, &answer)
    }

    /// The channel to the function, opened and the function started first if need be.
    async fn channel(&mut self) -> Result<&mut Conversation> {
        if self.talk.is_none() {
            let options = self.plugin.options();
            let path = socket(options, &format!("func_{}", self.name));
            // The process dials while it is told to start the function: the socket must be there before.
            let mut talk = Conversation::listen(self.name.clone(), path, &options.socket, &self.plugin.tasks)?;
            let control = Control {
                symbol_name: self.name.clone(),
                meta: Meta { rule_id: FUNCTIONS_RULE.into(), op_id: self.name.clone(), instance_id: 0 },
                plugin_type: SymbolKind::Func,
                data_source: None,
                config: serde_json::Map::new(),
            };
            let running = self.plugin.start(control).await?;
            talk.ready(options.init_timeout).await?;
            self.talk = Some((talk, running));
        }
        match &mut self.talk {
            Some((talk, _)) => Ok(talk),
            None => Err(PluginError::Unknown(self.name.clone())),
        }
    }
}

/// `{"state":bool,"result":…}`.
fn read_reply(name: &str, text: &[u8]) -> Result<Value> {
    let bad = |reason: String| PluginError::Refused { name: name.to_owned(), reason };
    let reply = json::parse(text, Numbers::Float).map_err(|error| bad(format!("answer is no JSON: {error}")))?;
    let map = reply.as_map().ok_or_else(|| bad("answer is no object".into()))?;
    let result = map.get("result").cloned().unwrap_or_default();
    if matches!(map.get("state"), Some(Value::Bool(true))) {
        return Ok(result);
    }
    let text = match &result {
        Value::Str(text) => text.to_string(),
        other => Printer::new(TimeZone::UTC).text(other).unwrap_or_default(),
    };
    Err(bad(text))
}
