use std::sync::Arc;

use edgeward_service::Counter;
use futures::stream::{self, Stream};
use tokio::sync::watch::Receiver;

use crate::feed::{Answer, Feed};
use crate::log;
use crate::readers::Readers;
use crate::{Change, Revision, Scope, StoreError};

/// Changes taken from memory or disk at once: how much one watch may hold.
const STEP: usize = 128;

static EXPIRED: Counter =
    Counter::new("edgeward_store_watches_expired_total", "Watches so slow that compaction overtook them");
static REPLAYED: Counter =
    Counter::new("edgeward_store_replayed_total", "Changes watches read from disk because memory no longer held them");

/// The cursor of one watch.
struct Cursor {
    feed: Arc<Feed>,
    readers: Arc<Readers>,
    news: Receiver<Revision>,
    scope: Scope,
    /// Everything up to here was delivered or is in `ready`.
    seen: Revision,
    ready: std::vec::IntoIter<Change>,
}

/// The changes of a scope above `from`, as long as the store is open.
pub(crate) fn changes(
    feed: Arc<Feed>,
    readers: Arc<Readers>,
    scope: Scope,
    from: Revision,
) -> Result<impl Stream<Item = Result<Change, StoreError>> + Send + 'static, StoreError> {
    let compacted = feed.compacted();
    if from < compacted {
        return Err(StoreError::Compacted { requested: from, compacted });
    }
    let news = feed.subscribe(&scope.resource).ok_or(StoreError::Closed)?;
    let cursor = Cursor { feed, readers, news, scope, seen: from, ready: Vec::new().into_iter() };
    Ok(stream::unfold(Some(cursor), |cursor| async move {
        let mut cursor = cursor?;
        match cursor.next().await {
            Ok(change) => Some((Ok(change), Some(cursor))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Cursor {
    async fn next(&mut self) -> Result<Change, StoreError> {
        loop {
            if let Some(change) = self.ready.next() {
                return Ok(change);
            }
            // Marked seen before looking, so that news arriving meanwhile ends the wait below at once.
            self.news.borrow_and_update();
            match self.feed.after(&self.scope, self.seen, STEP) {
                Answer::Changes(changes, complete) => self.take(changes, complete),
                Answer::Behind => self.replay().await?,
                Answer::Idle => self.news.changed().await.map_err(|_| StoreError::Closed)?,
            }
        }
    }

    fn take(&mut self, changes: Vec<Change>, complete: Revision) {
        self.seen = complete;
        self.ready = changes.into_iter();
    }

    async fn replay(&mut self) -> Result<(), StoreError> {
        let (scope, seen) = (self.scope.clone(), self.seen);
        let (changes, complete) = self
            .readers
            .run(move |connection| {
                let compacted = log::compacted(connection)?;
                if seen < compacted {
                    EXPIRED.inc();
                    return Err(StoreError::Compacted { requested: seen, compacted }.into());
                }
                Ok(log::changes(connection, &scope, seen, STEP)?)
            })
            .await?;
        REPLAYED.add(changes.len() as u64);
        self.take(changes, complete);
        Ok(())
    }
}
