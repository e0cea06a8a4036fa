//! Results in files.
//!
//! `lines` and `csv` files grow at their end, also over restarts; a `json` file is one array and begins anew, because an
//! array that was closed cannot grow. As in eKuiper's files nothing follows the last message: what separates two messages
//! is written with the second one. Each message is handed to the system before it is acknowledged; it survives the end
//! of the program, not of the machine. Compressed files grow by a whole gzip member or zstd frame with each message, so
//! that what was written can be read at any time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Emission, Sink, SinkError};
use edgeward_service::{Tasks, clock};
use futures::future::BoxFuture;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::config::{FileType, SinkConfig};
use super::is_within;
use super::rolling::Fill;
use crate::SinkOptions;
use crate::sink::{Encoder, Packing, Payloads};

/// Files open at a time when the path depends on the data; the one opened first is closed for another.
const MAX_OPEN: usize = 64;

pub(super) struct FileSink {
    encoder: Encoder,
    payloads: Payloads,
    /// Shared with the task that looks for old files.
    files: Arc<Mutex<Files>>,
    /// How often it looks, if at all.
    look_every: Option<Duration>,
    tasks: Tasks,
}

/// The files that are open.
struct Files {
    config: SinkConfig,
    /// Compresses what is appended.
    packing: Packing,
    header: Option<Vec<String>>,
    /// By path.
    open: BTreeMap<String, (File, Fill)>,
}

impl FileSink {
    /// A sink that opens files as messages come. `tasks` is the rule's.
    pub(super) fn new(config: SinkConfig, options: SinkOptions, tasks: Tasks) -> FileSink {
        let header = (config.file_type == FileType::Csv && config.has_header).then(|| options.fields.clone());
        let (plain, packing) = options.unpacked();
        let options = match config.file_type {
            FileType::Csv => plain.delimited(&config.delimiter),
            _ => plain,
        };
        let look_every = config.rolling_interval.map(|interval| interval.min(config.check_interval));
        let files = Files { config, packing, header, open: BTreeMap::new() };
        let files = Arc::new(Mutex::new(files));
        FileSink { encoder: Encoder::new(options), payloads: Payloads::default(), files, look_every, tasks }
    }

    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let mut files = self.files.lock().await;
        // What goes to one file goes in one piece.
        let mut by_path: Vec<(String, Vec<usize>)> = Vec::new();
        for index in 0..self.payloads.iter().count() {
            let path = files.config.path_of(|| self.encoder.data(emission, index))?;
            match by_path.iter_mut().find(|(known, _)| *known == path) {
                Some((_, indexes)) => indexes.push(index),
                None => by_path.push((path, vec![index])),
            }
        }
        for (path, indexes) in by_path {
            let payloads: Vec<&[u8]> = self.payloads.iter().collect();
            let payloads = indexes.iter().filter_map(|index| payloads.get(*index).copied());
            let written = files.append(&path, payloads, emission).await;
            written.map_err(|error| SinkError::Recoverable(format!("cannot write file {path}: {error}")))?;
        }
        Ok(())
    }
}

impl SinkConfig {
    /// Where a message goes.
    fn path_of(&self, data: impl FnOnce() -> edgeward_engine::Value) -> Result<String, SinkError> {
        if let Some(path) = self.path.constant() {
            return Ok(path.to_owned());
        }
        let path = self.path.for_sink(&data())?;
        match &self.within {
            Some(root) if !is_within(root, Path::new(&path)) => {
                Err(SinkError::Rejected(format!("{path} is outside of {}", root.display())))
            }
            _ => Ok(path),
        }
    }
}

