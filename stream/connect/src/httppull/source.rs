//! Answers as payloads.

use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{Connection, Emitter, Map, Message, Source, SourceContext, SourceError, Value};
use edgeward_service::clock;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;
use crate::http::Failure;

pub(super) struct PullSource {
    pub(super) config: Config,
    /// Answers carry the states they leave.
    pub(super) rewinds: bool,
}

impl Source for PullSource {
    fn run(mut self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, position } = context;
            let mut ticks = interval(self.config.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut past = Past { values: self.config.states.clone(), answer: Value::Nil };
            position.iter().for_each(|position| past.rewind(position));
            let pull = async {
                loop {
                    ticks.tick().await;
                    self.pull(&emitter, &mut past).await;
                }
            };
            tokio::select! {
                () = pull => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

/// What the requests before leave for the next one.
struct Past {
    /// States, `PullTime` and `LastPullTime`.
    values: Map,
    /// The SHA-256 of the last answer, of an incremental source.
    answer: Value,
}

impl Past {
    fn position(&self) -> Value {
        Value::array(vec![Value::map(self.values.clone()), self.answer.clone()])
    }

    fn rewind(&mut self, position: &Value) {
        if let Some([Value::Map(values), answer]) = position.as_array() {
            self.values.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
            self.answer = answer.clone();
        }
    }

    fn begin(&mut self) {
        let now = Value::Int(clock::now_ms());
        let last = self.values.insert("PullTime".into(), now.clone()).unwrap_or(now);
        self.values.insert("LastPullTime".into(), last);
    }

    /// Takes the states from an answer: of several rows the last one that has them.
    fn update(&mut self, names: &Map, answer: &[u8]) {
        let Ok(answer) = parse(answer, Numbers::Float) else { return };
        let single = std::slice::from_ref(&answer);
        for row in answer.as_array().unwrap_or(single).iter().filter_map(Value::as_map) {
            let known = names.keys().filter_map(|name| Some((name.clone(), row.get(name)?.clone())));
            self.values.extend(known);
        }
    }
}

impl PullSource {
    async fn pull(&mut self, emitter: &Emitter, past: &mut Past) {
        past.begin();
        let data = Value::map(past.values.clone());
        let reply = match self.config.body.render(&data) {
            Ok(body) => self.config.request.request(body.as_bytes(), &data).await,
            Err(error) => Err(Failure::Bad(error)),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => {
                emitter.connection(Connection::Disconnected(failure.text().to_owned()));
                return emitter.error(failure.text());
            }
        };
        emitter.connection(Connection::Connected);
        if self.config.incremental {
            let answer = Value::bytes(Sha256::digest(&reply.body).to_vec());
            if past.answer == answer {
                return;
            }
            past.answer = answer;
        }
        if !self.config.states.is_empty() {
            past.update(&self.config.states, &reply.body);
        }
        let position = self.rewinds.then(|| past.position());
        emitter.emit(Message { position, ..Message::payload(reply.body) }).await;
    }
}
