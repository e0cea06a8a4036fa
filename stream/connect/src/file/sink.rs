//! Results in files.
//!
//! `lines` and `csv` files grow at their end, also over restarts; a `json` file is one array and begins anew, because an
//! array that was closed cannot grow. Each message is handed to the system before it is acknowledged; it survives the end
//! of the program, not of the machine.

use std::io;

use edgeward_engine::{Emission, Sink, SinkError};
use edgeward_service::clock;
use futures::future::BoxFuture;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::config::{FileType, SinkConfig};
use super::rolling::Fill;
use crate::SinkOptions;
use crate::sink::{Encoder, Payloads};

pub(super) struct FileSink {
    config: SinkConfig,
    encoder: Encoder,
    header: Option<Vec<String>>,
    payloads: Payloads,
    open: Option<(File, Fill)>,
    buffer: Vec<u8>,
}

impl FileSink {
    pub(super) fn new(config: SinkConfig, options: SinkOptions) -> FileSink {
        let header = (config.file_type == FileType::Csv && config.has_header).then(|| options.fields.clone());
        let options = match config.file_type {
            FileType::Csv => options.delimited(&config.delimiter),
            FileType::Json | FileType::Lines => options,
        };
        let (payloads, buffer) = (Payloads::default(), Vec::new());
        FileSink { config, encoder: Encoder::new(options), header, payloads, open: None, buffer }
    }

    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let count = self.payloads.iter().count() as u64;
        if count == 0 {
            return Ok(());
        }
        let failed = |path: &std::path::Path| {
            let path = path.display().to_string();
            move |error: io::Error| SinkError::Recoverable(format!("cannot write file {path}: {error}"))
        };
        let now = clock::now_ms();
        if self.open.as_ref().is_some_and(|(_, fill)| self.config.is_full(fill, now)) {
            self.finish().await.map_err(failed(&self.config.path))?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin(emission, now).await.map_err(failed(&self.config.path))?);
        }
        let Some((file, fill)) = &mut self.open else { return Ok(()) };
        self.buffer.clear();
        let is_array = self.config.file_type == FileType::Json;
        for payload in self.payloads.iter() {
            if is_array && fill.messages > 0 {
                self.buffer.push(b',');
            }
            self.buffer.extend_from_slice(payload);
            if !is_array {
                self.buffer.push(b'\n');
            }
            fill.messages += 1;
        }
        fill.bytes += self.buffer.len() as u64;
        let written = match file.write_all(&self.buffer).await {
            Ok(()) => file.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(failed(&self.config.path))
    }

    async fn begin(&self, emission: &Emission, now: i64) -> io::Result<(File, Fill)> {
        let path = self.config.path_at(now);
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
            start = header(fields, emission, &self.config.delimiter);
        }
        file.write_all(&start).await?;
        Ok((file, Fill { messages: 0, bytes: bytes + start.len() as u64, since: now }))
    }

    /// Ends the open file.
    async fn finish(&mut self) -> io::Result<()> {
        let Some((mut file, _)) = self.open.take() else { return Ok(()) };
        if self.config.file_type == FileType::Json {
            file.write_all(b"]").await?;
        }
        file.flush().await?;
        file.sync_all().await
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
            if let Err(error) = self.finish().await {
                tracing::warn!(path = %self.config.path.display(), %error, "cannot finish the file of a sink");
            }
        })
    }
}
