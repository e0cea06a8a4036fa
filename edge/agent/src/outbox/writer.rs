//! The writing side: one group of appends, one write, one flush.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Tasks, clock};
use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::segment::{self, HEAD_BYTES, Next, Scan, Segment};
use super::{APPENDED, COUNTER_BITS, DAMAGED, DROPPED, EPOCHS, FAILED, Options, Shared, WHAT};
use crate::Error;

/// Most appends of one flush.
const GROUP: usize = 1024;

/// Readings that want to be on disk.
#[derive(Debug)]
pub(super) struct Append {
    /// See [`segment::put_body`].
    pub(super) bodies: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<u64, Error>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// The file that is being written.
pub(super) struct Writer {
    file: File,
    /// Offset behind the last record on disk.
    end: u64,
    /// Number of the next record.
    next: u64,
    /// A failed write may have left bytes behind `end`.
    dirty: bool,
    buffer: Vec<u8>,
    /// Held as long as this process owns the folder.
    _lock: File,
}

impl Writer {
    /// Opens the folder: finds the segments, cuts a torn end off the last one, or begins a new log.
    pub(super) fn open(options: &Options) -> Result<(Self, VecDeque<Segment>, u64), Error> {
        let fail = |error: io::Error| Error::io(WHAT, &options.folder, &error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&options.folder).map_err(fail)?;
        let lock = lock(&options.folder)?;
        let mut segments = list(&options.folder).map_err(fail)?;
        let (file, end, next) = match repair(options, &mut segments).map_err(fail)? {
            Some(opened) => opened,
            None => {
                let first = new_epoch(&segments) << COUNTER_BITS;
                let file = segment::create(&options.folder, first).map_err(fail)?;
                segments.push_back(Segment { first, bytes: HEAD_BYTES, newest_ms: clock::now_ms() });
                (file, HEAD_BYTES, first)
            }
        };
        Ok((Self { file, end, next, dirty: false, buffer: Vec::new(), _lock: lock }, segments, next))
    }

    /// Writes a group, flushes it, and answers.
    fn commit(&mut self, shared: &Shared, group: &mut Vec<Append>) {
        let mut seq = self.next;
        let mut lasts = Vec::with_capacity(group.len());
        self.buffer.clear();
        for append in group.iter() {
            for body in segment::bodies(&append.bodies) {
                segment::put_record(&mut self.buffer, seq, body);
                seq += 1;
            }
            lasts.push(seq - 1);
        }
        let result = self.write().map_err(|error| {
            FAILED.inc();
            self.dirty = true;
            let error = Error::io(WHAT, &shared.options.folder, &error);
            tracing::error!(%error, readings = seq - self.next, "readings could not be kept");
            error
        });
        if result.is_ok() {
            APPENDED.add(seq - self.next);
            self.end += self.buffer.len() as u64;
            self.next = seq;
            shared.written(self.end, seq);
        }
        for (append, last) in group.drain(..).zip(lasts) {
            // Whoever asked may have gone; the reading is kept all the same.
            let _ = append.answer.send(result.clone().map(|()| last));
        }
        // A burst must not leave its buffer behind.
        self.buffer.shrink_to(64 << 10);
    }

    fn write(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.end)?;
            self.dirty = false;
        }
        self.file.write_all_at(&self.buffer, self.end)?;
        self.file.sync_data()
    }

    /// Closes a full segment and enforces the bounds. Returns when the oldest segment expires.
    fn tidy(&mut self, shared: &Shared) -> Instant {
        let now_ms = clock::now_ms();
        let options = &shared.options;
        let full = self.end >= options.segment_bytes;
        let expired = shared.expiry_ms(VecDeque::back) <= now_ms;
        if (full || expired)
            && let Err(error) = self.roll(shared)
        {
            tracing::warn!(%error, "no new segment for the outbox; the present one grows");
        }
        shared.drop_beyond_bounds(now_ms);
        shared.measure();
        let wait = shared.expiry_ms(VecDeque::front).saturating_sub(now_ms).clamp(1_000, 24 * 3_600_000);
        Instant::now() + Duration::from_millis(wait.unsigned_abs())
    }

    fn roll(&mut self, shared: &Shared) -> io::Result<()> {
        self.file = segment::create(&shared.options.folder, self.next)?;
        (self.end, self.dirty) = (HEAD_BYTES, false);
        let segment = Segment { first: self.next, bytes: HEAD_BYTES, newest_ms: clock::now_ms() };
        shared.state.lock().segments.push_back(segment);
        Ok(())
    }
}

