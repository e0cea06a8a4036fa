//! The log file of the stream engine (`basic.fileLog`): `stream.log`, put aside when it is full or old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The file that is written; those put aside have the time behind its name.
const NAME: &str = "stream.log";

/// When a file is put aside, and how long it is kept then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Folder of the files; made when missing.
    pub folder: PathBuf,
    /// Bytes of a file (`rotateSize`).
    pub size: u64,
    /// Age of a file (`rotateTime`).
    pub time: Duration,
    /// Files kept beside the present one (`rotateCount`).
    pub count: usize,
    /// How long they are kept (`maxAge`).
    pub max_age: Duration,
}

/// The present file.
#[derive(Debug)]
struct Present {
    file: File,
    bytes: u64,
    since: SystemTime,
}

/// A log in files. Whoever logs waits for the write: lines are as short as logs are.
#[derive(Debug)]
pub(super) struct FileLog {
    rotation: Rotation,
    present: Mutex<Present>,
}

impl FileLog {
    /// Opens the file, to go on where it ended.
    pub(super) fn open(rotation: Rotation) -> io::Result<FileLog> {
        fs::create_dir_all(&rotation.folder)?;
        let present = Present::open(&rotation.folder)?;
        Ok(FileLog { rotation, present: Mutex::new(present) })
    }

    /// Writes a line.
    pub(super) fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let full = present.bytes > 0 && present.bytes + line.len() as u64 > self.rotation.size;
        let old = present.since.elapsed().is_ok_and(|age| age >= self.rotation.time);
        if full || old {
            self.put_aside()?;
            *present = Present::open(&self.rotation.folder)?;
        }
        present.bytes += line.len() as u64;
        present.file.write_all(line)
    }

    fn put_aside(&self) -> io::Result<()> {
        let folder = &self.rotation.folder;
        let time = jiff::Zoned::now().strftime("%Y-%m-%d_%H-%M-%S").to_string();
        let mut name = format!("{NAME}.{time}");
        // Several in one second.
        for again in 1.. {
            if !folder.join(&name).exists() {
                break;
            }
            name = format!("{NAME}.{time}.{again}");
        }
        fs::rename(folder.join(NAME), folder.join(name))?;
        let mut aside = aside(folder);
        let too_many = aside.len().saturating_sub(self.rotation.count);
        aside.sort_unstable();
        for (at, (changed, path)) in aside.into_iter().enumerate() {
            let old = changed.elapsed().is_ok_and(|age| age > self.rotation.max_age);
            if at < too_many || old {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Present {
    fn open(folder: &Path) -> io::Result<Present> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(NAME))?;
        let meta = file.metadata()?;
        // A file that goes on is as old as it is; where the system does not know, its age counts from now.
        let since = meta.created().ok().filter(|_| meta.len() > 0).unwrap_or_else(SystemTime::now);
        Ok(Present { file, bytes: meta.len(), since })
    }
}

/// The files put aside: when they were written last, and where they are.
fn aside(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str().and_then(|name| name.strip_prefix(NAME)).is_some_and(|rest| rest.starts_with('.'))
    });
    ours.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let rotation = Rotation {
            folder: folder.path().join("log"),
            size: 20,
            time: Duration::from_secs(3600),
            count: 2,
            max_age: Duration::from_secs(3600),
        };
        let open = || FileLog::open(rotation.clone()).expect("opened");
        open().write(b"before\n").expect("written");
        let log = open();
        for line in 0..10 {
            log.write(format!("line {line}....\n").as_bytes()).expect("written");
        }
        log.write(&[b'x'; 100]).expect("one line may be longer than a file");
        assert_eq!(aside(&rotation.folder).len(), 2);
        let now = fs::read_to_string(rotation.folder.join(NAME)).expect("read");
        assert_eq!(now, "x".repeat(100));
        // What goes on after a restart is what was there.
        open().write(b"after\n").expect("written");
        assert_eq!(fs::read_to_string(rotation.folder.join(NAME)).expect("read"), "after\n");
    }

    #[test]
    fn old_files_are_put_aside_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let rotation = Rotation {
            folder: folder.path().to_owned(),
            size: u64::MAX,
            time: Duration::ZERO,
            count: 100,
            max_age: Duration::ZERO,
        };
        let log = FileLog::open(rotation).expect("opened");
        log.write(b"a\n").expect("written");
        log.write(b"b\n").expect("written");
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).expect("read"), "b\n");
        assert!(aside(folder.path()).len() <= 1);
    }
}
