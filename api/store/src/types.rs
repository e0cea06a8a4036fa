use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::{Key, Scope, StoreError};

/// Number of a change. The empty store is at revision 1; the first change makes 2. Never reused, never lowered.
pub type Revision = u64;

/// One stored object at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its address.
    pub key: Key,
    /// Its JSON without `metadata.resourceVersion`, which is `revision`.
    pub value: Bytes,
    /// Revision of the write that created it.
    pub created: Revision,
    /// Revision of the write that gave it this value. In [`Change::Deleted`], of the deletion.
    pub revision: Revision,
}

/// What to change. Resolves to the entry as stored, or as it last was.
#[derive(Clone, Debug)]
pub enum Write {
    /// Fails with [`StoreError::Exists`] if the key is taken.
    Create {
        /// Address.
        key: Key,
        /// First value.
        value: Bytes,
    },
    /// Fails with [`StoreError::Conflict`] unless the entry is at `expected`, with [`StoreError::NotFound`] if there is none.
    Update {
        /// Address.
        key: Key,
        /// New value.
        value: Bytes,
        /// Revision the new value was made from.
        expected: Revision,
    },
    /// Fails with [`StoreError::NotFound`] if there is none, with [`StoreError::Conflict`] unless it is at `expected`.
    Delete {
        /// Address.
        key: Key,
        /// Revision the decision was made on; `None` deletes whatever is there.
        expected: Option<Revision>,
        /// The final state for watchers; `None` repeats the last value.
        last: Option<Bytes>,
    },
}

/// One change as a watch delivers it.
#[derive(Clone, Debug)]
pub enum Change {
    /// Created or updated.
    Put {
        /// The new state.
        entry: Arc<Entry>,
        /// The state before, `None` if this created it.
        previous: Option<Arc<Entry>>,
    },
    /// Deleted.
    Deleted {
        /// The final state; its revision is the deletion's.
        entry: Arc<Entry>,
        /// The state before the deletion.
        previous: Arc<Entry>,
    },
}

impl Change {
    /// The new or final state.
    pub fn entry(&self) -> &Arc<Entry> {
        match self {
            Self::Put { entry, .. } | Self::Deleted { entry, .. } => entry,
        }
    }

    /// Revision of the change.
    pub fn revision(&self) -> Revision {
        self.entry().revision
    }
}

/// Which entries to list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Where.
    pub scope: Scope,
    /// A past revision to read; `None` reads the present.
    pub at: Option<Revision>,
    /// Most entries to return; 0 for all.
    pub limit: usize,
    /// Continue behind this key.
    pub after: Option<Key>,
}

/// One page of a list, ordered by key.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Arc<Entry>>,
    /// The revision the whole list reflects.
    pub revision: Revision,
    /// How many entries follow behind this page.
    pub remaining: u64,
}

impl Page {
    /// Whether entries follow behind this page.
    pub fn more(&self) -> bool {
        self.remaining > 0
    }
}

/// A revisioned store. Object safe; all futures are cancel safe, but a write whose future was dropped may still happen.
pub trait Store: Send + Sync + 'static {
    /// The newest revision that is on disk and visible.
    fn revision(&self) -> Revision;

    /// History before this revision is gone: lists and watches may start from it, not from before it.
    fn compacted(&self) -> Revision;

    /// The present state of one object.
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Arc<Entry>>, StoreError>>;

    /// One page of a list, of the present or of a past revision. Fails with [`StoreError::Compacted`] if that past is gone and
    /// with [`StoreError::Future`] if it has not happened.
    fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// Changes one object. Resolves only after the change is durable and visible to reads and watches.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Entry>, StoreError>>;

    /// Every change of a scope with a revision above `from`. `from` may lie in the future. Fails with
    /// [`StoreError::Compacted`] if history does not reach back that far.
    fn watch(&self, scope: Scope, from: Revision) -> Result<Watch, StoreError>;
}

/// The changes of one scope, in order, none left out, none twice. After an error the stream ends.
///
/// A watch holds no queue of its own, so a slow one costs no memory; one so slow that compaction overtakes it ends with
/// [`StoreError::Compacted`].
pub struct Watch(pub(crate) BoxStream<'static, Result<Change, StoreError>>);

impl Stream for Watch {
    type Item = Result<Change, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Watch {
    /// Wraps any stream of changes; for stores of other rooms.
    pub fn new(changes: impl Stream<Item = Result<Change, StoreError>> + Send + 'static) -> Self {
        Self(Box::pin(changes))
    }
}
