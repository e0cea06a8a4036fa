//! The file format of the log.
//!
//! A segment is a 24-byte head and records. Head: 8 bytes of magic and version, the first sequence number, a CRC-32 of both,
//! four zero bytes. Record: body length (u32), CRC-32 of sequence number and body, body. Body: time (i64), length of the
//! stream name (u16), stream name, length of the identity (u8), identity, payload. All numbers little-endian. Sequence numbers are not written: a record's place
//! gives it, and the checksum covers it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use edgeward_wire::{MAX_IDENTITY_BYTES, Record};

const MAGIC: &[u8; 8] = b"EWOBX\0\0\x01";
pub(crate) const HEAD_BYTES: u64 = 24;
const RECORD_HEAD: usize = 8;
/// Time and the two lengths.
const BODY_HEAD: usize = 11;
const SUFFIX: &str = ".seg";

/// A segment file, as the log remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Number of its first record.
    pub(crate) first: u64,
    /// Bytes on disk that are known to be good.
    pub(crate) bytes: u64,
    /// When its newest record was written, in ms since 1970.
    pub(crate) newest_ms: i64,
}

impl Segment {
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        path(folder, self.first)
    }

    /// Removes the file. A failure is only reported: the segment comes back at the next start and is sent again, which
    /// the cloud recognises.
    pub(crate) fn delete(&self, folder: &Path) {
        let path = self.path(folder);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "segment of the outbox could not be deleted");
        }
    }
}

/// Twenty digits, so that names sort as numbers.
pub(crate) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SUFFIX}"))
}

/// The first sequence number of a segment's file name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

/// Makes an empty segment that survives a power cut: the head and the folder's entry are on disk on return.
pub(crate) fn create(folder: &Path, first: u64) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path(folder, first))?;
    let mut head = [0; HEAD_BYTES as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&head[..16]);
    head[16..20].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&head, 0)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Whether the head is whole and belongs to this number.
pub(crate) fn head_is_good(file: &File, first: u64) -> bool {
    let mut head = [0; HEAD_BYTES as usize];
    file.read_exact_at(&mut head, 0).is_ok()
        && &head[..8] == MAGIC
        && head[8..16] == first.to_le_bytes()
        && head[16..20] == crc32fast::hash(&head[..16]).to_le_bytes()
}

/// Appends a record's body with its length in front: what travels from `append` to the writer.
pub(crate) fn put_body(out: &mut Vec<u8>, record: &Record<'_>) {
    let length = BODY_HEAD + record.id.len() + record.identity.len() + record.payload.len();
    out.reserve(length + RECORD_HEAD);
    // Callers have checked the sizes against limits far below these types'.
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    out.extend_from_slice(&(record.id.len() as u16).to_le_bytes());
    out.extend_from_slice(record.id.as_bytes());
    out.push(record.identity.len() as u8);
    out.extend_from_slice(record.identity);
    out.extend_from_slice(record.payload);
}

/// Splits what [`put_body`] wrote into bodies.
pub(crate) fn bodies(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(body)
    })
}

/// Appends a numbered record in the form of the file.
pub(crate) fn put_record(out: &mut Vec<u8>, seq: u64, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(seq, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(seq: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Reads a segment record by record.
#[derive(Debug)]
pub(crate) struct Scan {
    file: io::BufReader<File>,
    /// Number of the next record.
    pub(crate) seq: u64,
    /// Offset of the next record.
    pub(crate) offset: u64,
    body: Vec<u8>,
    max_body: usize,
}

/// What a scan found next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Record(Record<'a>),
    /// The file ends after a whole record.
    End,
    /// The next record is torn or damaged.
    Bad,
}

impl Scan {
    /// Opens a segment behind its head. `record_bytes` bounds what a damaged length can make it allocate.
    pub(crate) fn open(path: &Path, first: u64, record_bytes: usize) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut head = [0; HEAD_BYTES as usize];
        file.read_exact(&mut head)?;
        let max_body = (BODY_HEAD + MAX_IDENTITY_BYTES).saturating_add(record_bytes);
        Ok(Self {
            file: io::BufReader::with_capacity(32 << 10, file),
            seq: first,
            offset: HEAD_BYTES,
            body: Vec::new(),
            max_body,
        })
    }

    /// Reads one record. After [`Next::End`] it may be called again: the file may have grown.
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut head = [0; RECORD_HEAD];
        match read_fully(&mut self.file, &mut head)? {
            0 => return Ok(Next::End),
            RECORD_HEAD => {}
            _ => return Ok(Next::Bad),
        }
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if length < BODY_HEAD || length > self.max_body {
            return Ok(Next::Bad);
        }
        self.body.resize(length, 0);
        if read_fully(&mut self.file, &mut self.body)? < length || checksum(self.seq, &self.body) != crc {
            return Ok(Next::Bad);
        }
        self.seq += 1;
        self.offset += (RECORD_HEAD + length) as u64;
        Ok(parse_body(&self.body).map_or(Next::Bad, Next::Record))
    }
}

fn parse_body(body: &[u8]) -> Option<Record<'_>> {
    let (time, rest) = body.split_first_chunk::<8>()?;
    let (name_length, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*name_length).into())?;
    let (identity_length, rest) = rest.split_first()?;
    let (identity, payload) = rest.split_at_checked((*identity_length).into())?;
    Some(Record { id: std::str::from_utf8(name).ok()?, timestamp_ms: i64::from_le_bytes(*time), identity, payload })
}

/// Fills the buffer as far as the file goes and returns how far that was.
fn read_fully(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
