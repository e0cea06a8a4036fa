//! `kuiper`: eKuiper's command line, over REST.

mod client;
mod commands;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::output;

/// What is typed behind `edgeward kuiper`.
#[derive(Clone, Debug, Args)]
pub(crate) struct KuiperOptions {
    /// Where the rules' REST listens
    #[arg(long, env = "KUIPER_REST", default_value = "127.0.0.1:9081", value_name = "HOST:PORT")]
    pub rest: String,
    /// eKuiper's command: `create stream demo '(…) WITH (…)'`, `show rules`, `getstatus rule ID` …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs one command and prints the answer.
pub(crate) async fn run(options: KuiperOptions) -> anyhow::Result<ExitCode> {
    let request = commands::request(&options.command, &|path| Ok(std::fs::read_to_string(path)?))?;
    let answer = client::call(&options.rest, &request).await?;
    output::line(answer.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The arguments of a program that was called by the name `kuiper`: as if `edgeward kuiper` had been typed.
pub(crate) fn by_name(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let named =
        arguments.first().and_then(|program| Path::new(program).file_name()).is_some_and(|name| name == "kuiper");
    if named {
        arguments.insert(1, "kuiper".into());
    }
    arguments
}
