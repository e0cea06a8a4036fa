//! The alarm rule on the real data set: a six-hour average below 55 degrees in event time.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::fmt::Write;
use std::path::PathBuf;

use edgeward_engine::trial::Trial;
use edgeward_engine::{Message, Plan, RuleOptions, StreamDef, timestamp_ms};
use edgeward_sql::ast::Statement;
use serde_json::Value as Json;

/// 22,695 readings; the file's four windows of failure.
struct DataSet {
    readings: Vec<(String, f64)>,
    failures: Vec<(i64, i64)>,
}

fn shared(file: &str) -> Option<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(file);
    std::fs::read_to_string(path).ok()
}

/// The data's times are UTC without saying so.
fn ms(text: &str) -> i64 {
    let (day, clock) = (&text[..10], &text[11..19]);
    format!("{day}T{clock}Z").parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn real() -> Option<DataSet> {
    let readings = shared("machine_temperature_system_failure.csv")?;
    let windows: Json = serde_json::from_str(&shared("anomaly_windows.json")?).unwrap();
    let windows = windows["machine_temperature_system_failure.csv"].as_array().unwrap();
    Some(DataSet {
        readings: readings
            .lines()
            .skip(1)
            .map(|line| line.split_once(',').map(|(time, value)| (time.to_string(), value.parse().unwrap())).unwrap())
            .collect(),
        failures: windows
            .iter()
            .map(|window| (ms(window[0].as_str().unwrap()), ms(window[1].as_str().unwrap())))
            .collect(),
    })
}

/// A stand-in of the same shape: 85 with a dip of two days in each of four windows, rows swapped and times repeated here and there.
fn generated() -> DataSet {
    let start = ms("2013-12-02 21:15:00");
    let minute = 60_000;
    let failures: Vec<(i64, i64)> = [2000i64, 6000, 12_000, 18_000]
        .iter()
        .map(|at| (start + at * 5 * minute, start + (at + 576) * 5 * minute))
        .collect();
    let mut readings: Vec<(String, f64)> = (0..22_695i64)
        .map(|index| {
            let time = start + (index - i64::from(index % 2000 == 7)) * 5 * minute;
            let dip = failures.iter().any(|(from, to)| (*from + 100 * minute..*to - 100 * minute).contains(&time));
            let value = if dip { 40.0 } else { 85.0 } + (index % 17) as f64 * 0.3;
            (timestamp_ms(time).strftime("%Y-%m-%d %H:%M:%S").to_string(), value)
        })
        .collect();
    (500..22_000).step_by(3000).for_each(|index| readings.swap(index, index + 1));
    DataSet { readings, failures }
}

#[test]
fn a_six_hour_average_finds_the_failures() {
    let real = real();
    if real.is_none() {
        // Loud on purpose: without the file the claim about the real machine is not tested.
        tell("../shared/data is absent: the alarm rule runs on generated data only");
    }
    let is_real = real.is_some();
    let data = real.unwrap_or_else(generated);
    let Ok(Statement::Create(create)) = edgeward_sql::parse(
        r#"CREATE STREAM machine (ts DATETIME, value FLOAT) WITH (DATASOURCE="m", TIMESTAMP="ts", TIMESTAMP_FORMAT="yyyy-MM-dd HH:mm:ss")"#,
    ) else {
        panic!("the definition does not parse");
    };
    let definition = StreamDef::new(&create);
    let sql = "SELECT avg(value) AS average, count(*) AS n, window_end() AS at FROM machine GROUP BY SLIDINGWINDOW(hh, 6) HAVING average < 55";
    // The rows that are out of order lie at most an hour back (the change of clocks).
    let options = RuleOptions { is_event_time: true, late_tolerance: 2 * 3_600_000, ..RuleOptions::default() };
    let plan = Plan::new(&edgeward_sql::parse_select(sql).unwrap(), &options, &|_| Some(definition.clone())).unwrap();
    let mut trial = Trial::start("alarm", plan, 0).unwrap();
    let mut payload = String::new();
    for (time, value) in &data.readings {
        payload.clear();
        write!(payload, r#"{{"ts":"{time}","value":{value}}}"#).unwrap();
        trial.push("machine", Message::payload(payload.clone().into_bytes()), 0);
    }
    // A last reading far later lets the watermark pass everything.
    trial.push("machine", Message::payload(r#"{"ts":"2015-01-01 00:00:00","value":85}"#.as_bytes()), 0);
    let alarms: Vec<i64> =
        trial.take().iter().flat_map(|emission| &emission.rows).filter_map(|row| row.get("at").as_i64()).collect();
    let within = |at: &i64| data.failures.iter().position(|(from, to)| (*from..=*to).contains(at));
    let outside = alarms.iter().filter(|at| within(at).is_none()).count();
    for failure in 0..data.failures.len() {
        assert!(alarms.iter().any(|at| within(at) == Some(failure)), "no alarm inside failure {failure}");
    }
    let share = outside as f64 / alarms.len() as f64;
    assert!(share <= 0.15, "{outside} of {} alarms lie outside", alarms.len());
    let note = format!("{} alarms, {outside} outside ({:.1} %), real data: {is_real}", alarms.len(), share * 100.0);
    tell(&note);
    assert_eq!(data.readings.len(), 22_695);
}

/// Tests may speak; the lint is for libraries.
#[allow(clippy::print_stderr)]
fn tell(text: &str) {
    eprintln!("{text}");
}