impl Files {
    /// Appends payloads to the file of a path.
    async fn append<'a>(
        &mut self,
        path: &str,
        payloads: impl Iterator<Item = &'a [u8]>,
        emission: &Emission,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for payload in payloads {
            if !self.open.contains_key(path) {
                self.make_room().await?;
                let begun = self.begin(Path::new(path), emission, clock::now_ms()).await?;
                self.open.insert(path.to_owned(), begun);
            }
            let Some((_, fill)) = self.open.get_mut(path) else { return Ok(()) };
            if fill.follows {
                bytes.push(if self.config.file_type == FileType::Json { b',' } else { b'\n' });
            }
            bytes.extend_from_slice(payload);
            fill.follows = true;
            fill.messages += 1;
            if self.config.is_full(fill) {
                self.put(path, std::mem::take(&mut bytes)).await?;
            }
        }
        self.put(path, bytes).await
    }

    /// Hands bytes of an open file to the system.
    async fn put(&mut self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        let Some((file, fill)) = self.open.get_mut(path).filter(|_| !bytes.is_empty()) else { return Ok(()) };
        let bytes = pack(&self.packing, bytes)?;
        fill.bytes += bytes.len() as u64;
        file.write_all(&bytes).await?;
        file.flush().await?;
        if self.config.is_full(fill) {
            self.finish(path).await?;
        }
        Ok(())
    }

    async fn begin(&self, path: &Path, emission: &Emission, now: i64) -> io::Result<(File, Fill)> {
        let path = self.config.path_at(path, now);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await?;
        }
        let anew = self.config.file_type == FileType::Json;
        let mut options = OpenOptions::new();
        let options = if anew { options.write(true).truncate(true) } else { options.append(true) };
        let mut file = options.create(true).open(path).await?;
        let bytes = file.metadata().await?.len();
        let mut start = Vec::new();
        if anew {
            start.push(b'[');
        } else if let (Some(fields), 0) = (&self.header, bytes) {
            start = pack(&self.packing, header(fields, emission, &self.config.delimiter))?;
        }
        file.write_all(&start).await?;
        let follows = !anew && bytes > 0;
        Ok((file, Fill { messages: 0, bytes: bytes + start.len() as u64, follows, since: now }))
    }

    /// Closes the file that was opened first, if there are too many.
    async fn make_room(&mut self) -> io::Result<()> {
        if self.open.len() < MAX_OPEN {
            return Ok(());
        }
        let oldest = self.open.iter().min_by_key(|(_, (_, fill))| fill.since).map(|(path, _)| path.clone());
        match oldest {
            Some(path) => self.finish(&path).await,
            None => Ok(()),
        }
    }

    /// Ends an open file.
    async fn finish(&mut self, path: &str) -> io::Result<()> {
        let Some((mut file, _)) = self.open.remove(path) else { return Ok(()) };
        if self.config.file_type == FileType::Json {
            file.write_all(b"]").await?;
        }
        file.flush().await?;
        file.sync_all().await
    }

    /// Ends files that are too old.
    async fn roll(&mut self) {
        let now = clock::now_ms();
        let old = self.open.iter().filter(|(_, (_, fill))| self.config.is_old(fill, now));
        let old: Vec<String> = old.map(|(path, _)| path.clone()).collect();
        for path in old {
            self.finish_loudly(&path).await;
        }
    }

    async fn finish_loudly(&mut self, path: &str) {
        if let Err(error) = self.finish(path).await {
            tracing::warn!(path, %error, "cannot finish the file of a sink");
        }
    }
}

fn pack(packing: &Packing, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    match packing.does_nothing() {
        true => Ok(bytes),
        false => packing.pack(&bytes).map_err(|error| io::Error::other(error.to_string())),
    }
}

/// The first line of a csv file: `fields`, else the columns of the first row.
fn header(fields: &[String], emission: &Emission, delimiter: &str) -> Vec<u8> {
    let columns = match (fields, emission.rows.first()) {
        ([], Some(row)) => row.to_map().keys().map(|name| name.to_string()).collect(),
        _ => fields.to_vec(),
    };
    format!("{}\n", columns.join(delimiter)).into_bytes()
}

impl Sink for FileSink {
    fn open(&mut self) {
        let Some(every) = self.look_every else { return };
        let files = Arc::downgrade(&self.files);
        self.tasks.spawn_until_cancelled("file-rolling", async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(files) = files.upgrade() else { return };
                files.lock().await.roll().await;
            }
        });
    }

    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let mut files = self.files.lock().await;
            while let Some(path) = files.open.keys().next().cloned() {
                files.finish_loudly(&path).await;
            }
        })
    }
}
