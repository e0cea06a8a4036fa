//! A run of many cases: names, panics, the exit code.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::file::documents;
use crate::{Case, Report, Verdict};

/// What a run of cases comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All are ok.
    Ok,
    /// Some are not.
    Failed,
    /// The only one was refused, and nobody expected that.
    Refused,
    /// Some file or case is not understood.
    Invalid,
}

/// Cases one after another.
#[derive(Debug, Default)]
pub struct Session {
    names: HashSet<String>,
    ok: usize,
    cases: usize,
    refused: usize,
    invalid: usize,
}

impl Session {
    /// Runs the cases of a file, telling each report before the next case begins. A file that cannot be read is one report under
    /// the file's name.
    ///
    /// # Errors
    /// That of `tell`, which ends the run.
    pub fn run_file<E>(&mut self, file: &Path, tell: &mut dyn FnMut(&Report) -> Result<(), E>) -> Result<(), E> {
        let path = file.display().to_string();
        let (cases, broken) = match std::fs::read(file).map(String::from_utf8) {
            Ok(Ok(text)) => documents(&text),
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        for (index, case) in cases.into_iter().enumerate() {
            let report = self.run(&format!("{path}#{}", index + 1), case);
            tell(&report)?;
        }
        match broken {
            None => Ok(()),
            Some(error) => {
                self.invalid += 1;
                tell(&Report::invalid(&path, format!("the file cannot be read: {error}")))
            }
        }
    }

    /// Runs one case as it was written; `default_name` is for one without a name.
    pub fn run(&mut self, default_name: &str, document: Json) -> Report {
        let given = document.get("name").and_then(Json::as_str).filter(|name| !name.is_empty());
        let name = given.unwrap_or(default_name).to_owned();
        let report = if self.names.insert(name.clone()) {
            run(&name, document)
        } else {
            Report::invalid(&name, "another case of this run has the same name".into())
        };
        self.cases += 1;
        self.ok += usize::from(report.ok);
        self.refused += usize::from(!report.ok && matches!(report.verdict, Verdict::Refused(..)));
        self.invalid += usize::from(matches!(report.verdict, Verdict::Invalid(_)));
        report
    }

    /// How many cases ran.
    pub fn cases(&self) -> usize {
        self.cases
    }

    /// How many of them were ok.
    pub fn ok(&self) -> usize {
        self.ok
    }

    /// What the run came to.
    pub fn outcome(&self) -> Outcome {
        match self {
            _ if self.invalid > 0 => Outcome::Invalid,
            _ if self.cases == 1 && self.refused == 1 => Outcome::Refused,
            _ if self.ok < self.cases => Outcome::Failed,
            _ => Outcome::Ok,
        }
    }
}

fn run(name: &str, document: Json) -> Report {
    // A defect that one case meets must not hide what the others show.
    let ran = catch_unwind(AssertUnwindSafe(|| match Case::read(document) {
        Ok(case) => Case { name: name.into(), ..case }.run(),
        Err(error) => Report::invalid(name, error),
    }));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Report::panicked(name, text.unwrap_or("unknown").into())
    })
}

/// The files a path stands for: itself, or the `.yaml`, `.yml` and `.json` files below a folder, sorted by path.
///
/// # Errors
/// A folder cannot be read.
pub fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries: std::io::Result<Vec<PathBuf>> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let of_cases =
            entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|ours| extension == *ours));
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else if of_cases {
            found.push(entry);
        }
    }
    Ok(found)
}
