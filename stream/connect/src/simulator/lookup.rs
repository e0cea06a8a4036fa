//! Rows of the configuration by the values of columns.

use std::sync::Arc;

use edgeward_engine::{Map, SourceError};
use futures::future::BoxFuture;

use crate::lookup::matches;
use crate::{LookupQuery, LookupSource};

pub(super) struct SimulatorLookup {
    pub(super) rows: Vec<Arc<Map>>,
}

impl LookupSource for SimulatorLookup {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        let rows = self.rows.iter().filter(|row| matches(row, query)).cloned().collect();
        Box::pin(async { Ok(rows) })
    }
}
