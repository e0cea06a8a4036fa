//! What a sink keeps for a peer that cannot take it yet: first in memory, then in pages on disk, the oldest first out.
//!
//! A message taken from a page stays on disk until the whole page has been sent, so that the end of the program costs
//! repetitions and never messages that had been acknowledged. What is in memory only keeps its tokens.

mod pages;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::Emission;
use edgeward_service::Counter;

use super::options::bounded;
use crate::{ConnectError, Props};
pub(crate) use pages::{Folder, forget};

static DROPPED: Counter =
    Counter::new("edgeward_connect_cache_dropped_total", "messages of sink caches lost because the cache was full");
static FAILED: Counter =
    Counter::new("edgeward_connect_cache_failures_total", "pages of sink caches that could not be written or read");

/// Properties of the cache, with eKuiper's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheOptions {
    /// Most messages in memory.
    pub(crate) memory: usize,
    /// Most messages on disk; the oldest page is given up beyond that.
    pub(crate) disk: usize,
    /// Messages of a page.
    pub(crate) page: usize,
    /// Pause between two tries.
    pub(crate) interval: Duration,
    /// Nothing survives the stop of the rule.
    pub(crate) clean: bool,
    /// How what failed is sent again beside what is new; none keeps one order for all.
    pub(crate) alter: Option<Alter>,
}

/// Properties of a queue of its own for what is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alter {
    /// Less than 0: new messages first; more than 0: old ones first.
    pub(crate) priority: i64,
    /// Column that is set to true in rows sent again.
    pub(crate) indicator: Option<String>,
    /// Topic or address they go to instead.
    pub(crate) destination: Option<String>,
}

impl CacheOptions {
    /// Reads the properties; none without `enableCache`.
    pub(super) fn read(props: &Props) -> Result<Option<CacheOptions>, ConnectError> {
        let size = |key, default| -> Result<usize, ConnectError> {
            Ok(usize::try_from(bounded(props, key, default, 0..=1_000_000_000)?).unwrap_or(usize::MAX))
        };
        let options = CacheOptions {
            memory: size("memoryCacheThreshold", 1_024)?,
            disk: size("maxDiskCache", 1_024_000)?,
            page: size("bufferPageSize", 256)?,
            interval: Duration::from_millis(props.duration_ms("resendInterval")?.unwrap_or(0)),
            clean: props.flag("cleanCacheAtStop")?,
            alter: Alter::read(props)?,
        };
        if !props.flag("enableCache")? {
            return Ok(None);
        }
        options.check().map(|()| Some(options))
    }

    fn check(&self) -> Result<(), ConnectError> {
        let bad = |key, reason: &str| Err(ConnectError::Invalid { key, reason: reason.to_owned() });
        match self {
            _ if self.page == 0 => bad("bufferPageSize", "bufferPageSize must be positive"),
            _ if self.page > 1_000_000 => bad("bufferPageSize", "bufferPageSize must be at most 1000000"),
            _ if self.page > self.memory => {
                bad("memoryCacheThreshold", "memoryCacheThreshold must be greater than or equal to bufferPageSize")
            }
            _ if !self.memory.is_multiple_of(self.page) => {
                bad("memoryCacheThreshold", "memoryCacheThreshold must be a multiple of bufferPageSize")
            }
            _ if self.page > self.disk => bad("maxDiskCache", "maxDiskCache must be greater than bufferPageSize"),
            _ if !self.disk.is_multiple_of(self.page) => {
                bad("maxDiskCache", "maxDiskCache must be a multiple of bufferPageSize")
            }
            _ => Ok(()),
        }
    }
}

impl Alter {
    fn read(props: &Props) -> Result<Option<Alter>, ConnectError> {
        let priority = match props.get("resendPriority") {
            None => 0,
            Some(value) => value.as_i64().filter(|priority| (-1..=1).contains(priority)).ok_or_else(|| {
                ConnectError::Invalid { key: "resendPriority", reason: format!("{value} is not -1, 0 or 1") }
            })?,
        };
        let text = |key| Ok::<_, ConnectError>(props.raw_text(key)?.map(str::to_owned));
        let alter =
            Alter { priority, indicator: text("resendIndicatorField")?, destination: text("resendDestination")? };
        Ok(props.flag("resendAlterQueue")?.then_some(alter))
    }
}

/// The messages of one sink.
pub(super) struct Store {
    options: CacheOptions,
    folder: Option<Folder>,
    /// The oldest ones.
    head: VecDeque<Arc<Emission>>,
    /// The page the head was read from; it is deleted when the head is empty.
    loaded: Option<i64>,
    /// Pages on disk, the loaded one not among them.
    pages: VecDeque<i64>,
    /// The newest ones, less than a page, if the head is full.
    tail: Vec<Arc<Emission>>,
}

