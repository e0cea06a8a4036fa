//! Rows as rows of a table. The rows of one message are written together or not at all.

use edgeward_engine::{Connection, Emission, Map, Sink, SinkError, Value};
use futures::future::BoxFuture;

use super::config::SinkConfig;
use super::database::Database;
use super::dialect::statements;
use crate::SinkOptions;

pub(super) struct SqlSink {
    pub(super) config: SinkConfig,
    /// Without `fields`: the column that says what is to be done need not be one of them.
    pub(super) options: SinkOptions,
    pub(super) database: Database,
}

impl SqlSink {
    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        let sent = self.options.rows(emission)?;
        let mut all = Vec::new();
        // Rows for one table after another go together.
        let mut pending: (String, Vec<&Map>) = Default::default();
        for row in &sent {
            let table = self.config.table.for_sink(&row.data())?;
            if table != pending.0 {
                self.flush(&mut pending, &mut all)?;
                pending.0 = table;
            }
            self.rows_of(&row.fields, &mut pending.1)?;
        }
        self.flush(&mut pending, &mut all)?;
        match all.is_empty() {
            true => Ok(()),
            false => self.database.execute(all).await.map_err(SinkError::from),
        }
    }

    fn flush(&self, pending: &mut (String, Vec<&Map>), all: &mut Vec<String>) -> Result<(), SinkError> {
        let rows = std::mem::take(&mut pending.1);
        if !rows.is_empty() {
            all.extend(statements(&self.config, &pending.0, &rows).map_err(SinkError::Rejected)?);
        }
        Ok(())
    }

    /// The row itself, or what it holds under `tableDataField`.
    fn rows_of<'a>(&self, row: &'a Map, out: &mut Vec<&'a Map>) -> Result<(), SinkError> {
        let Some(field) = &self.config.data_field else {
            out.push(row);
            return Ok(());
        };
        let refused = || SinkError::Rejected(format!("the column {field} holds no rows"));
        match row.get(field.as_str()) {
            Some(Value::Map(inner)) => out.push(inner),
            Some(Value::Array(items)) => {
                for item in items.iter() {
                    out.push(item.as_map().ok_or_else(refused)?);
                }
            }
            _ => return Err(refused()),
        }
        Ok(())
    }
}

impl Sink for SqlSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.database.state())
    }
}
