//! Rows of an answer that have the values asked for.

use std::sync::Arc;

use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{Connection, Map, SourceError, Value};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::config::Config;
use crate::lookup::matches;
use crate::{LookupQuery, LookupSource};

/// The values asked for stand for their names in the templates of address and body.
pub(super) struct PullLookup {
    config: Config,
    state: Mutex<Connection>,
}

impl PullLookup {
    pub(super) fn new(config: Config) -> PullLookup {
        PullLookup { config, state: Mutex::new(Connection::Connecting) }
    }

    async fn ask(&self, query: LookupQuery<'_>) -> Result<Vec<Arc<Map>>, String> {
        let mut values = self.config.states.clone();
        values.extend(query.keys.iter().cloned().zip(query.values.iter().cloned()));
        let values = Value::map(values);
        let body = self.config.body.render(&values)?;
        let mut request = self.config.request.clone();
        let reply = request.request(body.as_bytes(), &values).await;
        *self.state.lock() = match &reply {
            Ok(_) => Connection::Connected,
            Err(failure) => Connection::Disconnected(failure.text().to_owned()),
        };
        let reply = reply.map_err(|failure| failure.text().to_owned())?;
        let answer = parse(&reply.body, Numbers::Float).map_err(|error| format!("the answer is no JSON: {error}"))?;
        let rows = match &answer {
            Value::Array(items) => items.iter().filter_map(Value::as_map).cloned().collect(),
            Value::Map(row) => vec![row.clone()],
            _ => Vec::new(),
        };
        Ok(rows.into_iter().filter(|row| matches(row, query)).collect())
    }
}

impl LookupSource for PullLookup {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        Box::pin(async move { self.ask(query).await.map_err(SourceError) })
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.state.lock().clone())
    }
}