/// The writer's task: collects what waits, hands it to a blocking thread, and repeats.
pub(super) async fn run(mut writer: Writer, shared: Arc<Shared>, mut queue: mpsc::Receiver<Append>, tasks: Tasks) {
    let mut group = Vec::new();
    let mut flushed = Instant::now();
    // The bounds may have been lowered while the agent was off.
    let mut expiry = Instant::now();
    loop {
        tokio::select! {
            count = queue.recv_many(&mut group, GROUP) => if count == 0 { return },
            () = tokio::time::sleep_until(expiry) => {}
            () = tasks.cancelled(), if !queue.is_closed() => queue.close(),
        }
        if !group.is_empty() && !queue.is_closed() {
            tokio::time::sleep_until(flushed + shared.options.flush_interval).await;
            while group.len() < GROUP
                && let Ok(append) = queue.try_recv()
            {
                group.push(append);
            }
        }
        let files = shared.clone();
        let done = tokio::task::spawn_blocking(move || {
            if !group.is_empty() {
                writer.commit(&files, &mut group);
            }
            let expiry = writer.tidy(&files);
            (writer, group, expiry)
        });
        match done.await {
            Ok(back) => (writer, group, expiry) = back,
            Err(error) => return tracing::error!(%error, "outbox writer ended early"),
        }
        flushed = Instant::now();
    }
}

impl Shared {
    fn written(&self, end: u64, next: u64) {
        let mut state = self.state.lock();
        if let Some(active) = state.segments.back_mut() {
            (active.bytes, active.newest_ms) = (end, clock::now_ms());
        }
        drop(state);
        self.committed.send_replace(next);
    }

    /// When the newest record of the oldest (or the active) segment is too old. A segment without records never is.
    fn expiry_ms(&self, pick: fn(&VecDeque<Segment>) -> Option<&Segment>) -> i64 {
        let age_ms = i64::try_from(self.options.max_age.as_millis()).unwrap_or(i64::MAX);
        let state = self.state.lock();
        let segment = pick(&state.segments).filter(|segment| segment.bytes > HEAD_BYTES);
        segment.map_or(i64::MAX, |segment| segment.newest_ms.saturating_add(age_ms))
    }

    fn drop_beyond_bounds(&self, now_ms: i64) {
        loop {
            let expired = self.expiry_ms(VecDeque::front) <= now_ms;
            let mut state = self.state.lock();
            let bytes: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
            if state.segments.len() < 2 || !(expired || bytes > self.options.max_bytes) {
                return;
            }
            let next = state.segments[1].first;
            // Across a change of epoch the numbers do not count records.
            let lost = next.saturating_sub(state.unconfirmed.max(state.segments[0].first));
            let lost = if next >> COUNTER_BITS == state.segments[0].first >> COUNTER_BITS { lost } else { 0 };
            state.unconfirmed = state.unconfirmed.max(next);
            state.dropped += lost;
            let gone = state.segments.pop_front();
            drop(state);
            if lost > 0 {
                DROPPED.add(lost);
                tracing::warn!(readings = lost, expired, "outbox is full: its oldest readings were dropped");
            }
            if let Some(segment) = gone {
                segment.delete(&self.options.folder);
            }
        }
    }
}

/// One process per folder.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| Error::io(WHAT, &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { what: WHAT, path: folder.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::io(WHAT, &path, &error)),
    }
}

/// All segments with a good head, oldest first. A head is flushed before the first record, so a short file that ends the
/// list is a creation that was cut off; any other bad head is damage, and the file is put aside.
fn list(folder: &Path) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Some(first) = entry.file_name().to_str().and_then(segment::parse_name) else { continue };
        let meta = entry.metadata()?;
        if segment::head_is_good(&File::open(entry.path())?, first) {
            let newest_ms = meta.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
            let newest_ms = i64::try_from(newest_ms).unwrap_or(i64::MAX);
            segments.push(Segment { first, bytes: meta.len(), newest_ms });
        } else if meta.len() <= HEAD_BYTES {
            std::fs::remove_file(entry.path())?;
        } else {
            DAMAGED.inc();
            tracing::error!(path = %entry.path().display(), "segment of the outbox is damaged and put aside");
            std::fs::rename(entry.path(), entry.path().with_extension("bad"))?;
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments.into())
}

/// Opens the last segment for writing behind its last whole record. `None` when there is none.
fn repair(options: &Options, segments: &mut VecDeque<Segment>) -> io::Result<Option<(File, u64, u64)>> {
    let Some(last) = segments.back_mut() else { return Ok(None) };
    let path = last.path(&options.folder);
    // The limit may have been lowered since the records were written.
    let mut scan = Scan::open(&path, last.first, options.queue_bytes.max(16 << 20))?;
    let torn = loop {
        match scan.next()? {
            Next::Record(_) => {}
            Next::End => break false,
            Next::Bad => break true,
        }
    };
    let file = File::options().read(true).write(true).open(&path)?;
    if torn {
        tracing::warn!(path = %path.display(), bytes = last.bytes - scan.offset, "unfinished write cut off the outbox");
        file.set_len(scan.offset)?;
        file.sync_all()?;
    }
    last.bytes = scan.offset;
    Ok(Some((file, scan.offset, scan.seq)))
}

/// Random, and above every epoch that still has segments here, so that the order of numbers is the order of time.
fn new_epoch(segments: &VecDeque<Segment>) -> u64 {
    match segments.back() {
        Some(last) => ((last.first >> COUNTER_BITS) + 1).min(EPOCHS - 1),
        None => rand::rng().random_range(1..EPOCHS / 2),
    }
}
