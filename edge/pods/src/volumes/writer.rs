//! Replacing all files of a volume at once: they live in a folder of their own, `..data` points at it, and each visible
//! name points into `..data`. A reader sees the old set or the new one, never a mixture.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::payload::Files;
use crate::{Error, files};

/// Makes the volume show exactly these files; does nothing if it does already.
pub(super) fn write(volume: &Path, wanted: &Files, group: Option<i64>) -> Result<(), Error> {
    let data = volume.join("..data");
    let stamp = stamp(wanted, group);
    if fs::read_link(&data).is_ok_and(|target| target.as_os_str() == stamp.as_str()) {
        return Ok(());
    }
    files::create_dir(volume, 0o755)?;
    let folder = volume.join(&stamp);
    files::remove_tree(&folder)?;
    files::create_dir(&folder, 0o755)?;
    for (path, file) in wanted {
        let target = folder.join(path);
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        files::write_atomic(&target, &file.content, mode)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))
            .map_err(Error::file("set the mode of", &target))?;
        if let Some(group) = group.and_then(|group| u32::try_from(group).ok()) {
            std::os::unix::fs::chown(&target, None, Some(group)).map_err(Error::file("set the group of", &target))?;
        }
    }
    let fresh = volume.join("..data_new");
    let _ = fs::remove_file(&fresh);
    symlink(&stamp, &fresh).map_err(Error::file("create", &fresh))?;
    let old = fs::read_link(&data).ok();
    fs::rename(&fresh, &data).map_err(Error::file("replace", &data))?;
    show(volume, wanted)?;
    match old {
        Some(old) => files::remove_tree(&volume.join(old)),
        None => Ok(()),
    }
}

/// Links the first part of each path, and removes links to what is gone.
fn show(volume: &Path, wanted: &Files) -> Result<(), Error> {
    let first = |path: &str| path.split('/').next().unwrap_or(path).to_owned();
    for name in wanted.keys().map(|path| first(path)) {
        let link = volume.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(&name), &link).map_err(Error::file("create", &link))?;
        }
    }
    let entries = fs::read_dir(volume).map_err(Error::file("read", volume))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.keys().any(|path| first(path) == name) {
            fs::remove_file(entry.path()).map_err(Error::file("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Names the folder after what it holds.
fn stamp(wanted: &Files, group: Option<i64>) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for (path, file) in wanted {
        hash.update(format!("{}\0{}\0{:o}\0", path, file.content.len(), file.mode));
        hash.update(&file.content);
    }
    hash.update(format!("{group:?}"));
    format!("..{}", crate::hex(&hash.finalize()[..12]))
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn check(volume: &Path, files: &[(&str, &str, u32)]) {
        let wanted: Files = files
            .iter()
            .map(|(path, content, mode)| {
                ((*path).to_owned(), File { content: content.as_bytes().to_vec(), mode: *mode })
            })
            .collect();
        write(volume, &wanted, None).unwrap();
        for (path, content, mode) in files {
            let path = volume.join(path);
            assert_eq!(fs::read_to_string(&path).unwrap(), *content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, *mode, "{path:?}");
        }
        let mut seen: Vec<_> =
            fs::read_dir(volume).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        seen.retain(|name| !name.starts_with(".."));
        seen.sort();
        let mut expected: Vec<_> = files.iter().map(|(path, ..)| path.split('/').next().unwrap().to_owned()).collect();
        expected.sort();
        expected.dedup();
        assert_eq!(seen, expected);
        let folders =
            fs::read_dir(volume).unwrap().filter(|e| e.as_ref().unwrap().file_type().unwrap().is_dir()).count();
        assert_eq!(folders, 1, "old sets are removed");
    }

    #[test]
    fn sets_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("v");
        check(&volume, &[("a", "1", 0o644), ("b/c", "2", 0o600), ("b/d", "3", 0o400)]);
        check(&volume, &[("a", "1", 0o644), ("b/c", "2", 0o600), ("b/d", "3", 0o400)]);
        check(&volume, &[("a", "9", 0o644), ("e", "", 0o755)]);
        check(&volume, &[]);
    }
}
