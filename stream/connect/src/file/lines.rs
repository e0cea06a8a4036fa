//! Lines of a file, bounded in length, without the first and last ones that are to be ignored.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::source::Unpack;

/// Longest line, and largest JSON file, in bytes.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// A file being read line by line. Blocking: used on a thread for that.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Read, and perhaps among the last ones.
    held: VecDeque<String>,
    ignore_end: usize,
}

pub(super) fn open(path: &Path, decompression: Option<Unpack>) -> io::Result<Box<dyn Read + Send>> {
    let file = std::fs::File::open(path)?;
    match decompression {
        None => Ok(Box::new(file)),
        Some(unpack) => unpack.reader(file),
    }
}

impl Lines {
    pub(super) fn new(reader: Box<dyn Read + Send>, ignore_start: u64, ignore_end: usize) -> io::Result<Lines> {
        let mut lines = Lines { reader: BufReader::with_capacity(64 << 10, reader), held: VecDeque::new(), ignore_end };
        for _ in 0..ignore_start {
            if lines.read()?.is_none() {
                break;
            }
        }
        Ok(lines)
    }

    /// The next line without its end; none at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        while self.held.len() <= self.ignore_end {
            match self.read()? {
                Some(line) => self.held.push_back(line),
                None => return Ok(None),
            }
        }
        Ok(self.held.pop_front())
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let count = (&mut self.reader).take(MAX_BYTES).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 64 MiB"));
        }
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
