//! Rows of a table by the values of columns.

use std::sync::Arc;

use edgeward_engine::{Connection, Map, SourceError};
use futures::future::BoxFuture;

use super::database::Database;
use super::dialect::Dialect;
use crate::lookup::Pool;
use crate::{LookupQuery, LookupSource};

pub(super) struct SqlLookup {
    pub(super) dialect: Dialect,
    pub(super) table: String,
    pub(super) databases: Pool<Database>,
}

impl SqlLookup {
    async fn ask(&self, query: LookupQuery<'_>) -> Result<Vec<Arc<Map>>, String> {
        let sql = self.dialect.matching(&self.table, query.columns, query.keys, query.values)?;
        let mut database = self.databases.take().await;
        let rows = database.client.query(sql).await;
        let state = database.client.state();
        self.databases.put(database, state);
        rows.map_err(|failure| failure.text().to_owned())
    }
}

impl LookupSource for SqlLookup {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        Box::pin(async move { self.ask(query).await.map_err(SourceError) })
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.databases.state())
    }
}
