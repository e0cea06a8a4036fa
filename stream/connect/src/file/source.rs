//! Files as messages of a stream.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_engine::json::{Cursor, Numbers, parse};
use edgeward_engine::{Emitter, Map, Message, Source, SourceContext, SourceError, Value, meta};
use edgeward_service::Tasks;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::config::{After, FileType, SourceConfig};
use super::lines::{Lines, MAX_BYTES, open};
use super::progress::Progress;
use super::watch::{News, Watch};
use crate::format::split_line;

/// Files read side by side.
const PARALLEL: usize = 8;
/// Messages read ahead of the stream.
const AHEAD: usize = 64;

pub(super) struct FileSource {
    pub(super) config: SourceConfig,
    /// Messages carry how far the files were read.
    pub(super) rewinds: bool,
}

impl Source for FileSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, position } = context;
            let progress = position.as_ref().and_then(Progress::read).unwrap_or_default();
            let FileSource { config, rewinds } = *self;
            let files = Files {
                config: Arc::new(config),
                rewinds,
                emitter,
                tasks: tasks.clone(),
                progress: Mutex::new(progress),
            };
            let reading = async {
                match files.config.interval {
                    Some(interval) => loop {
                        files.tell(files.read_path().await);
                        tokio::time::sleep(interval).await;
                        // All are read again.
                        *files.progress.lock() = Progress::default();
                    },
                    None if files.config.path.is_dir() => files.watch().await,
                    None => files.read_path().await,
                }
            };
            tokio::select! {
                read = reading => read.map_err(SourceError),
                () = tasks.cancelled() => Ok(()),
            }
        })
    }
}

/// The way of files into the stream.
struct Files {
    config: Arc<SourceConfig>,
    rewinds: bool,
    emitter: Emitter,
    tasks: Tasks,
    progress: Mutex<Progress>,
}

impl Files {
    fn tell(&self, read: Result<(), String>) {
        if let Err(error) = read {
            self.emitter.error(&error);
        }
    }

    /// Reads the files of a folder, and then every file that comes into it.
    async fn watch(&self) -> Result<(), String> {
        let path = &self.config.path;
        let failed = |error: io::Error| failure(path, &error);
        // Watched before it is read: what comes meanwhile is not missed.
        let watch = Watch::new(path).map_err(failed)?;
        self.tell(self.read_path().await);
        loop {
            match watch.next().await.map_err(failed)? {
                News::Files(files) => self.tell(self.read_all(files).await),
                News::Unknown => self.tell(self.read_path().await),
                News::Gone => return Err(format!("folder {} is gone", path.display())),
            }
        }
    }

    /// Reads the file, or all files of the folder, as far as that has not been done.
    async fn read_path(&self) -> Result<(), String> {
        let all = files(&self.config.path)?;
        let rest = self.progress.lock().rest(all);
        self.read_all(rest).await
    }

    async fn read_all(&self, files: Vec<PathBuf>) -> Result<(), String> {
        let reads = files.into_iter().map(|path| self.read_one(path));
        // Progress is one file after the other.
        let at_a_time = if self.config.parallel && !self.rewinds { PARALLEL } else { 1 };
        futures::stream::iter(reads).buffered(at_a_time).try_collect().await
    }

    async fn read_one(&self, path: PathBuf) -> Result<(), String> {
        let (sender, mut messages) = mpsc::channel(AHEAD);
        let (shared, file) = (self.config.clone(), path.clone());
        // Ends with the file, or when the receiver is dropped with this future.
        let reader = tokio::task::spawn_blocking(move || read(&shared, &file, &sender));
        let name: Arc<str> = path.display().to_string().into();
        let meta = meta([("file", Value::Str(name.clone()))]);
        let (mut count, sent) = (0, self.progress.lock().take_sent(&path));
        while let Some(message) = messages.recv().await {
            count += 1;
            if count <= sent {
                continue;
            }
            let position = self.rewinds.then(|| self.progress.lock().position(&name, count));
            self.emitter.emit(Message { position, ..message.with_meta(meta.clone()) }).await;
            if !self.config.send_interval.is_zero() {
                tokio::time::sleep(self.config.send_interval).await;
            }
        }
        let read = reader.await.map_err(|error| error.to_string())?;
        read.map_err(|error| failure(&path, &error))?;
        if !self.tasks.is_cancelled() {
            finish(&self.config, &path).await.map_err(|error| failure(&path, &error))?;
        }
        if self.rewinds {
            self.progress.lock().finish(&name);
        }
        Ok(())
    }
}

