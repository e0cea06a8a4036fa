//! The project's SQL tests: the cases under `tests/sql` and the examples, run as `edgeward rule test` runs them.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::convert::Infallible;
use std::path::Path;

use edgeward_cases::{Session, files};

#[test]
fn every_case_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut session = Session::default();
    let mut failures = Vec::new();
    for folder in ["tests/sql", "examples/rule-tests"] {
        for file in files(&root.join(folder)).unwrap() {
            let tell = &mut |report: &edgeward_cases::Report| {
                if !report.ok {
                    failures.push(format!("{} in {}\n{}", report.name, file.display(), report.explanation()));
                }
                Ok::<(), Infallible>(())
            };
            let Ok(()) = session.run_file(&file, tell);
        }
    }
    assert!(session.cases() >= 60, "only {} cases were found", session.cases());
    assert!(failures.is_empty(), "{} of {} cases fail\n\n{}", failures.len(), session.cases(), failures.join("\n\n"));
}
