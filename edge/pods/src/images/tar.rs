//! Writing tar archives (POSIX ustar): all that an image archive needs, and reproducible — no clock, no owner names.

/// An archive being written in memory.
#[derive(Debug, Default)]
pub(super) struct TarWriter {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl TarWriter {
    pub(super) fn directory(&mut self, path: &str, mode: u32) {
        self.header(&format!("{path}/"), mode, 0, b'5', "");
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.header(path, mode, content.len(), b'0', "");
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.header(path, 0o777, 0, b'2', target);
    }

    /// Ends the archive with its two empty blocks.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// Paths over 100 bytes are split at a `/` into prefix and name, as ustar has it; the caller checks lengths.
    fn header(&mut self, path: &str, mode: u32, size: usize, kind: u8, link: &str) {
        let mut block = [0u8; BLOCK];
        let (prefix, name) = split_path(path);
        put(&mut block, 0, name.as_bytes());
        put(&mut block, 100, format!("{mode:07o}").as_bytes());
        put(&mut block, 108, b"0000000");
        put(&mut block, 116, b"0000000");
        put(&mut block, 124, format!("{size:011o}").as_bytes());
        put(&mut block, 136, b"00000000000");
        put(&mut block, 148, b"        ");
        block[156] = kind;
        put(&mut block, 157, link.as_bytes());
        put(&mut block, 257, b"ustar\x0000");
        put(&mut block, 345, prefix.as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}

/// Whether ustar can hold this path.
pub(super) fn fits(path: &str) -> bool {
    let (prefix, name) = split_path(path);
    name.len() < 100 && prefix.len() < 155
}

fn split_path(path: &str) -> (&str, &str) {
    if path.len() < 100 {
        return ("", path);
    }
    let start = path.len() - 100;
    match path.bytes().enumerate().skip(start).find(|(_, byte)| *byte == b'/') {
        Some((at, _)) => (&path[..at], &path[at + 1..]),
        None => ("", path),
    }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    let end = (at + bytes.len()).min(BLOCK);
    block[at..end].copy_from_slice(&bytes[..end - at]);
}
