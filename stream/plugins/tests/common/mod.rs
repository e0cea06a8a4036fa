// Not every test uses all of it.
#![allow(dead_code)]

//! The real peer: a Python with the package `ekuiper` (and with it `pynng`) from PyPI, kept in the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What users install. A change of version needs a new folder.
const SDK: &str = "ekuiper==2.4.2";

/// The interpreter with the SDK; none, with a loud line, where it cannot be had.
pub(crate) fn python(left_out: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ekuiper-2.4.2");
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    // Tests of several binaries may run at once: one installs, the others wait for the lock's end.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if ready.exists() {
        return Some(python);
    }
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .and_then(|()| run(Command::new(&python).args(["-m", "pip", "install", "--quiet", SDK])));
    match made {
        Ok(()) => {
            std::fs::write(ready, "").unwrap();
            Some(python)
        }
        Err(error) => {
            eprintln!("!!! LEFT OUT: {left_out}: no Python with {SDK}: {error}");
            None
        }
    }
}

/// The demo plugin for this process alone: its name and its symbols end in `_ID`, since the SDK's sockets are all in `/tmp`.
/// Answers its name and its files.
pub(crate) fn demo() -> (String, Vec<(String, String)>) {
    let name = own("demo");
    let renamed = |text: &str| {
        let words = ["demo", "twice", "total", "die", "sleepy", "counter", "writer"];
        let quoted = |text: String, word: &&str| text.replace(&format!("\"{word}\""), &format!("\"{}\"", own(word)));
        words.iter().fold(text.to_owned(), quoted)
    };
    let json = renamed(include_str!("../demo/demo.json"));
    let files = vec![(format!("{name}.json"), json), ("demo.py".into(), renamed(include_str!("../demo/demo.py")))];
    (name, files)
}

/// A name of the demo plugin as this process has it.
pub(crate) fn own(name: &str) -> String {
    format!("{name}_{}", std::process::id())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
