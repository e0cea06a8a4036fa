//! Rows of a query, asked for again and again.

use std::sync::Arc;

use edgeward_engine::{Emitter, Map, Message, Reset, Source, SourceContext, SourceError, Value};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::config::{Query, SourceConfig};
use super::database::Database;

pub(super) struct SqlSource {
    pub(super) config: SourceConfig,
    pub(super) database: Database,
    /// Rows carry the values of the indexes before their answer and their place in it.
    pub(super) rewinds: bool,
    /// Values of indexes that `reset_state` has set, until the next query.
    pub(super) asked: Arc<Mutex<Map>>,
    /// Rows of the next answer that the rule has already.
    pub(super) seen: usize,
}

impl Source for SqlSource {
    fn run(mut self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, position } = context;
            self.seen = position.and_then(|position| self.rewind(&position)).unwrap_or(0);
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

    fn reset(&self) -> Option<Reset> {
        let (names, asked) = (self.config.indexes.clone(), self.asked.clone());
        Some(Arc::new(move |input| {
            if let Some(unknown) = input.keys().find(|key| names.iter().all(|index| index.name != ***key)) {
                return Err(format!("{unknown} is not an index field of the source"));
            }
            asked.lock().extend(input.clone());
            Ok(())
        }))
    }
}

impl SqlSource {
    /// Goes back to the indexes of a position; answers how many rows beyond them are known.
    fn rewind(&mut self, position: &Value) -> Option<usize> {
        let [Value::Map(values), Value::Int(seen)] = position.as_array()? else { return None };
        self.set(values);
        usize::try_from(*seen).ok()
    }

    fn set(&mut self, values: &Map) {
        for index in &mut self.config.indexes {
            if let Some(value) = values.get(index.name.as_str()) {
                index.value = value.clone();
            }
        }
    }

    /// The values of the indexes, which a query goes on from.
    fn values(&self) -> Map {
        self.config.indexes.iter().map(|index| (Arc::from(&*index.name), index.value.clone())).collect()
    }

    /// The position behind so many rows of the answer that begins at these indexes.
    fn position(&self, indexes: Value, rows: usize) -> Option<Value> {
        let rewinds = self.rewinds && !self.config.indexes.is_empty();
        rewinds.then(|| Value::array(vec![indexes, Value::Int(rows as i64)]))
    }

    /// Emits the new rows of one query.
    async fn poll(&mut self, emitter: &Emitter) {
        let asked = std::mem::take(&mut *self.asked.lock());
        if !asked.is_empty() {
            self.set(&asked);
            self.seen = 0;
        }
        let before = Value::map(self.values());
        let rows = match self.question() {
            Ok(sql) => self.database.query(sql).await.map_err(|failure| failure.text().to_owned()),
            Err(reason) => Err(reason),
        };
        emitter.connection(self.database.state());
        match rows {
            Ok(rows) => {
                let (last, seen) = (rows.len(), std::mem::take(&mut self.seen));
                for (number, row) in (1..).zip(rows) {
                    self.config.indexes.iter_mut().for_each(|index| index.advance(&row));
                    if number <= seen {
                        continue;
                    }
                    let position = match number == last {
                        // The whole answer is behind the indexes now: rows that are deleted meanwhile do not matter.
                        true => self.position(Value::map(self.values()), 0),
                        false => self.position(before.clone(), number),
                    };
                    emitter.emit(Message { position, ..Message::row(row) }).await;
                }
            }
            Err(reason) => emitter.error(&reason),
        }
    }

    fn question(&self) -> Result<String, String> {
        match &self.config.query {
            Query::Table { table, limit } => self.config.place.dialect().beyond(table, *limit, &self.config.indexes),
            Query::Text(template) => template.render(&Value::map(self.values())),
        }
    }
}
