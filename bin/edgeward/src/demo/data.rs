//! The readings of the large machine: the real data set if it is at hand, a generated one otherwise.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

const REAL: &str = "machine_temperature_system_failure.csv";
const WINDOWS: &str = "anomaly_windows.json";
const GENERATED_ROWS: i64 = 12_000;
/// Five minutes, as in the real set.
const STEP_SECONDS: i64 = 300;

/// A file of readings and the times in which the machine was failing.
pub(super) struct Machine {
    pub file: PathBuf,
    pub rows: u64,
    /// Begin and end of each failure, in milliseconds since 1970.
    pub windows: Vec<(i64, i64)>,
    pub real: bool,
}

/// Finds the data set that the user named, the one beside the project, or makes one.
pub(super) fn find(named: Option<&Path>, dir: &Path) -> anyhow::Result<Machine> {
    let beside = ["../shared/data", "shared/data"].map(|folder| Path::new(folder).join(REAL));
    let found = named.map(Path::to_owned).or_else(|| beside.into_iter().find(|path| path.is_file()));
    let Some(file) = found else { return generate(dir) };
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let rows = text.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
    let windows = windows(&file.with_file_name(WINDOWS), &file)?;
    Ok(Machine { file, rows: u64::try_from(rows)?, windows, real: true })
}

fn windows(path: &Path, data: &Path) -> anyhow::Result<Vec<(i64, i64)>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(Vec::new()) };
    let all: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let name = data.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let listed = all.get(name).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let windows = listed.iter().filter_map(|window| {
        let time = |index: usize| milliseconds(window.get(index)?.as_str()?);
        Some((time(0)?, time(1)?))
    });
    Ok(windows.collect())
}

/// `2013-12-10 06:25:00.000000`, in UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let time: jiff::civil::DateTime = text.replace(' ', "T").parse().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A machine that runs around 90 degrees and fails twice, each time for a day and a half.
fn generate(dir: &Path) -> anyhow::Result<Machine> {
    let start = 1_385_856_000_i64;
    let failures = [(4_000, 4_430), (9_000, 9_430)];
    let mut text = String::from("timestamp,value\n");
    for row in 0..GENERATED_ROWS {
        let failing = failures.iter().any(|(from, to)| (*from..*to).contains(&row));
        // A slow wave and a fast one, so that neighbouring values differ.
        let wave = (row % 288 - 144).abs() as f64 / 12.0 + (row % 7) as f64 / 2.0;
        let value = if failing { 30.0 } else { 85.0 } + wave;
        let time = jiff::Timestamp::from_second(start + row * STEP_SECONDS)?;
        writeln!(text, "{},{value}", time.strftime("%Y-%m-%d %H:%M:%S"))?;
    }
    let file = dir.join("machine.csv");
    std::fs::write(&file, text)?;
    let at = |row: i64| (start + row * STEP_SECONDS) * 1000;
    // The average of six hours notices a failure late and its end later.
    let windows = failures.iter().map(|(from, to)| (at(*from), at(*to) + 6 * 3_600_000)).collect();
    Ok(Machine { file, rows: u64::try_from(GENERATED_ROWS)?, windows, real: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_machine_has_as_many_rows_as_it_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = generate(folder.path()).expect("generated");
        let text = std::fs::read_to_string(&machine.file).expect("read");
        assert_eq!(text.lines().count() as u64, machine.rows + 1);
        assert_eq!(machine.windows.len(), 2);
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("2013-12-01 00:00:00,")));
    }

    #[test]
    fn times_of_the_windows_are_utc() {
        assert_eq!(milliseconds("1970-01-02 00:00:00.000000"), Some(86_400_000));
        assert_eq!(milliseconds("yesterday"), None);
    }
}
