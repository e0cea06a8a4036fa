//! `edgeward rule test`: cases of streams and rules on a virtual clock, without any network.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use edgeward_cases::{Outcome, Report, Session, files};

/// Look after rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Run rules on a virtual clock and compare what comes out with what is expected
    Test(TestOptions),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TestOptions {
    /// Files of cases, YAML or JSON: a list of cases, or a case in each document; or folders of such files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object a case instead of a report
    #[arg(long)]
    pub json: bool,
}

/// Stack of the thread that runs the cases: the deepest statement that is accepted must fit in a debug build too.
const STACK_BYTES: usize = 256 << 20;

/// Runs all cases of all files in their order.
pub(crate) fn run(command: RuleCommand) -> anyhow::Result<ExitCode> {
    let RuleCommand::Test(options) = command;
    let thread = std::thread::Builder::new().name("cases".into()).stack_size(STACK_BYTES);
    let running = thread.spawn(move || run_all(&options)).context("no thread for the cases")?;
    running.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the run itself panicked")))
}

fn run_all(options: &TestOptions) -> anyhow::Result<ExitCode> {
    let mut session = Session::default();
    let mut teller = Teller { json: options.json, progress: !options.json && std::io::stderr().is_terminal(), told: 0 };
    for path in &options.files {
        for file in files(path).with_context(|| format!("{} cannot be read", path.display()))? {
            session.run_file(&file, &mut |report| teller.tell(report)).context("the report cannot be written")?;
        }
    }
    teller.finish(&session)?;
    Ok(ExitCode::from(match session.outcome() {
        Outcome::Ok => 0,
        Outcome::Failed => 1,
        Outcome::Refused => 2,
        Outcome::Invalid => 3,
    }))
}

struct Teller {
    json: bool,
    progress: bool,
    told: usize,
}

impl Teller {
    /// Each report is out before the next case begins.
    fn tell(&mut self, report: &Report) -> std::io::Result<()> {
        self.told += 1;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", report.json_line())?;
            return out.flush();
        }
        if self.progress {
            eprint!("\r{} cases\r", self.told);
        }
        writeln!(out, "{} {}", if report.ok { "ok    " } else { "FAILED" }, report.name)?;
        for line in report.explanation().lines() {
            writeln!(out, "       {line}")?;
        }
        Ok(())
    }

    fn finish(&self, session: &Session) -> std::io::Result<()> {
        if !self.json {
            writeln!(std::io::stdout(), "{} of {} cases ok", session.ok(), session.cases())?;
        }
        Ok(())
    }
}