fn failure(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("file {} not exist", path.display()),
        _ => format!("cannot read file {}: {error}", path.display()),
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: io::Error| failure(path, &error);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

async fn finish(config: &SourceConfig, path: &Path) -> io::Result<()> {
    match &config.after {
        After::Keep => Ok(()),
        After::Delete => tokio::fs::remove_file(path).await,
        After::Move(folder) => {
            tokio::fs::create_dir_all(folder).await?;
            tokio::fs::rename(path, folder.join(path.file_name().unwrap_or_default())).await
        }
    }
}

/// Sends the messages of one file until its end or until nobody wants more.
fn read(config: &SourceConfig, path: &Path, messages: &mpsc::Sender<Message>) -> io::Result<()> {
    let reader = open(path, config.decompression)?;
    match config.file_type {
        FileType::Json => read_json(reader, messages),
        FileType::Csv => read_csv(config, reader, messages),
        FileType::Raw => {
            let _ = messages.blocking_send(Message::payload(whole(reader)?));
            Ok(())
        }
        FileType::Lines => {
            let mut lines = Lines::new(reader, config.ignore_start_lines, config.ignore_end_lines)?;
            while let Some(line) = lines.next()? {
                if !line.is_empty() && messages.blocking_send(Message::payload(line)).is_err() {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// A file that is one payload.
fn whole(reader: Box<dyn Read + Send>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "a file of this type is at most 64 MiB; use lines")),
        false => Ok(bytes),
    }
}

/// Each row of an array is a message, so that `sendInterval` stands between rows.
fn read_json(reader: Box<dyn Read + Send>, messages: &mpsc::Sender<Message>) -> io::Result<()> {
    let bad = |error: edgeward_engine::json::JsonError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let text = whole(reader)?;
    // Rejects anything that is not one JSON value before the first row is sent.
    parse(&text, Numbers::Float).map_err(bad)?;
    let text = bytes::Bytes::from(text);
    let mut cursor = Cursor::new(&text);
    cursor.blank();
    if cursor.peek() != Some(b'[') {
        let _ = messages.blocking_send(Message::payload(text.clone()));
        return Ok(());
    }
    cursor.expect(b'[').map_err(bad)?;
    let mut first = true;
    while cursor.next_item(&mut first).map_err(bad)? {
        let start = cursor.at();
        cursor.skip(1).map_err(bad)?;
        if messages.blocking_send(Message::payload(text.slice(start..cursor.at()))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Rows of text values; declared columns convert them.
fn read_csv(config: &SourceConfig, reader: Box<dyn Read + Send>, messages: &mpsc::Sender<Message>) -> io::Result<()> {
    let mut lines = Lines::new(reader, config.ignore_start_lines, config.ignore_end_lines)?;
    let mut names: Vec<Arc<str>> = config.columns.iter().map(|name| name.as_str().into()).collect();
    if config.has_header
        && let Some(header) = lines.next()?
        && names.is_empty()
    {
        names = split_line(&header, config.delimiter).iter().map(|name| name.trim().into()).collect();
    }
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        let mut row = Map::new();
        for (index, value) in split_line(&line, config.delimiter).into_iter().enumerate() {
            let name = match names.get(index) {
                Some(name) => name.clone(),
                None if names.is_empty() => format!("cols{index}").into(),
                None => break,
            };
            row.insert(name, Value::str(value));
        }
        if messages.blocking_send(Message::row(Arc::new(row))).is_err() {
            break;
        }
    }
    Ok(())
}
