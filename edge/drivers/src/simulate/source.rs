//! Values to publish: the rows of a file, or a wave.

#[cfg(test)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::clock::now_ms;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Source, Speed};
use crate::DriverError;

/// Rows of one file at most; a row takes 16 bytes.
const MAX_ROWS: usize = 10_000_000;

/// A value and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    pub value: f64,
}

/// Rows by number, for every device.
#[derive(Debug)]
pub(crate) enum Values {
    Wave,
    Rows(Arc<[Row]>),
}

impl Values {
    /// Reads the file, if it is one.
    pub(crate) async fn load(source: &Source) -> Result<Self, DriverError> {
        let Source::Csv(path) = source else { return Ok(Self::Wave) };
        let failed = |reason: String| DriverError::Replay { path: path.clone(), reason };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
        parse(&text).map(|rows| Self::Rows(rows.into())).map_err(failed)
    }

    /// Row `index` of a device; `None` after the last.
    pub(crate) fn row(&self, device: usize, index: u64) -> Option<Row> {
        match self {
            Self::Wave => Some(Row { ts: now_ms(), value: wave(device, index) }),
            Self::Rows(rows) => rows.get(usize::try_from(index).ok()?).copied(),
        }
    }

    /// The pause before row `index`.
    pub(crate) fn pause(&self, speed: Speed, index: u64) -> Duration {
        match (speed, self) {
            (Speed::AsAcknowledged, _) => Duration::ZERO,
            (Speed::RowsPerSecond(rate), _) => Duration::from_secs_f64(1.0 / rate),
            (Speed::TimeFactor(factor), Self::Wave) => Duration::from_secs_f64(1.0 / factor),
            (Speed::TimeFactor(factor), Self::Rows(rows)) => {
                let at = |index: u64| usize::try_from(index).ok().and_then(|index| rows.get(index));
                let (Some(before), Some(this)) = (index.checked_sub(1).and_then(at), at(index)) else {
                    return Duration::ZERO;
                };
                // Recorded files step back in time here and there: then there is no pause.
                Duration::from_millis(u64::try_from(this.ts - before.ts).unwrap_or(0)).div_f64(factor)
            }
        }
    }

    /// The value at a moment of a replay that began `elapsed` ago, and how many rows have passed; the last row stays.
    pub(crate) fn at(&self, device: usize, speed: Speed, elapsed: Duration) -> (f64, u64) {
        let rate = match (speed, self) {
            (Speed::RowsPerSecond(rate), _) => rate,
            (Speed::TimeFactor(factor), Self::Wave) => factor,
            (Speed::TimeFactor(factor), Self::Rows(rows)) => factor * mean_rate(rows),
            (Speed::AsAcknowledged, _) => 1.0,
        };
        let index = (elapsed.as_secs_f64() * rate) as u64;
        match self {
            Self::Wave => (wave(device, index), index),
            Self::Rows(rows) => {
                let last = (rows.len() as u64).saturating_sub(1);
                (self.row(device, index.min(last)).map_or(0.0, |row| row.value), index)
            }
        }
    }
}

/// Rows a second, over the whole file.
fn mean_rate(rows: &[Row]) -> f64 {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return 1.0 };
    let seconds = (last.ts - first.ts) as f64 / 1000.0;
    if seconds > 0.0 { rows.len() as f64 / seconds } else { 1.0 }
}

/// 20 ± 5 over 60 rows, each device a little later, with noise that looks random and never changes.
fn wave(device: usize, index: u64) -> f64 {
    let phase = (index as f64 + device as f64 * 7.0) * std::f64::consts::TAU / 60.0;
    let mut hash = index ^ (device as u64) << 32;
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let noise = (hash >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
    ((20.0 + 5.0 * phase.sin() + noise * 0.2) * 100.0).round() / 100.0
}

fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().trim_start_matches('\u{feff}').trim();
    if header != "timestamp,value" {
        return Err(format!("line 1 is {:?}", header.chars().take(80).collect::<String>()));
    }
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if rows.len() == MAX_ROWS {
            return Err(format!("it has more than {MAX_ROWS} rows"));
        }
        rows.push(
            parse_row(line)
                .ok_or_else(|| format!("line {} is {:?}", index + 2, line.chars().take(80).collect::<String>()))?,
        );
    }
    if rows.is_empty() { Err("it has no rows".to_owned()) } else { Ok(rows) }
}

/// `2013-12-02 21:15:00,73.96`, UTC.
fn parse_row(line: &str) -> Option<Row> {
    let (time, value) = line.trim().split_once(',')?;
    let time: DateTime = time.trim().parse().ok()?;
    let ts = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    let value: f64 = value.trim().parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(Row { ts, value })
}

/// The path of the recorded machine, when it is there.
#[cfg(test)]
pub(crate) fn machine_data() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = path.join("machine_temperature_system_failure.csv");
    if !path.exists() {
        println!("LEFT OUT: {} is not there, the recorded machine is not replayed", path.display());
        return None;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files() {
        let check = |text: &str, expect: Result<&[(i64, f64)], &str>| {
            let got = parse(text).map(|rows| rows.iter().map(|row| (row.ts, row.value)).collect::<Vec<_>>());
            match expect {
                Ok(rows) => assert_eq!(got.as_deref(), Ok(rows)),
                Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{got:?}"),
            }
        };
        check("timestamp,value\n1970-01-01 00:00:01,2.5\n", Ok(&[(1000, 2.5)]));
        check("timestamp,value\r\n1970-01-01T00:00:01,2.5\r\n\r\n", Ok(&[(1000, 2.5)]));
        check("", Err("line 1"));
        check("time,value\n", Err("line 1"));
        check("timestamp,value\n", Err("no rows"));
        check("timestamp,value\nyesterday,1\n", Err("line 2"));
        check("timestamp,value\n1970-01-01 00:00:01,NaN\n", Err("line 2"));
    }

    #[tokio::test]
    async fn the_recorded_machine() {
        let Some(path) = machine_data() else { return };
        let Values::Rows(rows) = Values::load(&Source::Csv(path)).await.unwrap() else { panic!("a file has rows") };
        assert_eq!(rows.len(), 22_695);
        assert_eq!(rows[0].value, 73.967_322_07);
    }

    #[test]
    fn pauses_follow_the_file() {
        let rows = [0, 5_000, 3_000].map(|ts| Row { ts, value: 0.0 });
        let values = Values::Rows(rows.into());
        let pause = |index| values.pause(Speed::TimeFactor(10.0), index);
        assert_eq!([pause(0), pause(1), pause(2)], [Duration::ZERO, Duration::from_millis(500), Duration::ZERO]);
        assert_eq!(values.pause(Speed::RowsPerSecond(4.0), 1), Duration::from_millis(250));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(timestamp,value\n)?.{0,60}") {
            let _either = parse(&text);
        }
    }
}
