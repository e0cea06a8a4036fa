//! `edgeward completion bash`: completions from the same definition as the parser.

use std::process::ExitCode;

pub(crate) fn run(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    clap_complete::generate(shell, &mut crate::cli::command(), "edgeward", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
