use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::StoreError;
use crate::database::translate;

/// Connections for reading. In WAL mode they see the last commit and never wait for the writer; without a file there is one
/// connection, which the writer shares.
pub(crate) struct Readers {
    path: PathBuf,
    free: Mutex<Vec<Arc<Mutex<Connection>>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, connections: Vec<Arc<Mutex<Connection>>>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Self { path, free: Mutex::new(connections), permits }
    }

    /// Runs `read` on a blocking thread, in one read transaction.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.run_plain(|connection| in_transaction(connection, read)).await
    }

    /// Runs `read` on a blocking thread, without a transaction around it.
    pub(crate) async fn run_plain<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let work = move || {
            // One permit per connection, held to the end even if the caller leaves: its holder finds one free.
            let _permit = permit;
            let connection = readers.free.lock().pop().ok_or(StoreError::Closed)?;
            let result = read(&connection.lock());
            readers.free.lock().push(connection);
            result.map_err(|error| match error {
                ReadError::Store(error) => error,
                ReadError::Sqlite(error) => translate(&readers.path, &error),
            })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
    }
}

/// A read fails in SQLite, or in what it asks for.
pub(crate) enum ReadError {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn in_transaction<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let transaction = connection.unchecked_transaction()?;
    let result = read(&transaction)?;
    transaction.finish()?;
    Ok(result)
}
