//! `kuiper`: eKuiper's command line, over REST.

mod client;
mod commands;
mod query;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use edgeward_service::Tasks;

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
pub(crate) async fn run(options: KuiperOptions, tasks: Tasks) -> anyhow::Result<ExitCode> {
    let read = |path: &str| Ok(std::fs::read_to_string(path)?);
    match options.command.split_first() {
        Some((first, rest)) if first == "query" => query::run(&options.rest, rest, &read, &tasks).await?,
        _ => command(&options, &read).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn command(options: &KuiperOptions, read: commands::Read<'_>) -> anyhow::Result<()> {
    let (request, file) = commands::request(&options.command, read)?;
    if let [first, kind, .., flag, path] = &options.command[..]
        && first == "create"
        && matches!(flag.as_str(), "-f" | "--file")
    {
        output::line(format!("Creating a new {kind} from file {path}."));
    }
    let answer = client::call(&options.rest, &request).await?;
    match file {
        None => output::line(commands::shown(&options.command, &answer)),
        Some(file) => {
            std::fs::write(&file, answer).with_context(|| format!("write {file}"))?;
            output::line(format!("exported to {file}"));
        }
    }
    Ok(())
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
