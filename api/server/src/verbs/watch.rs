//! Watches: a response body that is a stream of events, driven by its reader.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_objects::{ApiError, Cause};
use edgeward_store::{Change, Entry, Revision, StoreError, Watch};
use futures::{FutureExt as _, StreamExt as _};
use rand::RngExt as _;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

use super::list;
use super::read::invalid_resource_version;
use crate::call::Call;
use crate::http::media::Form;
use crate::http::reply::Reply;
use crate::limits::WatchPermit;
use crate::render;
use crate::select::Filter;
use crate::tables::Include;

/// Events that are ready together go out together, up to about this many bytes.
const CHUNK: usize = 64 * 1024;
/// Without `timeoutSeconds` a watch lives for this and up to twice as long, as upstream.
const LIFETIME_SECONDS: u64 = 1_800;
/// Marks the end of the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What the parameters ask for.
struct Ask {
    filter: Filter,
    /// Send what exists first.
    initial: bool,
    /// Mark the end of what exists (streaming list).
    mark_end: bool,
    from: Revision,
    bookmarks: bool,
    lifetime: Duration,
}

/// `watch`
pub(crate) async fn watch(call: &Arc<Call>) -> Result<Reply, ApiError> {
    let ask = ask(call)?;
    let permit = call.server.flight.watch(&call.identity.user)?;
    let (entries, from) = if ask.initial {
        let listed = list::everything(call, &ask.filter).await?;
        (listed.entries, listed.revision)
    } else {
        (Vec::new(), ask.from)
    };
    let changes = match call.server.store.watch(call.scope(), from) {
        Ok(changes) => changes,
        // Clients expect this inside the stream: 200 and one ERROR event.
        Err(error @ StoreError::Compacted { .. }) => {
            let event = error_event(&call.refused(error));
            return Ok(Reply::stream(crate::http::media::JSON, futures::stream::once(async { Ok(event) }).boxed()));
        }
        Err(error) => return Err(call.refused(error)),
    };
    let feed = Feed::new(call.clone(), ask, entries, from, changes, permit)?;
    let stream = futures::stream::unfold(feed, |mut feed| async move { Some((Ok(feed.chunk().await?), feed)) });
    Ok(Reply::stream(crate::http::media::JSON, stream.boxed()))
}

fn ask(call: &Call) -> Result<Ask, ApiError> {
    let mut filter = Filter::parse(&call.query, &call.served)?;
    if let Some(name) = &call.path.name {
        filter = filter.and_name(name);
    }
    let text = call.query.get("resourceVersion").unwrap_or("0");
    let from: Revision = text.parse().map_err(|_| invalid_resource_version(text))?;
    let streaming = call.query.has("sendInitialEvents");
    check_streaming(call, streaming)?;
    let send = call.query.flag("sendInitialEvents");
    let current = call.server.store.revision();
    if send && from > current {
        return Err(ApiError::too_large_resource_version(from, current));
    }
    let seconds = match call.query.number::<u64>("timeoutSeconds")?.unwrap_or(0) {
        // Spread out, so that watches opened together do not all come back together.
        0 => LIFETIME_SECONDS + rand::rng().random_range(0..LIFETIME_SECONDS),
        seconds => seconds,
    };
    Ok(Ask {
        filter,
        initial: if streaming { send } else { from == 0 },
        mark_end: send,
        from: if streaming && !send && from == 0 { current } else { from },
        bookmarks: call.query.flag("allowWatchBookmarks"),
        lifetime: Duration::from_secs(seconds.min(7 * 86_400)),
    })
}

fn check_streaming(call: &Call, streaming: bool) -> Result<(), ApiError> {
    let rule = call.query.get("resourceVersionMatch");
    let detail = match (streaming, rule) {
        (true, Some("NotOlderThan")) | (false, None) => return Ok(()),
        (true, _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        (false, Some(_)) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    };
    Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![Cause::forbidden("resourceVersionMatch", detail)]))
}

/// One running watch.
struct Feed {
    call: Arc<Call>,
    filter: Filter,
    include: Include,
    initial: std::vec::IntoIter<Arc<Entry>>,
    /// The revision of the initial events while their end is still to be marked.
    mark_end: Option<Revision>,
    changes: Watch,
    bookmarks: Option<Interval>,
    /// Everything up to here was delivered or does not concern this watch.
    safe: Revision,
    /// Will be safe at the next bookmark: changes up to here have had a whole interval to arrive.
    next_safe: Revision,
    end: Pin<Box<Sleep>>,
    ended: bool,
    _permit: WatchPermit,
}

/// What woke a watch.
enum Wake {
    Change(Option<Result<Change, StoreError>>),
    Bookmark,
    End,
    Shutdown,
}

