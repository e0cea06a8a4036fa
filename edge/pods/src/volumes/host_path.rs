//! `hostPath`: all types. A missing path without a type becomes a folder, as it always did below the kubelet.

use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::files;

/// Checks or makes the path, by the volume's type.
pub(super) fn ensure(path: &str, kind: &str) -> Result<PathBuf, String> {
    let host_path = PathBuf::from(path);
    if !host_path.is_absolute() || path.split('/').any(|part| part == "..") {
        return Err(format!("hostPath \"{path}\" must be absolute and without \"..\""));
    }
    let present = fs::metadata(&host_path).ok().map(|data| data.file_type());
    match (kind, present) {
        ("" | "DirectoryOrCreate", None) => files::create_dir(&host_path, 0o755).map_err(|error| error.to_string())?,
        ("FileOrCreate", None) => touch(&host_path)?,
        ("", Some(_)) => {}
        (kind, present) => check(path, kind, present)?,
    }
    Ok(host_path)
}

fn check(path: &str, kind: &str, present: Option<FileType>) -> Result<(), String> {
    let (name, fits): (&str, fn(FileType) -> bool) = match kind {
        "Directory" | "DirectoryOrCreate" => ("directory", |kind| kind.is_dir()),
        "File" | "FileOrCreate" => ("file", |kind| kind.is_file()),
        "Socket" => ("socket", |kind| kind.is_socket()),
        "CharDevice" => ("character device", |kind| kind.is_char_device()),
        "BlockDevice" => ("block device", |kind| kind.is_block_device()),
        _ => return Err(format!("hostPath type {kind} is unknown")),
    };
    if present.is_some_and(fits) { Ok(()) } else { Err(format!("hostPath type check failed: {path} is not a {name}")) }
}

/// An empty file; the folder must be there, as for the kubelet.
fn touch(path: &Path) -> Result<(), String> {
    let made = fs::OpenOptions::new().create(true).append(true).open(path);
    made.map(drop).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_missing_paths_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::write(format!("{root}/file"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(format!("{root}/socket")).unwrap();
        let cases = [
            ("file", "", None),
            ("file", "File", None),
            ("file", "FileOrCreate", None),
            ("file", "Directory", Some("is not a directory")),
            ("file", "DirectoryOrCreate", Some("is not a directory")),
            ("socket", "Socket", None),
            ("socket", "File", Some("is not a file")),
            ("missing", "Directory", Some("is not a directory")),
            ("missing", "File", Some("is not a file")),
            ("missing", "Socket", Some("is not a socket")),
            ("missing/deep", "FileOrCreate", Some("cannot create")),
            ("new/deep", "", None),
            ("new/deep", "Directory", None),
            ("other", "DirectoryOrCreate", None),
            ("fresh", "FileOrCreate", None),
            ("fresh", "File", None),
            ("../x", "", Some("must be absolute")),
            ("file", "Other", Some("is unknown")),
        ];
        for (name, kind, expected) in cases {
            let result = ensure(&format!("{root}/{name}"), kind);
            match expected {
                None => assert!(result.is_ok(), "{name} {kind}: {result:?}"),
                Some(text) => {
                    assert!(result.clone().is_err_and(|error| error.contains(text)), "{name} {kind}: {result:?}")
                }
            }
        }
        assert_eq!(ensure("/dev/null", "CharDevice"), Ok(PathBuf::from("/dev/null")));
        assert!(ensure("relative", "").is_err());
    }
}
