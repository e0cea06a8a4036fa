//! Rows of a query, asked for again and again.

use std::sync::Arc;

use edgeward_engine::{Emitter, Message, Source, SourceContext, SourceError, Value};
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::config::{Query, SourceConfig};
use super::database::Database;

pub(super) struct SqlSource {
    pub(super) config: SourceConfig,
    pub(super) database: Database,
}

impl Source for SqlSource {
    fn run(mut self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            let mut ticks = interval(self.config.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let poll = async {
                loop {
                    ticks.tick().await;
                    self.poll(&emitter).await;
                }
            };
            tokio::select! {
                () = poll => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

impl SqlSource {
    async fn poll(&mut self, emitter: &Emitter) {
        let rows = match self.question() {
            Ok(sql) => self.database.query(sql).await.map_err(|failure| failure.text().to_owned()),
            Err(reason) => Err(reason),
        };
        emitter.connection(self.database.state());
        match rows {
            Ok(rows) => {
                for row in rows {
                    self.config.indexes.iter_mut().for_each(|index| index.advance(&row));
                    emitter.emit(Message::row(row)).await;
                }
            }
            Err(reason) => emitter.error(&reason),
        }
    }

    fn question(&self) -> Result<String, String> {
        match &self.config.query {
            Query::Table { table, limit } => self.config.place.dialect().beyond(table, *limit, &self.config.indexes),
            Query::Text(template) => {
                let values = self.config.indexes.iter().map(|index| (Arc::from(&*index.name), index.value.clone()));
                template.render(&Value::map(values.collect()))
            }
        }
    }
}
