//! Readings of a large industrial machine: the real set, or a generated one of the same size.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::{Site, machine};

const REAL: &str = "machine_temperature_system_failure.csv";
const WINDOWS: &str = "anomaly_windows.json";
const ROWS: usize = 22_695;
/// Five minutes, as in the real set.
const STEP_SECONDS: i64 = 300;
const START: i64 = 1_386_018_900;
/// Failures of the generated machine, in rows.
const FAILURES: [(usize, usize); 4] = [(2_000, 2_560), (3_650, 4_200), (16_000, 16_560), (19_100, 19_660)];

/// A file of `timestamp,value` lines and the times in which the machine was failing.
pub struct Readings {
    /// The file.
    pub file: PathBuf,
    /// Lines below its header.
    pub rows: u64,
    /// Begin and end of each failure, milliseconds since 1970.
    pub windows: Vec<(i64, i64)>,
}

/// The real set if it is beside the workspace, a generated one otherwise.
pub fn readings(site: &Site) -> anyhow::Result<Readings> {
    match machine::shared("data", "the real data set (a generated one takes its place)") {
        Some(folder) => real(&folder.join(REAL), &folder.join(WINDOWS)),
        None => generated(site),
    }
}

fn real(file: &std::path::Path, windows: &std::path::Path) -> anyhow::Result<Readings> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let rows = text.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
    let all: Value = serde_json::from_str(&std::fs::read_to_string(windows)?)?;
    let listed = all.get(REAL).and_then(Value::as_array).context("the set's windows")?;
    let time = |window: &Value, index: usize| milliseconds(window.get(index)?.as_str()?);
    let windows = listed.iter().filter_map(|window| Some((time(window, 0)?, time(window, 1)?))).collect();
    Ok(Readings { file: file.to_owned(), rows: u64::try_from(rows)?, windows })
}

/// `2013-12-10 06:25:00.000000`, in UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let time: jiff::civil::DateTime = text.replace(' ', "T").parse().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A machine that runs around 90 degrees and fails four times, for two days each.
fn generated(site: &Site) -> anyhow::Result<Readings> {
    let mut text = String::from("timestamp,value\n");
    for row in 0..ROWS {
        let failing = FAILURES.iter().any(|(from, to)| (*from..*to).contains(&row));
        // A slow wave and a fast one, so that neighbouring values differ.
        let wave = (row % 288).abs_diff(144) as f64 / 12.0 + (row % 7) as f64 / 2.0;
        let value = if failing { 30.0 } else { 85.0 } + wave;
        let time = jiff::Timestamp::from_second(START + i64::try_from(row)? * STEP_SECONDS)?;
        writeln!(text, "{},{value}", time.strftime("%Y-%m-%d %H:%M:%S"))?;
    }
    let file = site.dir().join("machine.csv");
    std::fs::write(&file, text)?;
    let at = |row: usize| (START + i64::try_from(row).unwrap_or(0) * STEP_SECONDS) * 1000;
    // An average of six hours notices a failure late and its end later.
    let windows = FAILURES.iter().map(|(from, to)| (at(*from), at(*to) + 6 * 3_600_000)).collect();
    Ok(Readings { file, rows: u64::try_from(ROWS)?, windows })
}
