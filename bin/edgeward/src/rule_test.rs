//! `edgeward rule test`: cases of streams and rules on a virtual clock, without any network.
#![allow(clippy::print_stdout)]

use std::collections::HashSet;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use edgeward_engine::trial::{Case, Report, Verdict, documents};
use edgeward_sql::ast::CreateStream;

/// Look after rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Run rules on a virtual clock and compare what comes out with what is expected
    Test(TestOptions),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TestOptions {
    /// Files of cases, YAML or JSON: a list of cases, or a case in each document
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object a case instead of a report
    #[arg(long)]
    pub json: bool,
}

/// Some case is not ok.
const FAILED: u8 = 1;
/// The only case was refused, and nobody expected that.
const REFUSED: u8 = 2;
/// Some file or case is not understood.
const INVALID: u8 = 3;

/// Runs all cases of all files in their order.
pub(crate) fn run(command: RuleCommand) -> anyhow::Result<ExitCode> {
    let RuleCommand::Test(options) = command;
    let mut tally = Tally { json: options.json, ..Tally::default() };
    for file in &options.files {
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| documents(&text)) {
            Err(error) => tally.file_refused(&path, &error),
            Ok(cases) => {
                for (index, document) in cases.into_iter().enumerate() {
                    let report = tally.run(&format!("{path}#{}", index + 1), document);
                    tally.add(&report).context("the report cannot be written")?;
                }
            }
        }
    }
    tally.finish();
    Ok(tally.exit_code())
}

#[derive(Default)]
struct Tally {
    json: bool,
    names: HashSet<String>,
    cases: usize,
    ok: usize,
    refused: usize,
    invalid: usize,
}

impl Tally {
    fn run(&mut self, default_name: &str, document: serde_json::Value) -> Report {
        let given = document.get("name").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty());
        let name = given.unwrap_or(default_name).to_owned();
        if !self.names.insert(name.clone()) {
            return Report::invalid(&name, "another case of this run has the same name".into());
        }
        let mut case = match Case::read(document) {
            Ok(case) => case,
            Err(error) => return Report::invalid(&name, error),
        };
        case.name.clone_from(&name);
        // A defect that one case meets must not hide what the others show.
        catch_unwind(AssertUnwindSafe(|| case.run(&decoder))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
            Report::panicked(&name, text.unwrap_or("unknown").into())
        })
    }

    fn add(&mut self, report: &Report) -> std::io::Result<()> {
        self.cases += 1;
        self.ok += usize::from(report.ok);
        match report.verdict {
            Verdict::Refused(..) if !report.ok => self.refused += 1,
            Verdict::Invalid(_) => self.invalid += 1,
            _ => {}
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", report.json_line())?;
            return out.flush();
        }
        writeln!(out, "{} {}", if report.ok { "ok    " } else { "FAILED" }, report.name)?;
        for line in report.explanation().lines() {
            writeln!(out, "       {line}")?;
        }
        Ok(())
    }

    fn file_refused(&mut self, path: &str, error: &str) {
        // Standard output belongs to the cases.
        tracing::debug!(path, error, "a file of cases cannot be read");
        self.invalid += 1;
        let report = Report::invalid(path, format!("the file cannot be read: {error}"));
        if self.json {
            println!("{}", report.json_line());
        } else {
            println!("FAILED {path}\n       {}", report.explanation());
        }
    }

    fn finish(&self) {
        if !self.json {
            println!("{} of {} cases ok", self.ok, self.cases);
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            _ if self.invalid > 0 => INVALID,
            _ if self.cases == 1 && self.refused == 1 => REFUSED,
            _ if self.ok < self.cases => FAILED,
            _ => 0,
        })
    }
}

/// The decoder of a stream's FORMAT; what SCHEMAID names is not resolved.
fn decoder(create: &CreateStream) -> Result<Option<Box<dyn edgeward_engine::Decode>>, String> {
    let options = &create.options;
    edgeward_connect::decoder(
        options.format.as_deref().unwrap_or_default(),
        &create.fields,
        options.delimiter.as_deref(),
    )
    .map_err(|error| error.to_string())
}
