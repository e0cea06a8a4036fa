//! Packages: what `NAME.json` says, and unpacking a zip that nobody vouches for.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Options;
use crate::error::{PluginError, Result};

/// Largest `NAME.json` in bytes.
const MAX_SPEC: u64 = 64 << 10;

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// An executable; the name stands for any language that makes one.
    Go,
    /// A script for the interpreter.
    Python,
}

/// `NAME.json` of a package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Spec {
    /// Name of the plugin: that of its package.
    #[serde(default)]
    pub name: String,
    /// Version as its author counts.
    #[serde(default)]
    pub version: String,
    /// What it is written in: `go` or `python`.
    #[serde(default)]
    pub language: String,
    /// Script or executable, relative to the plugin's folder.
    #[serde(default)]
    pub executable: String,
    /// `conda`: the process runs in the environment `env`.
    #[serde(default, rename = "virtualEnvType", skip_serializing_if = "Option::is_none")]
    pub virtual_env: Option<String>,
    /// Name of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Names of its sources.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Names of its sinks.
    #[serde(default)]
    pub sinks: Vec<String>,
    /// Names of its functions.
    #[serde(default)]
    pub functions: Vec<String>,
}

/// Refuses names that would leave their folder, their socket's name or a log line.
///
/// # Errors
/// The name is empty, too long, or has other characters than letters, digits, `_`, `-` and `.`.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let good =
        name.len() <= 64 && name.bytes().all(plain) && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if good { Ok(()) } else { Err(PluginError::Name(name.chars().take(64).collect())) }
}

/// Reads and checks the `NAME.json` of an unpacked plugin.
///
/// # Errors
/// The file is missing, too large or wrong.
pub fn read_spec(folder: &Path, name: &str) -> Result<Spec> {
    let path = folder.join(format!("{name}.json"));
    let missing = |why: &dyn std::fmt::Display| {
        let files = fs::read_dir(folder).map_or(0, Iterator::count);
        let text = format!("missing or invalid json file {name}.json, found {files} files in total: {why}");
        PluginError::Package(text)
    };
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SPEC).read_to_end(&mut text));
    read.map_err(|error| missing(&error))?;
    let mut spec: Spec = serde_json::from_slice(&text).map_err(|error| missing(&error))?;
    // The packages of the SDKs leave the name to the file.
    if spec.name.is_empty() {
        name.clone_into(&mut spec.name);
    }
    spec.check(name, folder)?;
    Ok(spec)
}

impl Spec {
    /// The language, when it is one that can be run.
    pub fn runs(&self) -> Option<Language> {
        match self.language.as_str() {
            "go" => Some(Language::Go),
            "python" => Some(Language::Python),
            _ => None,
        }
    }

    /// What eKuiper asks of a package, in its order and words; then what keeps a package in its folder.
    fn check(&self, name: &str, folder: &Path) -> Result<()> {
        let bad = |text: String| Err(PluginError::Package(text));
        let symbols = || self.sources.iter().chain(&self.sinks).chain(&self.functions);
        if self.name != name {
            return bad(format!("invalid plugin, expect name '{name}' but got '{}'", self.name));
        }
        if self.language.is_empty() {
            return bad("invalid plugin, missing language".into());
        }
        if self.executable.is_empty() {
            return bad("invalid plugin, missing executable".into());
        }
        if symbols().next().is_none() {
            return bad("invalid plugin, must define at lease one source, sink or function".into());
        }
        if self.runs().is_none() {
            return bad(format!("invalid plugin, language '{}' is not supported", self.language));
        }
        symbols().try_for_each(|symbol| check_name(symbol))?;
        if let Some(env) = &self.env {
            check_name(env)?;
        }
        if self.virtual_env.as_deref().is_some_and(|kind| kind != "conda") {
            return bad(format!("virtualEnvType of {} must be conda", self.name));
        }
        let executable = Path::new(&self.executable);
        let inside = executable.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return bad(format!("executable {:?} must be a path inside the package", self.executable));
        }
        if !folder.join(executable).is_file() {
            return bad(format!("executable {:?} is not in the package", self.executable));
        }
        Ok(())
    }
}

/// Unpacks a package as plugin `name` into its folder, replacing what is there only when the package is good.
/// This reads and writes files: call it where blocking is allowed.
///
/// # Errors
/// The zip is broken, too large or leaves its folder; its `NAME.json` is wrong; the folder cannot be written.
pub fn install(name: &str, zip: impl Read + Seek, options: &Options) -> Result<Spec> {
    check_name(name)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PluginError::File { path, source }
    };
    fs::create_dir_all(&options.folder).map_err(failed(&options.folder))?;
    // Beside its place, so that the last step is a rename; a name no plugin can have.
    let staging = options.folder.join(format!(".new-{name}"));
    let old = options.folder.join(format!(".old-{name}"));
    let place = options.folder.join(name);
    remove(&staging)?;
    remove(&old)?;
    let spec = unpack(zip, &staging, options).and_then(|()| read_spec(&staging, name));
    let spec = match spec {
        Ok(spec) => spec,
        Err(error) => {
            remove(&staging)?;
            return Err(error);
        }
    };
    make_executable(&staging.join(&spec.executable))?;
    if place.exists() {
        fs::rename(&place, &old).map_err(failed(&place))?;
    }
    fs::rename(&staging, &place).map_err(failed(&place))?;
    remove(&old)?;
    Ok(spec)
}

