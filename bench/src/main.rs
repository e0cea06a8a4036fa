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
mod stream;
mod stream_rows;
mod twin;

use std::process::ExitCode;

use figure::Figure;

// The program's allocator, for what is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A measurement by its name.
type Measurement = (&'static str, fn() -> anyhow::Result<Vec<Figure>>);

const ALL: [Measurement; 13] = [
    ("server-start", server_start::measure),
    ("agent-memory", agent_memory::measure),
    ("apply-ready", apply_ready::measure),
    ("twin", twin::measure),
    ("session-back", session_back::measure),
    ("alarm", alarm::measure),
    ("idle", idle::measure),
    ("broker", broker::measure),
    ("stream-rows", stream_rows::measure),
    ("stream-engine", stream::rows),
    ("stream-many", stream::many),
    ("stream-mosquitto", stream::subscriber),
    ("stream-stored", stream::stored),
];

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let unknown = only.iter().find(|wanted| ALL.iter().all(|(name, _)| !is_of(name, wanted)));
    if let Some(name) = unknown {
        let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        edgeward_tests::say(format!("no measurement {name:?}; there are: {}", names.join(", ")));
        return ExitCode::from(64);
    }
    let mut figures = Vec::new();
    let mut failed = false;
    for (name, measure) in
        ALL.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|wanted| is_of(name, wanted)))
    {
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

/// Whether a measurement is the one that is wanted or, as `stream-rows` of `stream`, a part of it.
fn is_of(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
