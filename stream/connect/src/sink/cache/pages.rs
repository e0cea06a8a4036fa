//! Pages of messages in a folder, one file each. A page is written beside its place, flushed to the disk and renamed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use edgeward_engine::{Emission, OutRow, Value, codec};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::Props;

/// What a page begins with; the digit is the version.
const HEADER: &[u8] = b"edgeward-sink-page\x01";
/// Largest page that is read.
const MAX_PAGE_BYTES: u64 = 4 << 30;

/// Folders in use, so that two equal actions of a rule do not write into one.
static IN_USE: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// The pages of one sink, until it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Where the sink of a rule keeps its pages: below `root`, by the rule's id and the action.
    pub(crate) fn place(root: &Path, rule: &str, kind: &str, props: &Props) -> PathBuf {
        let mut action = Sha256::new();
        action.update(kind);
        action.update(serde_json::Value::Object(props.all().clone()).to_string());
        let digest: String = action.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        root.join(safe(rule)).join(digest)
    }

    /// Opens a folder, or the first one beside it that is not in use.
    pub(super) fn open(place: &Path) -> io::Result<Folder> {
        let mut in_use = IN_USE.lock();
        let beside = (1..).map(|number| place.with_extension(number.to_string()));
        let free = std::iter::once(place.to_owned()).chain(beside).find(|place| !in_use.contains(place));
        let place = free.unwrap_or_else(|| place.to_owned());
        fs::create_dir_all(&place)?;
        in_use.insert(place.clone());
        Ok(Folder(place))
    }

    fn path(&self, number: i64) -> PathBuf {
        self.0.join(format!("{number}.page"))
    }

    /// Numbers of the pages in the order of their age.
    pub(super) fn pages(&self) -> io::Result<Vec<i64>> {
        let mut pages = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            pages.extend(name.to_str().and_then(|name| name.strip_suffix(".page")?.parse::<i64>().ok()));
        }
        pages.sort_unstable();
        Ok(pages)
    }

    pub(super) fn write(&self, number: i64, messages: &[Arc<Emission>]) -> io::Result<()> {
        let mut bytes = HEADER.to_vec();
        for message in messages {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 8]);
            let rows = message.rows.iter().map(|row| Value::Map(row.to_map())).collect();
            let parts = vec![Value::Int(message.at), Value::Bool(message.is_error), Value::array(rows)];
            codec::write(&Value::array(parts), &mut bytes);
            let length = u32::try_from(bytes.len() - start - 8);
            let length = length.map_err(|_| io::Error::other("a message larger than 4 GiB"))?;
            let sum = crc32fast::hash(&bytes[start + 8..]);
            bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
            bytes[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        }
        let beside = self.0.join("new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(beside, self.path(number))?;
        File::open(&self.0)?.sync_all()
    }

    /// The messages of a page, up to the first one that is damaged.
    pub(super) fn read(&self, number: i64) -> io::Result<Vec<Emission>> {
        let mut bytes = Vec::new();
        File::open(self.path(number))?.take(MAX_PAGE_BYTES).read_to_end(&mut bytes)?;
        let rest = bytes.strip_prefix(HEADER);
        let mut rest = rest.ok_or_else(|| io::Error::other("a page of another version"))?;
        let mut messages = Vec::new();
        while !rest.is_empty() {
            match message(&mut rest) {
                Some(message) => messages.push(message),
                None => {
                    tracing::error!(page = %self.path(number).display(), read = messages.len(), "a page is damaged");
                    break;
                }
            }
        }
        Ok(messages)
    }

    pub(super) fn delete(&self, number: i64) -> io::Result<()> {
        fs::remove_file(self.path(number))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        IN_USE.lock().remove(&self.0);
        // Only an empty folder goes.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Deletes what the sinks of a rule have kept, when the rule is deleted.
pub(crate) fn forget(root: &Path, rule: &str) -> io::Result<()> {
    match fs::remove_dir_all(root.join(safe(rule))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A name as one part of a path.
fn safe(name: &str) -> String {
    let mut out = String::from("r_");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(byte.into()),
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}

/// Takes one message off the front; none when it is damaged.
pub(super) fn message(rest: &mut &[u8]) -> Option<Emission> {
    let (head, tail) = rest.split_at_checked(8)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?);
    let (body, tail) = tail.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    if crc32fast::hash(body).to_le_bytes() != head[4..] {
        return None;
    }
    let value = codec::read(body)?;
    let [Value::Int(at), Value::Bool(is_error), Value::Array(rows)] = value.as_array()? else { return None };
    let rows = rows.iter().map(|row| row.as_map().cloned().map(OutRow::Free)).collect::<Option<_>>()?;
    Some(Emission { is_error: *is_error, ..Emission::of_rows(*at, rows) })
}