impl Store {
    /// Opens the cache with what an earlier run left on disk. Blocks.
    pub(super) fn open(options: CacheOptions, place: Option<PathBuf>) -> Store {
        let folder = place.and_then(|place| Folder::open(&place).map_err(|error| failure("open", &error)).ok());
        let pages = folder.as_ref().map(|folder| folder.pages().unwrap_or_default()).unwrap_or_default();
        Store { options, folder, head: VecDeque::new(), loaded: None, pages: pages.into(), tail: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.pages.is_empty() && self.tail.is_empty()
    }

    /// Whether the next step will not touch the disk.
    pub(super) fn is_in_memory(&self) -> bool {
        let room = self.head.len() < self.options.memory;
        self.loaded.is_none() && self.pages.is_empty() && self.tail.is_empty() && (room || self.folder.is_none())
    }

    /// Adds the newest message. Blocks when a page is full.
    pub(super) fn push(&mut self, emission: Arc<Emission>) {
        if self.pages.is_empty() && self.tail.is_empty() && self.head.len() < self.options.memory {
            return self.head.push_back(emission);
        }
        if self.folder.is_none() {
            if let Some(oldest) = self.head.pop_front() {
                oldest.fail();
                DROPPED.inc();
            }
            return self.head.push_back(emission);
        }
        self.tail.push(emission);
        if self.tail.len() >= self.options.page {
            self.flush_tail();
        }
    }

    /// Makes a page of the tail. A disk that fails costs these messages, and whoever waits for them hears it.
    fn flush_tail(&mut self) {
        let number = self.pages.back().copied().or(self.loaded).map_or(0, |last| last + 1);
        let (Some(folder), false) = (&self.folder, self.tail.is_empty()) else { return };
        match folder.write(number, &self.tail) {
            Ok(()) => self.pages.push_back(number),
            Err(error) => {
                failure("write", &error);
                DROPPED.add(self.tail.len() as u64);
                self.tail.iter().for_each(|emission| emission.fail());
            }
        }
        self.tail.clear();
        while self.pages.len() * self.options.page > self.options.disk {
            let Some(oldest) = self.pages.pop_front() else { return };
            let _ = folder.delete(oldest).map_err(|error| failure("delete", &error));
            DROPPED.add(self.options.page as u64);
        }
    }

    /// The oldest message. Blocks when it is on disk.
    pub(super) fn front(&mut self) -> Option<Arc<Emission>> {
        while self.head.is_empty() {
            self.unload();
            let Some(number) = self.pages.pop_front() else {
                self.head.extend(self.tail.drain(..));
                break;
            };
            let Some(folder) = &self.folder else { break };
            match folder.read(number) {
                Ok(page) => self.head.extend(page.into_iter().map(Arc::new)),
                Err(error) => failure("read", &error),
            }
            self.loaded = Some(number);
        }
        self.head.front().cloned()
    }

    /// The oldest message was sent, or will never be.
    pub(super) fn pop(&mut self) {
        self.head.pop_front();
        if self.head.is_empty() {
            self.unload();
        }
    }

    fn unload(&mut self) {
        if let (Some(number), Some(folder)) = (self.loaded.take(), &self.folder) {
            let _ = folder.delete(number).map_err(|error| failure("delete", &error));
        }
    }

    /// The rule stops: puts everything on disk, or forgets everything. Blocks.
    pub(super) fn close(&mut self) {
        let Some(folder) = &self.folder else { return };
        if self.options.clean {
            let mut all = self.loaded.take().into_iter().chain(self.pages.drain(..));
            let _ = all.try_for_each(|number| folder.delete(number)).map_err(|error| failure("delete", &error));
            return;
        }
        if !self.head.is_empty() {
            let number = self.loaded.or_else(|| self.pages.front().map(|first| first - 1)).unwrap_or(0);
            let head = self.head.make_contiguous();
            match folder.write(number, head) {
                Ok(()) => {
                    self.head.clear();
                    if self.pages.is_empty() {
                        self.loaded = Some(number);
                    }
                }
                Err(error) => failure("write", &error),
            }
        }
        self.flush_tail();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Neither sent nor on disk: whoever waits for it must hear that.
        self.head.iter().chain(&self.tail).for_each(|emission| emission.fail());
    }
}

fn failure(what: &str, error: &io::Error) {
    FAILED.inc();
    tracing::error!(what, %error, "the cache of a sink failed");
}
