//! Sends the rows.

use edgeward_engine::{Connection, Message, Source, SourceContext, SourceError};
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;

pub(super) struct SimulatorSource {
    pub(super) config: Config,
}

impl Source for SimulatorSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            emitter.connection(Connection::Connected);
            let mut ticks = interval(self.config.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let send = async {
                loop {
                    for row in &self.config.rows {
                        ticks.tick().await;
                        emitter.emit(Message::payload(row.clone())).await;
                    }
                    if !self.config.looped {
                        return;
                    }
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
