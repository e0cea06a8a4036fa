//! Rows by key.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{Connection, Map, SourceError};
use futures::future::BoxFuture;

use super::config::DataType;
use super::resp::{Reply, command};
use super::sink::Link;
use crate::lookup::Pool;
use crate::rowkind::plain;
use crate::{LookupQuery, LookupSource};

pub(super) struct RedisLookup {
    pub(super) links: Pool<Link>,
    pub(super) data_type: DataType,
}

impl RedisLookup {
    async fn ask(&self, query: LookupQuery<'_>) -> Result<Vec<Arc<Map>>, String> {
        let ([_], [key]) = (query.keys, query.values) else {
            return Err(format!("redis lookup only support one key, but got [{}]", query.keys.join(" ")));
        };
        let (key, mut out) = (plain(key), Vec::new());
        match self.data_type {
            DataType::Text => command(&[b"GET", key.as_bytes()], &mut out),
            DataType::List => command(&[b"LRANGE", key.as_bytes(), b"0", b"-1"], &mut out),
        }
        let mut link = self.links.take().await;
        let replies = link.client.calls(&out, 1).await;
        let state = link.client.state.clone();
        self.links.put(link, state);
        match replies.map_err(|failure| failure.text().to_owned())?.into_iter().next() {
            Some(Reply::Bulk(text)) => Ok(vec![row(&text)?]),
            Some(Reply::Array(items)) => items.iter().map(item).collect(),
            _ => Ok(Vec::new()),
        }
    }
}

fn item(item: &Reply) -> Result<Arc<Map>, String> {
    match item {
        Reply::Bulk(text) => row(text),
        _ => Err("redis lookup: an item of the list is no text".to_owned()),
    }
}

fn row(text: &Bytes) -> Result<Arc<Map>, String> {
    let value = parse(text, Numbers::Float).map_err(|error| format!("redis lookup: {error}"))?;
    value.as_map().cloned().ok_or_else(|| "redis lookup: the value is no JSON object".to_owned())
}

impl LookupSource for RedisLookup {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        Box::pin(async move { self.ask(query).await.map_err(SourceError) })
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.links.state())
    }
}