impl Feed {
    fn new(
        call: Arc<Call>,
        ask: Ask,
        entries: Vec<Arc<Entry>>,
        from: Revision,
        changes: Watch,
        permit: WatchPermit,
    ) -> Result<Self, ApiError> {
        let interval = call.server.options.limits.bookmark_interval;
        let bookmarks = ask.bookmarks.then(|| {
            let mut bookmarks = tokio::time::interval_at(Instant::now() + interval, interval);
            bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            bookmarks
        });
        Ok(Self {
            include: call.include()?,
            filter: ask.filter,
            initial: entries.into_iter(),
            mark_end: ask.mark_end.then_some(from),
            changes,
            bookmarks,
            safe: from,
            next_safe: from,
            end: Box::pin(tokio::time::sleep(ask.lifetime)),
            ended: false,
            call,
            _permit: permit,
        })
    }

    /// The next events, together as one chunk; `None` ends the watch.
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while !self.ended && out.len() < CHUNK {
            if let Some(entry) = self.initial.next() {
                // Old states, rendered for this watch alone: a shared row would show the age it had long ago.
                self.put(&mut out, "ADDED", &entry, false);
            } else if let Some(revision) = self.mark_end.take() {
                self.bookmark(&mut out, revision, true);
            } else if out.is_empty() {
                let wake = self.wake().await;
                self.handle(&mut out, wake);
            } else {
                // What is ready now joins the chunk. The waker of this poll is lost, but the next chunk polls again.
                match self.changes.next().now_or_never() {
                    Some(change) => self.handle(&mut out, Wake::Change(change)),
                    None => break,
                }
            }
        }
        if out.is_empty() { None } else { Some(out.into()) }
    }

    async fn wake(&mut self) -> Wake {
        let bookmarks = &mut self.bookmarks;
        let tick = async {
            match bookmarks {
                Some(interval) => _ = interval.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.call.server.tasks.cancelled() => Wake::Shutdown,
            change = self.changes.next() => Wake::Change(change),
            () = tick => Wake::Bookmark,
            () = &mut self.end => Wake::End,
        }
    }

    fn handle(&mut self, out: &mut Vec<u8>, wake: Wake) {
        match wake {
            Wake::Change(Some(Ok(change))) => {
                self.safe = self.safe.max(change.revision());
                self.change(out, &change);
            }
            Wake::Change(Some(Err(error))) => {
                out.extend_from_slice(&error_event(&self.call.refused(error)));
                self.ended = true;
            }
            Wake::Change(None) | Wake::Shutdown => self.ended = true,
            Wake::Bookmark => {
                self.safe = self.safe.max(self.next_safe);
                self.next_safe = self.call.server.store.revision();
                self.bookmark(out, self.safe, false);
            }
            Wake::End => {
                if self.bookmarks.is_some() {
                    self.bookmark(out, self.safe, false);
                }
                self.ended = true;
            }
        }
    }

    /// Writes the event a change means to this watch's selectors, if any.
    fn change(&self, out: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Put { entry, previous } => {
                let before = previous.as_ref().is_some_and(|previous| self.passes(previous));
                match (before, self.passes(entry)) {
                    (false, true) => self.put(out, "ADDED", entry, true),
                    (true, true) => self.put(out, "MODIFIED", entry, true),
                    (true, false) => {
                        // The last state that was selected, at the revision it left at.
                        let value = previous.as_ref().map_or_else(Bytes::new, |previous| previous.value.clone());
                        self.put(out, "DELETED", &Arc::new(Entry { value, ..Entry::clone(entry) }), false);
                    }
                    (false, false) => {}
                }
            }
            Change::Deleted { entry, previous } => {
                if self.passes(previous) {
                    self.put(out, "DELETED", entry, true);
                }
            }
        }
    }

    fn passes(&self, entry: &Arc<Entry>) -> bool {
        self.filter.is_empty() || self.filter.passes(entry, self.call.server.rendered.state(entry).facets())
    }

    /// Writes one event. States many watches see are rendered once and `shared`.
    fn put(&self, out: &mut Vec<u8>, kind: &str, entry: &Arc<Entry>, shared: bool) {
        let served = &self.call.served;
        let bytes = if shared {
            self.call.server.rendered.state(entry).form(served, self.call.form, self.include)
        } else {
            render::in_form(entry, served, self.call.form, self.include).map(Bytes::from)
        };
        match bytes {
            Ok(bytes) => {
                out.reserve(bytes.len() + 64);
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(b"\",\"object\":");
                out.extend_from_slice(&bytes);
                out.extend_from_slice(b"}\n");
            }
            Err(error) => {
                tracing::error!(%error, key = %entry.key, "cannot render a stored object; it is left out of a watch")
            }
        }
    }

    fn bookmark(&self, out: &mut Vec<u8>, revision: Revision, end_of_initial: bool) {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if end_of_initial {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let served = &self.call.served;
        let object = match self.call.form {
            Form::Full => json!({"kind": served.kind.kind, "apiVersion": served.api_version, "metadata": metadata}),
            Form::Partial => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => crate::tables::table(served, Vec::new(), metadata),
        };
        out.extend_from_slice(json!({"type": "BOOKMARK", "object": object}).to_string().as_bytes());
        out.push(b'\n');
    }
}

fn error_event(error: &ApiError) -> Bytes {
    let event = json!({"type": "ERROR", "object": error.to_status().into_value()});
    (event.to_string() + "\n").into()
}
