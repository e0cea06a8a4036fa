//! Sends the rows.

use edgeward_engine::{Connection, Message, Source, SourceContext, SourceError, Value};
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;

pub(super) struct SimulatorSource {
    pub(super) config: Config,
    /// Rows carry how many of the data were sent.
    pub(super) rewinds: bool,
}

impl Source for SimulatorSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, position } = context;
            emitter.connection(Connection::Connected);
            let mut ticks = interval(self.config.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let send = async {
                let sent = position.and_then(|position| usize::try_from(position.as_i64()?).ok());
                let mut sent = sent.filter(|sent| *sent <= self.config.rows.len()).unwrap_or(0);
                loop {
                    while let Some(row) = self.config.rows.get(sent) {
                        ticks.tick().await;
                        sent += 1;
                        let message = Message::payload(row.clone());
                        emitter.emit(if self.rewinds { message.at(Value::Int(sent as i64)) } else { message }).await;
                    }
                    if !self.config.looped {
                        return;
                    }
                    sent = 0;
                }
            };
            tokio::select! {
                () = send => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}
