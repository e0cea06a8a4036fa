//! `sql`: rows from and into the tables of SQLite, PostgreSQL and MySQL (MariaDB).
//!
//! Queries and statements are texts, as eKuiper's are, so the clients of the two servers speak the text half of their
//! protocols only; see [`postgres`] and [`mysql`].

mod config;
mod database;
mod dialect;
mod lookup;
mod mysql;
mod place;
mod postgres;
mod sink;
mod source;
mod sqlite;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use edgeward_engine::{Sink, Source};

use self::config::{SinkConfig, SourceConfig};
use self::database::Database;
use self::place::Place;
use crate::lookup::Pool;
use crate::{ConnectError, Hosts, LookupRequest, LookupSource, Props, SinkOptions, SinkRequest, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = SourceConfig::read(&request.props)?;
    let database = Database::new(config.place.clone());
    let rewinds = request.acknowledge;
    Ok(Box::new(source::SqlSource { config, database, rewinds, asked: Arc::default(), seen: 0 }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props)?;
    let database = Database::new(config.place.clone());
    let options = SinkOptions { fields: Vec::new(), ..options };
    Ok(Box::new(sink::SqlSink { config, options, database }))
}

/// As a lookup table; its DATASOURCE is the table.
pub(crate) fn lookup(request: &LookupRequest, _: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    let place = Place::read(&request.props)?;
    if request.datasource.is_empty() {
        return Err(ConnectError::Missing("DATASOURCE"));
    }
    let (dialect, table) = (place.dialect(), request.datasource.clone());
    dialect.name(&table).map_err(|reason| ConnectError::Invalid { key: "DATASOURCE", reason })?;
    Ok(Box::new(lookup::SqlLookup { dialect, table, databases: Pool::new(move || Database::new(place.clone())) }))
}

/// Connects and logs in, and that is all.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<(), ConnectError> {
    let reached = match Place::read(props)? {
        // Opening a file would make it.
        Place::File(_) => Ok(()),
        place => Database::new(place).query("SELECT 1".to_owned()).await.map(drop),
    };
    reached.map_err(|failure| ConnectError::Unreachable(failure.text().to_owned()))
}
