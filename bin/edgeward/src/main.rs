//! `edgeward`: one program for cloud and edge.
//!
//! This crate is where the tiers meet: it reads the command line and the configuration, and decides which parts run in
//! this process. Every part lives in a room of its own; see ARCHITECTURE.md.

mod advertise;
mod agent;
mod cli;
mod completion;
mod config;
mod demo;
mod http;
mod kubeconfig;
mod kuiper;
mod logging;
mod logs;
mod node;
mod output;
mod pause;
mod readings;
mod rule_test;
mod rules;
mod run;
mod server;
mod simulate;
mod surroundings;
mod token;
mod up;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::cli::{Cli, Command, LogOptions, StreamOptions};

/// Gives memory back to the system sooner than the C library's allocator, which matters on small nodes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for a command line or configuration that cannot be understood (EX_USAGE).
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match config::arguments(kuiper::by_name(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => return output::fail(&error, EXIT_USAGE),
    };
    let cli = match cli::command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // Help and errors are already written for people; a closed pipe is their choice.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => output::fail(&error, 1),
    }
}

/// The stream engine alone; its settings come first, because the log's level is among them.
fn stream(mut log: LogOptions, options: &StreamOptions) -> anyhow::Result<ExitCode> {
    let settings = rules::Settings::load(&options.rules)?;
    if let (None, Some(level)) = (&log.log, settings.log_level()?) {
        log.log = Some(logging::filter(level));
    }
    logging::init(&log, None, Some(&settings.log(&options.data_dir)))?;
    run::service_within(
        settings.grace(),
        |tasks| async move { rules::serve(&options.data_dir, &settings, tasks).await },
    )
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        // No runtime, no logs, no allocation to speak of: this is what holds a pod's namespaces.
        Command::Pause => pause::run(),
        Command::Completion { shell } => completion::run(shell),
        Command::Server(options) => run::service(&cli.log, |tasks| server::serve(options, tasks)),
        Command::Agent(options) => run::service(&cli.log, |tasks| agent::serve(*options, tasks)),
        Command::Up(options) => run::service(&cli.log, |tasks| up::serve(options, tasks)),
        Command::Stream(options) => stream(cli.log, &options),
        Command::Simulate(options) => run::service(&cli.log, |tasks| simulate::serve(options, tasks)),
        Command::Demo(options) => run::tool(&cli.log, |tasks| demo::run(options, tasks)),
        Command::Kuiper(options) => run::tool(&cli.log, |tasks| kuiper::run(options, tasks)),
        Command::Token(command) => run::tool(&cli.log, |_| token::run(command)),
        Command::Node(command) => run::tool(&cli.log, |_| node::run(command)),
        // Synchronous, with no runtime and no logs.
        Command::Rule(command) => rule_test::run(command),
        Command::Readings(options) => run::tool(&cli.log, |_| readings::run(options)),
    }
}
