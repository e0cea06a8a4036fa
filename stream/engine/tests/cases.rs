//! Runs the SQL cases under `tests/cases`: files in the format of `edgeward rule test`.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::path::Path;

use edgeward_engine::trial::{Case, documents};

#[test]
fn every_case_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rule-tests");
    let examples = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    files.extend(examples.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")));
    files.sort();
    let (mut count, mut failures) = (0, Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let cases = documents(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (index, case) in cases.into_iter().enumerate() {
            count += 1;
            let name = format!("{} #{index}", file.file_name().unwrap().to_string_lossy());
            let report = match Case::read(case) {
                Ok(case) => case.run(&|_| Ok(None)),
                Err(error) => panic!("{name}: {error}"),
            };
            if !report.ok {
                failures.push(format!("{name} {}: {}", report.name, report.explanation()));
            }
        }
    }
    assert!(files.len() >= 6 && count >= 60, "only {count} cases in {} files were found", files.len());
    assert!(failures.is_empty(), "{} of {count} cases fail\n{}", failures.len(), failures.join("\n\n"));
}
