//! The configuration file: flags under their own names, as k3s has it.
//!
//! ```yaml
//! node-label: [site=lyon, line=3]
//! mqtt-listen: 127.0.0.1:1883
//! disable-pods: true
//! ```
//!
//! The file's flags are put before those of the command line, so that what is typed wins.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

const DEFAULT: &str = "/etc/edgeward/config.yaml";
/// Commands that read the default file without being told.
const DAEMONS: [&str; 3] = ["server", "agent", "up"];
const MAX_BYTES: u64 = 1 << 20;

/// The arguments with those of the configuration file inserted behind the command.
pub(crate) fn arguments(typed: impl IntoIterator<Item = OsString>) -> anyhow::Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = typed.into_iter().collect();
    let Some(at) = arguments.iter().skip(1).position(|argument| !argument.to_string_lossy().starts_with('-')) else {
        return Ok(arguments);
    };
    let command = arguments[at + 1].to_string_lossy().into_owned();
    let Some(path) = file(&arguments, &command) else { return Ok(arguments) };
    let flags = read(&path).with_context(|| format!("configuration file {}", path.display()))?;
    arguments.splice(at + 2..at + 2, flags.into_iter().map(OsString::from));
    Ok(arguments)
}

fn file(arguments: &[OsString], command: &str) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == OsStr::new("--config") {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    let named = std::env::var_os("EDGEWARD_CONFIG").map(PathBuf::from);
    named.or_else(|| (DAEMONS.contains(&command) && Path::new(DEFAULT).exists()).then(|| PathBuf::from(DEFAULT)))
}

fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_BYTES {
        bail!("{size} bytes are more than the {MAX_BYTES} a configuration may have");
    }
    flags(&std::fs::read_to_string(path)?)
}

/// `--name=value` for each line of the file.
fn flags(text: &str) -> anyhow::Result<Vec<String>> {
    let document: Value = serde_saphyr::from_str(text).context("not valid YAML")?;
    let fields = match document {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Vec::new()),
        _ => bail!("must be lines of `flag: value`"),
    };
    let mut flags = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Bool(true) => flags.push(format!("--{name}")),
            // A switch that is off is the default.
            Value::Bool(false) | Value::Null => {}
            Value::Array(items) => {
                let items: anyhow::Result<Vec<String>> = items.iter().map(|item| scalar(&name, item)).collect();
                flags.push(format!("--{name}={}", items?.join(",")));
            }
            value => flags.push(format!("--{name}={}", scalar(&name, &value)?)),
        }
    }
    Ok(flags)
}

fn scalar(name: &str, value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(switch) => Ok(switch.to_string()),
        _ => bail!("{name}: must be a text, a number, true, false or a list of these"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_flags() {
        let text = "node-label: [a=b, c=d]\nlink-port: 7\ndisable-pods: true\nstop-pods: false\nserver: cloud\n";
        assert_eq!(
            flags(text).expect("valid"),
            ["--node-label=a=b,c=d", "--link-port=7", "--disable-pods", "--server=cloud"]
        );
        assert!(flags("").expect("an empty file is valid").is_empty());
    }

    #[test]
    fn what_is_not_a_flag_is_refused_by_name() {
        assert!(flags("- a\n- b\n").is_err());
        assert!(flags("a: {b: c}").expect_err("nested").to_string().starts_with("a: "));
        assert!(flags("a: [").is_err());
    }

    #[test]
    fn the_file_comes_before_what_is_typed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "link-port: 1").expect("written");
        let typed = ["edgeward", "--config", path.to_str().expect("utf-8"), "server", "--link-port=2"];
        // `--config` takes a value, so the command is found behind it.
        let merged = arguments(typed.iter().map(OsString::from)).expect("merged");
        let merged: Vec<_> = merged.iter().map(|argument| argument.to_string_lossy()).collect();
        assert!(merged.iter().position(|a| a == "--link-port=1") < merged.iter().position(|a| a == "--link-port=2"));
    }
}
