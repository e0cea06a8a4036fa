//! Schemas in a folder. Each file is written beside its place and renamed into it, the one with the version last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Component, Path};

use serde_json::{Value, json};
use zip::ZipArchive;

use super::{MAX_FILES, MAX_SCHEMA_BYTES, main_file};

type Files = BTreeMap<String, String>;

/// All schemas of a folder with their versions.
pub(super) fn load(folder: &Path) -> io::Result<BTreeMap<String, (Files, String)>> {
    fs::create_dir_all(folder)?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_none_or(|kind| kind != "proto") {
            continue;
        }
        match read(folder, name) {
            Ok(schema) => drop(all.insert(name.to_owned(), schema)),
            Err(error) => tracing::error!(name, %error, "a schema cannot be read and is left out; create it again"),
        }
    }
    Ok(all)
}

fn read(folder: &Path, name: &str) -> io::Result<(Files, String)> {
    let mut files = Files::from([(main_file(name), fs::read_to_string(folder.join(main_file(name)))?)]);
    let mut folders = vec![folder.join(name)];
    while let Some(inner) = folders.pop().filter(|inner| inner.is_dir()) {
        for entry in fs::read_dir(inner)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(relative) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                files.insert(relative.to_owned(), fs::read_to_string(&path)?);
            }
        }
    }
    let version = fs::read(folder.join(format!("{name}.json"))).ok();
    let version: Value = version.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    Ok((files, version["version"].as_str().unwrap_or_default().to_owned()))
}

/// Replaces what is on disk of a schema.
pub(super) fn write(folder: &Path, name: &str, files: &Files, version: &str) -> io::Result<()> {
    remove_folder(&folder.join(name))?;
    // The main file comes last: without it there is no schema.
    for (path, text) in files.iter().filter(|(path, _)| **path != main_file(name)) {
        put(&folder.join(path), text.as_bytes())?;
    }
    put(&folder.join(format!("{name}.json")), json!({ "version": version }).to_string().as_bytes())?;
    if let Some(text) = files.get(&main_file(name)) {
        put(&folder.join(main_file(name)), text.as_bytes())?;
    }
    sync(folder)
}

/// Deletes a schema.
pub(super) fn delete(folder: &Path, name: &str) -> io::Result<()> {
    fs::remove_file(folder.join(main_file(name)))?;
    match fs::remove_file(folder.join(format!("{name}.json"))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => remove_folder(&folder.join(name))?,
    }
    sync(folder)
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), sync)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Files of a package: `NAME.proto` (or the only `.proto` at its root) and everything below the folder `NAME`.
///
/// # Errors
/// It is no such package, or it holds too much.
pub(super) fn unpack(name: &str, bytes: &[u8]) -> Result<Files, String> {
    let bad = |reason: String| format!("the package of schema {name} cannot be read: {reason}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(error.to_string()))?;
    if archive.len() > MAX_FILES {
        return Err(bad(format!("it has more than {MAX_FILES} files")));
    }
    let (mut files, mut roots, mut left) = (Files::new(), Vec::new(), MAX_SCHEMA_BYTES as u64);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| bad(error.to_string()))?;
        let path = entry.name().map_err(|error| bad(error.to_string()))?.into_owned();
        let plain = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        if entry.is_dir() || !path.ends_with(".proto") {
            continue;
        }
        if !plain || path.contains('\\') {
            return Err(bad(format!("the path {path:?} leads elsewhere")));
        }
        let mut text = String::new();
        let count = entry.take(left + 1).read_to_string(&mut text).map_err(|error| bad(format!("{path}: {error}")))?;
        left = left.checked_sub(count as u64).ok_or_else(|| bad(format!("larger than {MAX_SCHEMA_BYTES} bytes")))?;
        match path.contains('/') {
            false => roots.push((path, text)),
            true if path.starts_with(&format!("{name}/")) => drop(files.insert(path, text)),
            true => {}
        }
    }
    let at = roots.iter().position(|(path, _)| *path == main_file(name));
    let at = at.or((roots.len() == 1).then_some(0)).ok_or_else(|| bad(format!("{} is missing", main_file(name))))?;
    files.insert(main_file(name), roots.swap_remove(at).1);
    Ok(files)
}
