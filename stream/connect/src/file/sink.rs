//! Results in files.
//!
//! `lines` and `csv` files grow at their end, also over restarts; a `json` file is one array and begins anew, because an
//! array that was closed cannot grow. Each message is handed to the system before it is acknowledged; it survives the end
//! of the program, not of the machine. Compressed files grow by a whole gzip member or zstd frame with each message, so
//! that what was written can be read at any time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use edgeward_engine::{Emission, Sink, SinkError};
use edgeward_service::clock;
use futures::future::BoxFuture;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::config::{FileType, SinkConfig};
use super::rolling::Fill;
use crate::SinkOptions;
use crate::sink::{Encoder, Packing, Payloads};

/// Files open at a time when the path depends on the data; the one opened first is closed for another.
const MAX_OPEN: usize = 64;

pub(super) struct FileSink {
    config: SinkConfig,
    encoder: Encoder,
    /// Compresses what is appended.
    packing: Packing,
    header: Option<Vec<String>>,
    payloads: Payloads,
    /// By path.
    open: BTreeMap<String, (File, Fill)>,
}

impl FileSink {
    pub(super) fn new(config: SinkConfig, options: SinkOptions) -> FileSink {
        let header = (config.file_type == FileType::Csv && config.has_header).then(|| options.fields.clone());
        let (plain, packing) = options.unpacked();
        let options = match config.file_type {
            FileType::Csv => plain.delimited(&config.delimiter),
            _ => plain,
        };
        let (payloads, open) = (Payloads::default(), BTreeMap::new());
        FileSink { config, encoder: Encoder::new(options), packing, header, payloads, open }
    }

    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        // What goes to one file goes in one piece.
        let mut by_path: Vec<(String, Vec<usize>)> = Vec::new();
        for index in 0..self.payloads.iter().count() {
            let path = match self.config.path.constant() {
                Some(path) => path.to_owned(),
                None => self.config.path.for_sink(&self.encoder.data(emission, index))?,
            };
            match by_path.iter_mut().find(|(known, _)| *known == path) {
                Some((_, indexes)) => indexes.push(index),
                None => by_path.push((path, vec![index])),
            }
        }
        for (path, indexes) in by_path {
            let written = self.append(&path, &indexes, emission).await;
            written.map_err(|error| SinkError::Recoverable(format!("cannot write file {path}: {error}")))?;
        }
        Ok(())
    }

    /// Appends payloads to the file of a path.
    async fn append(&mut self, path: &str, indexes: &[usize], emission: &Emission) -> io::Result<()> {
        let now = clock::now_ms();
        if self.open.get(path).is_some_and(|(_, fill)| self.config.is_full(fill, now)) {
            self.finish(path).await?;
        }
        if !self.open.contains_key(path) {
            self.make_room().await?;
            let begun = self.begin(Path::new(path), emission, now).await?;
            self.open.insert(path.to_owned(), begun);
        }
        let Some((file, fill)) = self.open.get_mut(path) else { return Ok(()) };
        let is_array = self.config.file_type == FileType::Json;
        let mut bytes = Vec::new();
        let payloads: Vec<&[u8]> = self.payloads.iter().collect();
        for payload in indexes.iter().filter_map(|index| payloads.get(*index)) {
            if is_array && fill.messages > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(payload);
            if !is_array {
                bytes.push(b'\n');
            }
            fill.messages += 1;
        }
        let bytes = pack(&self.packing, bytes)?;
        fill.bytes += bytes.len() as u64;
        file.write_all(&bytes).await?;
        file.flush().await
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
        Ok((file, Fill { messages: 0, bytes: bytes + start.len() as u64, since: now }))
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
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            while let Some(path) = self.open.keys().next().cloned() {
                if let Err(error) = self.finish(&path).await {
                    tracing::warn!(path, %error, "cannot finish the file of a sink");
                }
            }
        })
    }
}
