//! Reading a log from disk, and following it by inotify.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncSeekExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::{LogOptions, LogStream, line, rotated_files};
use crate::Error;

/// Most bytes of one line; the runtime splits at 16 KiB.
const MAX_LINE: usize = 64 * 1024;
/// Text is handed on in pieces of about this size.
const CHUNK: usize = 16 * 1024;
/// Most lines of `tail`; a limit on memory, more than anybody reads.
const MAX_TAIL: usize = 1_000_000;

/// The text of the log at `path`. `ended` is cancelled when the container has ended: a followed log then ends too.
pub(crate) fn read(path: PathBuf, options: LogOptions, ended: CancellationToken) -> LogStream {
    let start =
        Reader { path, options, ended, file: None, pending: VecDeque::new(), watch: None, left: None, partial: false };
    Box::pin(futures::stream::try_unfold(start, |mut reader| async move {
        Ok(reader.next().await?.map(|chunk| (chunk, reader)))
    }))
}

struct Reader {
    path: PathBuf,
    options: LogOptions,
    ended: CancellationToken,
    /// The file read now; `None` before the first.
    file: Option<BufReader<File>>,
    /// Files to read after it, oldest first.
    pending: VecDeque<PathBuf>,
    watch: Option<pipe::Receiver>,
    /// Bytes that may still be handed on, once known.
    left: Option<usize>,
    /// The text so far ends within a line.
    partial: bool,
}

impl Reader {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.file.is_none() {
            self.open().await?;
        }
        loop {
            let chunk = self.chunk().await?;
            if let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) {
                return Ok(self.limited(chunk));
            }
            if self.left == Some(0) {
                return Ok(None);
            }
            if let Some(next) = self.pending.pop_front() {
                self.file = Some(open(&next).await?);
            } else if !self.options.follow || !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn open(&mut self) -> Result<(), Error> {
        self.left = self.options.limit_bytes;
        if self.options.follow {
            self.watch = Some(watch(&self.path)?);
        }
        let mut files: VecDeque<PathBuf> = rotated_files(&self.path).into();
        files.push_back(self.path.clone());
        let skip = match self.options.tail {
            Some(tail) => skip_to_tail(&mut files, tail.min(MAX_TAIL)).await?,
            None => 0,
        };
        let Some(first) = files.pop_front() else { return Ok(()) };
        let mut file = open(&first).await?;
        file.seek(std::io::SeekFrom::Start(skip)).await.map_err(Error::file("read", &first))?;
        (self.file, self.pending) = (Some(file), files);
        Ok(())
    }

    /// Lines up to a chunk; `None` at the end of the file.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let (mut text, mut raw, mut any) = (BytesMut::new(), Vec::new(), false);
        while text.len() < CHUNK {
            let position = file.stream_position().await.map_err(Error::file("read", &self.path))?;
            raw.clear();
            let read = read_line(file, &mut raw).await.map_err(Error::file("read", &self.path))?;
            if read == 0 {
                break;
            }
            if raw.last() != Some(&b'\n') && raw.len() < MAX_LINE {
                // The runtime is in the middle of writing it.
                file.seek(std::io::SeekFrom::Start(position)).await.map_err(Error::file("read", &self.path))?;
                break;
            }
            any = true;
            let Some(line) = line::parse(raw.strip_suffix(b"\n").unwrap_or(&raw)) else { continue };
            if self.options.since.is_some_and(|since| line::nanos(line.time).is_some_and(|time| time < since)) {
                continue;
            }
            if self.options.timestamps && !self.partial {
                text.extend_from_slice(line.time);
                text.extend_from_slice(b" ");
            }
            text.extend_from_slice(line.text);
            if line.full {
                text.extend_from_slice(b"\n");
            }
            self.partial = !line.full;
        }
        Ok((any && !text.is_empty()).then(|| text.freeze()))
    }

    fn limited(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        if let Some(left) = &mut self.left {
            chunk.truncate(*left);
            *left -= chunk.len();
        }
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Waits for the file to grow or to be replaced; false once the container ended and all is read.
    async fn more(&mut self) -> Result<bool, Error> {
        if self.ended.is_cancelled() {
            self.options.follow = false;
            return Ok(true);
        }
        let Some(watch) = &self.watch else { return Ok(false) };
        tokio::select! {
            ready = watch.readable() => {
                ready.map_err(Error::file("watch", &self.path))?;
                // What happened does not matter: the file is looked at anyway.
                let mut events = [0; 4096];
                while watch.try_read(&mut events).is_ok() {}
            }
            () = self.ended.cancelled() => {}
        }
        self.follow_rotation().await?;
        Ok(true)
    }

    /// After a rotation the name belongs to a new file: goes over to it once the old one is read.
    async fn follow_rotation(&mut self) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt as _;
        let Some(file) = &self.file else { return Ok(()) };
        let current = file.get_ref().metadata().await.map_err(Error::file("read", &self.path))?;
        let named = self.path.metadata().map(|data| data.ino()).ok();
        if named.is_some_and(|inode| inode != current.ino()) {
            self.pending.push_back(self.path.clone());
            self.watch = Some(watch(&self.path)?);
        }
        Ok(())
    }
}

