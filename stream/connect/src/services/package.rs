//! The files of a service: from a zip or a folder, kept as one JSON file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Component, Path};

use serde_json::{Value, json};
use zip::ZipArchive;

use super::refused;
use crate::ConnectError;

/// Largest package with all its files, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Most files of a package.
const MAX_FILES: usize = 256;

/// Texts by their paths: `NAME.json` and `schemas/…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePackage(pub(super) BTreeMap<String, String>);

impl ServicePackage {
    /// Reads a zip.
    ///
    /// # Errors
    /// It is broken, too large, or a path in it leads elsewhere.
    pub fn from_zip(bytes: &[u8]) -> Result<ServicePackage, ConnectError> {
        let bad = |reason: String| refused(format!("the package of the service cannot be read: {reason}"));
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(error.to_string()))?;
        if archive.len() > MAX_FILES {
            return Err(bad(format!("it has more than {MAX_FILES} files")));
        }
        let mut collected = Collected::default();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|error| bad(error.to_string()))?;
            if entry.is_dir() {
                continue;
            }
            let path = entry.enclosed_name().filter(|path| is_plain(path) && !entry.is_symlink());
            let path = path.and_then(|path| path.to_str().map(str::to_owned));
            let path = path.ok_or_else(|| bad(format!("the path {:?} leads elsewhere", entry.name())))?;
            collected.take(&path, entry).map_err(bad)?;
        }
        Ok(ServicePackage(collected.files))
    }

    /// Reads a folder of this machine. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or holds too much.
    pub fn from_folder(folder: &Path) -> Result<ServicePackage, ConnectError> {
        let bad = |reason: String| refused(format!("the folder {} cannot be read: {reason}", folder.display()));
        let mut collected = Collected::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(inner) = folders.pop() {
            for entry in fs::read_dir(&inner).map_err(|error| bad(error.to_string()))?.flatten() {
                let (path, kind) = (entry.path(), entry.file_type().map_err(|error| bad(error.to_string()))?);
                // Links are not followed: a folder could hold itself.
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file()
                    && let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str)
                {
                    let file = File::open(&path).map_err(|error| bad(error.to_string()))?;
                    collected.take(name, file).map_err(bad)?;
                }
            }
        }
        Ok(ServicePackage(collected.files))
    }

    /// Reads what [`ServicePackage::to_json`] gives.
    ///
    /// # Errors
    /// It is something else, or too large.
    pub fn from_json(text: &str) -> Result<ServicePackage, ConnectError> {
        if text.len() as u64 > 2 * MAX_BYTES {
            return Err(refused(format!("the service is larger than {MAX_BYTES} bytes")));
        }
        let files = serde_json::from_str(text).map_err(|error| refused(format!("invalid service: {error}")))?;
        Ok(ServicePackage(files))
    }

    /// All files as one object.
    pub fn to_json(&self) -> String {
        json!(self.0).to_string()
    }

    /// Names of the definitions: the JSON files at the root.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let roots = self.0.keys().filter(|path| !path.contains('/'));
        roots.filter_map(|path| path.strip_suffix(".json"))
    }

    /// The same without the definitions of other services.
    pub(super) fn only(&self, name: &str) -> ServicePackage {
        let own = format!("{name}.json");
        let wanted = self.0.iter().filter(|(path, _)| path.contains('/') || **path == own || !path.ends_with(".json"));
        ServicePackage(wanted.map(|(path, text)| (path.clone(), text.clone())).collect())
    }

    /// `NAME.json`, or the only JSON file at the root.
    pub(super) fn definition(&self, name: &str) -> Result<Value, ConnectError> {
        let mut roots = self.0.iter().filter(|(path, _)| !path.contains('/') && path.ends_with(".json"));
        let named = self.0.get_key_value(&format!("{name}.json"));
        let (path, text) = match (named, roots.next(), roots.next()) {
            (Some(found), ..) | (None, Some(found), None) => found,
            _ => return Err(refused(format!("{name}.json is missing in the package"))),
        };
        serde_json::from_str(text).map_err(|error| refused(format!("{path} cannot be read: {error}")))
    }
}

fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[derive(Default)]
struct Collected {
    files: BTreeMap<String, String>,
    bytes: u64,
}

impl Collected {
    /// Definitions and schemas are taken, other files are of no use here.
    fn take(&mut self, path: &str, file: impl Read) -> Result<(), String> {
        if !(path.ends_with(".json") || path.ends_with(".proto")) {
            return Ok(());
        }
        if self.files.len() >= MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
        let mut text = String::new();
        // Sizes in the directory of a zip may lie: what counts is what comes out.
        let left = MAX_BYTES - self.bytes;
        let count = file.take(left + 1).read_to_string(&mut text).map_err(|error| format!("{path}: {error}"))?;
        if count as u64 > left {
            return Err(format!("larger than {MAX_BYTES} bytes"));
        }
        self.bytes += count as u64;
        self.files.insert(path.to_owned(), text);
        Ok(())
    }
}

/// All packages of a folder.
pub(super) fn load(folder: &Path) -> io::Result<BTreeMap<String, ServicePackage>> {
    fs::create_dir_all(folder)?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        match ServicePackage::from_json(&fs::read_to_string(&path)?) {
            Ok(package) => drop(all.insert(name.to_owned(), package)),
            Err(error) => tracing::error!(name, %error, "a service cannot be read and is left out; create it again"),
        }
    }
    Ok(all)
}

/// Writes a package beside its place and renames it into it.
pub(super) fn write(folder: &Path, name: &str, package: &ServicePackage) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(package.to_json().as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(format!("{name}.json")))?;
    File::open(folder)?.sync_all()
}

pub(super) fn delete(folder: &Path, name: &str) -> io::Result<()> {
    fs::remove_file(folder.join(format!("{name}.json")))?;
    File::open(folder)?.sync_all()
}
