use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::database::{self, Database};
use crate::feed::Feed;
use crate::history::History;
use crate::readers::Readers;
use crate::writer::{Request, Writer};
use crate::{Entry, Key, ListQuery, Options, Page, Revision, Scope, Store, StoreError, Watch, Write, log, watch};

/// The store in one SQLite file (WAL, synchronous at commit, one process at a time). Cloning gives another handle.
///
/// Reads need a tokio runtime; writes are made by a thread of the store's own. When the last handle goes, writes that wait
/// are finished, all watches end, and the file is closed.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    feed: Arc<Feed>,
    readers: Arc<Readers>,
    places: Arc<Semaphore>,
    max_value_bytes: usize,
    /// Taken on drop, so that the writer sees the end of its queue.
    queue: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Held for its lock.
    _database: Option<Database>,
}

impl SqliteStore {
    /// Opens or creates the datastore file; its folder must exist. Blocks for the time SQLite needs to recover its log.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let (database, connection) = Database::open(path)?;
        let reader = |_| Ok(Arc::new(Mutex::new(database.reader()?)));
        let readers = (0..options.readers.max(1)).map(reader).collect::<Result<_, StoreError>>()?;
        Self::start(path, Arc::new(Mutex::new(connection)), readers, Some(database), options)
    }

    /// A store that lives as long as its handles, for tests.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with(Options::default())
    }

    /// A store that lives as long as its handles, with other limits.
    pub fn in_memory_with(options: Options) -> Result<Self, StoreError> {
        let connection = Arc::new(Mutex::new(database::in_memory()?));
        Self::start(Path::new(":memory:"), connection.clone(), vec![connection], None, options)
    }

    /// Writes a consistent copy of the present and its history into a new file, while the store goes on working.
    pub async fn snapshot(&self, to: PathBuf) -> Result<(), StoreError> {
        let source = self.0.readers.clone();
        source.run_plain(move |connection| Ok(log::copy(connection, &to.to_string_lossy())?)).await
    }

    fn start(
        path: &Path,
        connection: Arc<Mutex<Connection>>,
        readers: Vec<Arc<Mutex<Connection>>>,
        database: Option<Database>,
        options: Options,
    ) -> Result<Self, StoreError> {
        let (revision, compacted, bytes) =
            read_state(&connection.lock()).map_err(|error| database::translate(path, &error))?;
        let feed = Arc::new(Feed::new(revision, compacted, options.recent_bytes));
        let capacity = options.write_queue.max(1);
        let (queue, requests) = sync_channel(capacity);
        let history = History::new(&options, revision, bytes);
        let max_value_bytes = options.max_value_bytes;
        let writer =
            Writer { path: path.to_owned(), connection, feed: feed.clone(), queue: requests, history, options };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Failed(format!("no thread for the writer: {error}")))?;
        Ok(Self(Arc::new(Inner {
            feed,
            readers: Arc::new(Readers::new(path.to_owned(), readers)),
            places: Arc::new(Semaphore::new(capacity)),
            max_value_bytes,
            queue: Some(queue),
            writer: Some(writer),
            _database: database,
        })))
    }
}

impl Store for SqliteStore {
    fn revision(&self) -> Revision {
        self.0.feed.revision()
    }

    fn compacted(&self) -> Revision {
        self.0.feed.compacted()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Arc<Entry>>, StoreError>> {
        Box::pin(self.0.readers.run(move |connection| Ok(log::get(connection, &key)?)))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(self.0.readers.run(move |connection| {
            let (current, compacted) = (log::revision(connection)?, log::compacted(connection)?);
            let at = query.at.unwrap_or(current);
            if at > current {
                return Err(StoreError::Future { requested: at, current }.into());
            }
            if at < compacted {
                return Err(StoreError::Compacted { requested: at, compacted }.into());
            }
            Ok(log::list(connection, &query, at, at == current)?)
        }))
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Entry>, StoreError>> {
        Box::pin(async move {
            self.0.check_size(&write)?;
            let place = self.0.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
            let (answer, result) = oneshot::channel();
            let queue = self.0.queue.as_ref().ok_or(StoreError::Closed)?;
            // There are as many permits as places, so this is never full.
            queue.try_send(Request { write, answer, _place: place }).map_err(|_| StoreError::Closed)?;
            result.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn watch(&self, scope: Scope, from: Revision) -> Result<Watch, StoreError> {
        watch::changes(self.0.feed.clone(), self.0.readers.clone(), scope, from).map(Watch::new)
    }
}

impl Inner {
    fn check_size(&self, write: &Write) -> Result<(), StoreError> {
        let (key, size) = match write {
            Write::Create { key, value } | Write::Update { key, value, .. } => (key, value.len()),
            Write::Delete { key, last, .. } => (key, last.as_ref().map_or(0, |last| last.len())),
        };
        let limit = self.max_value_bytes;
        if size > limit { Err(StoreError::TooLarge { key: key.clone(), size, limit }) } else { Ok(()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("datastore writer panicked");
        }
    }
}

fn read_state(connection: &Connection) -> rusqlite::Result<(Revision, Revision, u64)> {
    Ok((log::revision(connection)?, log::compacted(connection)?, log::history_bytes(connection)?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edgeward_objects::GroupResource;
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_commit_the_disk_refuses_changes_nothing_and_gives_up_the_history() {
        let store = SqliteStore::in_memory_with(Options { recent_bytes: 0, ..Options::default() }).unwrap();
        let scope = Scope::new(GroupResource::new("", "pods"), None);
        let key = |name: &str| Key::new(scope.resource.clone(), Some("a"), name);
        let value = Bytes::from(vec![b'x'; 50_000]);
        let create = |name: &str| Write::Create { key: key(name), value: value.clone() };
        for name in ["x", "y"] {
            store.write(create(name)).await.unwrap();
        }
        store.write(Write::Delete { key: key("x"), expected: None, last: None }).await.unwrap();
        store.write(Write::Create { key: key("small"), value: "s".into() }).await.unwrap();
        // The connection is the writer's own: to it this is a full disk.
        let full = |connection: &Connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            Ok(connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
        };
        store.0.readers.run_plain(full).await.unwrap();

        let refused = store.write(create("z")).await;
        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
        assert_eq!(store.revision(), 5);
        assert!(store.get(key("z")).await.unwrap().is_none());
        // The deleted value was given up, which makes room for the very write that was refused.
        while store.compacted() < 4 {
            tokio::task::yield_now().await;
        }
        let mut watch = store.watch(scope.clone(), 5).unwrap();
        assert_eq!(store.write(create("z")).await.unwrap().revision, 6);
        assert_eq!(watch.next().await.unwrap().unwrap().revision(), 6);
    }
}
