//! A database of any kind, connected to when it is first used.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Connection, Map};

use super::dialect::Dialect;
use super::mysql;
use super::place::Place;
use super::postgres;
use super::sqlite::Sqlite;
use crate::wire::Failure;

/// How long a database may say nothing while it works on a statement.
pub(super) const WORK: Duration = Duration::from_secs(60);
/// Most bytes of the rows of one answer.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// Rows of an answer.
pub(super) type Rows = Vec<Arc<Map>>;

enum Client {
    Sqlite(Sqlite),
    Postgres(postgres::Client),
    Mysql(mysql::Client),
}

impl Client {
    async fn connect(place: &Place) -> Result<Client, Failure> {
        match place {
            Place::File(path) => Sqlite::open(path.clone()).await.map(Client::Sqlite),
            Place::Server(server) if server.dialect == Dialect::Mysql => {
                mysql::Client::connect(server).await.map(Client::Mysql)
            }
            Place::Server(server) => postgres::Client::connect(server).await.map(Client::Postgres),
        }
    }

    fn is_quiet(&mut self) -> bool {
        match self {
            Client::Sqlite(_) => true,
            Client::Postgres(client) => client.is_quiet(),
            Client::Mysql(client) => client.is_quiet(),
        }
    }
}

/// A database and the connection to it.
pub(super) struct Database {
    place: Place,
    client: Option<Client>,
    state: Connection,
}

impl Database {
    pub(super) fn new(place: Place) -> Database {
        Database { place, client: None, state: Connection::Connecting }
    }

    pub(super) fn state(&self) -> Connection {
        self.state.clone()
    }

    /// The rows of a query.
    pub(super) async fn query(&mut self, sql: String) -> Result<Rows, Failure> {
        self.work(vec![sql]).await
    }

    /// Carries out statements, all or none of them.
    pub(super) async fn execute(&mut self, statements: Vec<String>) -> Result<(), Failure> {
        self.work(statements).await.map(drop)
    }

    async fn work(&mut self, statements: Vec<String>) -> Result<Rows, Failure> {
        let done = self.try_work(statements).await;
        self.state = match &done {
            Err(Failure::Passing(reason)) => Connection::Disconnected(reason.clone()),
            _ => Connection::Connected,
        };
        done
    }

    async fn try_work(&mut self, statements: Vec<String>) -> Result<Rows, Failure> {
        // Taken out, so that a question that is given up closes its connection.
        let kept = self.client.take().map(|mut client| (client.is_quiet(), client));
        let mut client = match kept {
            Some((true, client)) => client,
            _ => Client::connect(&self.place).await?,
        };
        let done = match &mut client {
            Client::Sqlite(client) => client.work(statements).await,
            Client::Postgres(client) => client.work(&statements).await,
            Client::Mysql(client) => client.work(&statements).await,
        };
        if !matches!(done, Err(Failure::Passing(_))) {
            self.client = Some(client);
        }
        done
    }
}
