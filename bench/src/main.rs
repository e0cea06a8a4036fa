//! `make bench`: speed and memory of the release program beside its aims and its peers.
//!
//! Every measurement starts the program itself, looks at it from outside and has a file of its own. Figures are medians
//! of a shared machine: quote ratios. Nothing here fails because a figure is bad.

mod agent_memory;
mod alarm;
mod apply_ready;
mod broker;
mod figure;
mod idle;
mod raw;
mod server_start;
mod session_back;
mod stream_rows;
mod twin;

use std::process::ExitCode;

use figure::Figure;

/// A measurement by its name.
type Measurement = (&'static str, fn() -> anyhow::Result<Vec<Figure>>);

const ALL: [Measurement; 9] = [
    ("server-start", server_start::measure),
    ("agent-memory", agent_memory::measure),
    ("apply-ready", apply_ready::measure),
    ("twin", twin::measure),
    ("session-back", session_back::measure),
    ("alarm", alarm::measure),
    ("idle", idle::measure),
    ("broker", broker::measure),
    ("stream-rows", stream_rows::measure),
];

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let unknown = only.iter().find(|name| ALL.iter().all(|(known, _)| known != name));
    if let Some(name) = unknown {
        let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        edgeward_tests::say(format!("no measurement {name:?}; there are: {}", names.join(", ")));
        return ExitCode::from(64);
    }
    let mut figures = Vec::new();
    let mut failed = false;
    for (name, measure) in ALL.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|wanted| wanted == name)) {
        edgeward_tests::say(format!("measuring {name}"));
        match measure() {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                failed = true;
                edgeward_tests::say(format!("{name} could not be measured: {error:#}"));
            }
        }
    }
    figure::print(&figures);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
