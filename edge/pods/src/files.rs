//! Files written whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::Error;

/// Creates a folder and those above it, with this mode for the last one.
pub(crate) fn create_dir(path: &Path, mode: u32) -> Result<(), Error> {
    if !path.is_dir() {
        std::fs::create_dir_all(path).map_err(Error::file("create", path))?;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).map_err(Error::file("set the mode of", path))?;
    }
    Ok(())
}

/// Writes a file under a temporary name beside it and renames it, so readers see the old or the new content.
pub(crate) fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        create_dir(parent, 0o755)?;
    }
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let mut file = file.map_err(Error::file("create", &temporary))?;
    file.write_all(content).map_err(Error::file("write", &temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::file("write", path))
}

/// Removes a tree; missing is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Writes a file in its place, for files that are mounted into running containers and so must stay the same inode.
pub(crate) fn write_in_place(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        create_dir(parent, 0o755)?;
    }
    if std::fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    std::fs::write(path, content).map_err(Error::file("write", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", path))
}
