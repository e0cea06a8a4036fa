//! Chores that want a program: `cargo run -p xtask -- directions` prints every dependency edge that breaks the house
//! rule "dependencies point downwards only". The same check runs as a test.

mod directions;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("directions") => report(&directions::violations(&directions::workspace_edges()?)),
        other => anyhow::bail!("unknown chore {other:?}; there is: directions"),
    }
}

/// The program is the one place that prints.
#[allow(clippy::print_stdout)]
fn report(violations: &[String]) -> anyhow::Result<ExitCode> {
    for violation in violations {
        println!("{violation}");
    }
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
