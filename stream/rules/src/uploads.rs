//! Files users uploaded, for schemas, plugins and file sources: plain files in one folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Code, Result, RulesError};
use crate::transfer;

/// Most files kept.
const MAX_FILES: usize = 1_000;

/// `{name, content | file}`.
#[derive(Deserialize)]
pub(crate) struct Upload {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) content: String,
    /// A file of this machine: `file:///…` or a path.
    #[serde(default)]
    pub(crate) file: String,
}

/// The folder of uploads.
pub(crate) struct Uploads {
    folder: PathBuf,
    /// Requests may name other files of this machine too.
    external: bool,
}

impl Uploads {
    pub(crate) fn new(data: &Path, external: bool) -> Uploads {
        let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
        Uploads { folder: data.join("uploads"), external }
    }

    /// Reads a file that a request names. Blocks.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let failed =
            |error: std::io::Error| RulesError::refused(Code::Io, format!("fail to read file {file}: {error}"));
        let path = Path::new(file.strip_prefix("file://").unwrap_or(file));
        if !self.external && !path.canonicalize().map_err(failed)?.starts_with(&self.folder) {
            let message = format!("fail to read file {file}: allowExternalFileAccess is false; upload the file first");
            return Err(RulesError::refused(Code::Io, message));
        }
        transfer::read_file(path).map_err(failed)
    }

    /// Works on the folder off the runtime's threads.
    pub(crate) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Uploads) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let uploads = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&uploads)).await;
        done.unwrap_or_else(|_| Err(RulesError::refused(Code::Undefined, "the program is stopping")))
    }

    /// Paths of the files, sorted. Blocks.
    pub(crate) fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let shown = files.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        let mut paths: Vec<String> = shown.map(|entry| entry.path().to_string_lossy().into_owned()).collect();
        paths.sort_unstable();
        paths
    }

    /// Keeps what a JSON body asks for; answers its path. Blocks.
    pub(crate) fn take(&self, upload: Upload) -> Result<String> {
        let refuse = |message: &str| Err(RulesError::refused(Code::Undefined, message));
        if upload.name.is_empty() {
            return refuse("invalid body: name is required");
        }
        match (upload.content.is_empty(), upload.file.is_empty()) {
            (false, false) => refuse("invalid body: content and file cannot be set together"),
            (true, true) => refuse("invalid body: content or file must be set"),
            (false, true) => self.keep(&upload.name, upload.content.as_bytes()),
            (true, false) => self.keep(&upload.name, self.read(&upload.file)?.as_bytes()),
        }
    }

    /// Writes a file so that either all of it is there or nothing; answers its path. Blocks.
    pub(crate) fn keep(&self, name: &str, content: &[u8]) -> Result<String> {
        let path = self.path(name)?;
        let failed = |error: std::io::Error| RulesError::refused(Code::Io, format!("cannot keep {name}: {error}"));
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        if !path.exists() && self.list().len() >= MAX_FILES {
            return Err(RulesError::refused(Code::Undefined, format!("{MAX_FILES} files are uploaded; delete some")));
        }
        let new = self.folder.join(format!(".new-{name}"));
        let mut file = std::fs::File::create(&new).map_err(failed)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)?;
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Removes a file. Blocks.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        std::fs::remove_file(self.path(name)?)
            .map_err(|error| RulesError::refused(Code::Io, format!("cannot delete {name}: {error}")))
    }

    /// Removes all files. Blocks.
    pub(crate) fn clear(&self) -> Result<()> {
        let names = self.list().into_iter().filter_map(|path| Some(Path::new(&path).file_name()?.to_str()?.to_owned()));
        names.into_iter().try_for_each(|name| self.remove(&name))
    }

    /// Names and contents of the files that are text, for an export. Blocks.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let read = |path: String| {
            let name = Path::new(&path).file_name()?.to_str()?.to_owned();
            Some((name, std::fs::read_to_string(&path).ok()?))
        };
        self.list().into_iter().filter_map(read).collect()
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = |char: char| !char.is_control() && !matches!(char, '/' | '\\');
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(plain) {
            let message = format!("invalid name {name:?} of a file; it must not hold / or \\ nor begin with a dot");
            return Err(RulesError::refused(Code::Undefined, message));
        }
        Ok(self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path(), false);
        for name in ["a.txt", "b c", "é..x"] {
            uploads.keep(name, b"x").unwrap();
        }
        for name in ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a\0b", &"x".repeat(201)] {
            assert!(uploads.keep(name, b"x").is_err() && uploads.remove(name).is_err(), "{name:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(uploads.list().len(), 3);
        let kept = folder.path().join("uploads/a.txt");
        assert_eq!(uploads.read(&format!("file://{}", kept.display())).unwrap(), "x");
        std::fs::write(folder.path().join("other"), "y").unwrap();
        let other = folder.path().join("uploads/../other");
        assert!(
            uploads.read(&other.display().to_string()).unwrap_err().to_string().contains("allowExternalFileAccess")
        );
        assert_eq!(Uploads::new(folder.path(), true).read(&other.display().to_string()).unwrap(), "y");
        uploads.remove("a.txt").unwrap();
        assert!(uploads.remove("a.txt").is_err());
        assert_eq!(uploads.texts()[0], ("b c".to_owned(), "x".to_owned()));
    }
}