async fn open(path: &Path) -> Result<BufReader<File>, Error> {
    File::open(path).await.map(BufReader::new).map_err(Error::file("read", path))
}

/// A line with its newline, or as much of it as there is, `MAX_LINE` at most.
async fn read_line(file: &mut BufReader<File>, raw: &mut Vec<u8>) -> std::io::Result<usize> {
    use tokio::io::AsyncReadExt as _;
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    file.take(limit).read_until(b'\n', raw).await
}

/// Drops files before the last `tail` lines and returns where in the first one they begin.
async fn skip_to_tail(files: &mut VecDeque<PathBuf>, tail: usize) -> Result<u64, Error> {
    let mut missing = tail;
    for at in (0..files.len()).rev() {
        let starts = line_starts(&files[at], missing).await?;
        if starts.len() >= missing || at == 0 {
            files.drain(..at);
            // No line wanted: begin at the end, for following.
            let end = files[0].metadata().map(|data| data.len()).unwrap_or(0);
            return Ok(if tail == 0 { end } else { starts.front().copied().unwrap_or(0) });
        }
        missing -= starts.len();
    }
    Ok(0)
}

/// Where the last `count` whole texts of a file begin; parts of a split line count as one.
async fn line_starts(path: &Path, count: usize) -> Result<VecDeque<u64>, Error> {
    let mut file = open(path).await?;
    let (mut starts, mut raw, mut at, mut partial) = (VecDeque::new(), Vec::new(), 0u64, false);
    loop {
        raw.clear();
        let read = read_line(&mut file, &mut raw).await.map_err(Error::file("read", path))?;
        if read == 0 {
            return Ok(starts);
        }
        if !partial {
            starts.push_back(at);
            if starts.len() > count {
                starts.pop_front();
            }
        }
        partial = line::parse(&raw).is_some_and(|line| !line.full);
        at += u64::try_from(read).unwrap_or(0);
    }
}

/// Wakes on writes to the file and on new names in its folder, which a rotation makes.
fn watch(path: &Path) -> Result<pipe::Receiver, Error> {
    let failed = |errno: nix::Error| Error::file("watch", path)(errno.into());
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(failed)?;
    inotify.add_watch(path, AddWatchFlags::IN_MODIFY).map_err(failed)?;
    if let Some(folder) = path.parent() {
        inotify.add_watch(folder, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO).map_err(failed)?;
    }
    // Not a pipe, but read and waited for like one; tokio's own wrapper for other descriptors is unsafe.
    pipe::Receiver::from_owned_fd_unchecked(inotify.into()).map_err(Error::file("watch", path))
}