/// Removes a folder that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(PluginError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn make_executable(path: &Path) -> Result<()> {
    let failed = |source| PluginError::File { path: path.to_owned(), source };
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)
}

fn unpack(zip: impl Read + Seek, into: &Path, options: &Options) -> Result<()> {
    let bad = |error: zip::result::ZipError| PluginError::Package(error.to_string());
    let mut archive = zip::ZipArchive::new(zip).map_err(bad)?;
    if archive.len() > options.max_package_files {
        return Err(PluginError::Package(format!("more than {} files", options.max_package_files)));
    }
    let mut left = options.max_package_bytes;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(bad)?;
        let path = place(&entry, into)?;
        let failed = |source| PluginError::File { path: path.clone(), source };
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(failed)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = File::create_new(&path).map_err(failed)?;
        // Sizes in the directory of a zip may lie: what counts is what comes out.
        let written = std::io::copy(&mut (&mut entry).take(left + 1), &mut file).map_err(failed)?;
        left = left
            .checked_sub(written)
            .ok_or_else(|| PluginError::Package(format!("more than {} bytes unpacked", options.max_package_bytes)))?;
    }
    Ok(())
}

/// Where an entry goes: inside the folder, or nowhere. Links are refused, since later entries could be written through them.
fn place<R: Read>(entry: &zip::read::ZipFile<'_, R>, into: &Path) -> Result<PathBuf> {
    let outside = || PluginError::Package(format!("entry {:?} leaves the folder", entry.name()));
    if entry.is_symlink() {
        return Err(PluginError::Package(format!("entry {:?} is a link", entry.name())));
    }
    let name = entry.enclosed_name().ok_or_else(outside)?;
    Ok(into.join(name))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;

    use super::*;

    const SPEC: &str = r#"{"version":"1","language":"python","executable":"a.py","functions":["f"]}"#;

    fn zip(files: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    fn check(files: &[(&str, &[u8])], expect: &str) {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { max_package_bytes: 10_000, max_package_files: 3, ..Options::new(folder.path().join("p")) };
        let installed = install("a", zip(files), &options);
        let text = installed.map_or_else(|error| error.to_string(), |spec| format!("ok {}", spec.name));
        assert!(text.contains(expect), "{text}");
        let outside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["p"]);
        let inside = fs::read_dir(folder.path().join("p")).unwrap().count();
        assert_eq!(inside, usize::from(text.starts_with("ok")), "nothing half-done may stay");
    }

    #[test]
    fn packages() {
        check(&[("a.json", SPEC.as_bytes()), ("a.py", b"")], "ok a");
        check(&[("a.json", SPEC.as_bytes()), ("lib/x.py", b""), ("a.py", b"")], "ok a");
        check(&[("a.json", SPEC.as_bytes())], "is not in the package");
        check(&[("a.py", b"")], "missing or invalid json file a.json, found 1 files in total");
        check(&[("a.json", b"{"), ("a.py", b"")], "missing or invalid json file a.json");
        for (from, to, expect) in [
            ("\"version\":\"1\"", "\"name\":\"b\"", "invalid plugin, expect name 'a' but got 'b'"),
            ("python", "", "invalid plugin, missing language"),
            ("a.py", "", "invalid plugin, missing executable"),
            ("[\"f\"]", "[]", "invalid plugin, must define at lease one source, sink or function"),
            ("python", "ruby", "invalid plugin, language 'ruby' is not supported"),
        ] {
            check(&[("a.json", SPEC.replace(from, to).as_bytes()), ("a.py", b"")], expect);
        }
        check(&[("a.json", SPEC.as_bytes()), ("../a.py", b"")], "leaves the folder");
        check(&[("a.json", SPEC.as_bytes()), ("x/../../a.py", b"")], "leaves the folder");
        check(&[("a.json", SPEC.as_bytes()), ("a.py", &[0; 20_000])], "more than 10000 bytes");
        check(&[("a.json", SPEC.as_bytes()), ("1", b""), ("2", b""), ("a.py", b"")], "more than 3 files");
        let away = SPEC.replace("a.py", "../../bin/sh");
        check(&[("a.json", away.as_bytes()), ("a.py", b"")], "must be a path inside");
        let symbol = SPEC.replace("\"f\"", "\"../f\"");
        check(&[("a.json", symbol.as_bytes()), ("a.py", b"")], "invalid name");
    }

    #[test]
    fn links_are_refused() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("x", "/etc", SimpleFileOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = install("a", writer.finish().unwrap(), &Options::new(folder.path())).unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
    }

    #[test]
    fn names() {
        for good in ["a", "mirror-2.x_y", "9"] {
            check_name(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", ".hidden", "a b", "é", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
