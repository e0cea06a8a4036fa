//! Windows against a naive model.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_engine::json::Printer;
use edgeward_engine::trial::Trial;
use edgeward_engine::{Map, Message, Plan, RuleOptions, StreamDef, Value};
use edgeward_sql::ast::Statement;
use proptest::prelude::*;

fn trial(sql: &str, options: RuleOptions) -> Trial {
    let Ok(Statement::Create(create)) =
        edgeward_sql::parse(r#"CREATE STREAM s () WITH (DATASOURCE="s", TIMESTAMP="t")"#)
    else {
        panic!()
    };
    let definition = StreamDef::new(&create);
    let plan = Plan::new(&edgeward_sql::parse_select(sql).unwrap(), &options, &|_| Some(definition.clone())).unwrap();
    Trial::start("p", plan, 0).unwrap()
}

fn row(t: i64, group: u8, x: i64) -> Message {
    let row: Map =
        [("t".into(), Value::Int(t)), ("g".into(), Value::Int(group.into())), ("x".into(), Value::Int(x))].into();
    Message::row(Arc::new(row))
}

/// Messages so far as text.
fn drain(trial: &mut Trial) -> Vec<String> {
    let print = |emission: &edgeward_engine::Emission| {
        let mut out = Vec::new();
        emission.write_json(&Printer::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    trial.take().iter().map(print).collect()
}

/// (time step, group, value)
fn steps() -> impl Strategy<Value = Vec<(i64, u8, i64)>> {
    proptest::collection::vec((0..30i64, 0..3u8, -100..100i64), 0..60)
}

/// What a window of rows must say: sum and count by group.
fn summary(rows: &[(i64, u8, i64)], start: i64, end: i64) -> String {
    let mut groups: BTreeMap<u8, (i64, i64)> = BTreeMap::new();
    for (_, group, x) in rows.iter().filter(|(t, _, _)| (start..end).contains(t)) {
        let entry = groups.entry(*group).or_default();
        *entry = (entry.0 + 1, entry.1 + x);
    }
    let rows: Vec<String> =
        groups.iter().map(|(group, (count, sum))| format!(r#"{{"g":{group},"n":{count},"s":{sum}}}"#)).collect();
    format!("[{}]", rows.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn tumbling_and_hopping_match_the_model(steps in steps(), interval in 1..20i64, extra in 0..3i64, event_time in any::<bool>()) {
        let length = interval * (extra + 1);
        let sql = format!("SELECT g, count(*) AS n, sum(x) AS s FROM s GROUP BY g, HOPPINGWINDOW(ms, {length}, {interval}) ORDER BY g");
        let mut trial = trial(&sql, RuleOptions { is_event_time: event_time, late_tolerance: 0, ..RuleOptions::default() });
        let (mut now, mut rows) = (0, Vec::new());
        for (step, group, x) in steps {
            now += step;
            rows.push((now, group, x));
            trial.push("s", row(now, group, x), now);
        }
        trial.advance(now);
        let first = if event_time { rows.first().map_or(i64::MAX, |(t, _, _)| t - t % interval + interval) } else { interval };
        let ends = (0..).map(|index| first.saturating_add(index * interval)).take_while(|end| *end <= now);
        // A window without groups says nothing.
        let summaries = ends.map(|end| summary(&rows, end - length, end));
        let expect: Vec<String> = summaries.filter(|summary| summary != "[]").collect();
        prop_assert_eq!(drain(&mut trial), expect);
    }

    #[test]
    fn sliding_matches_the_model(steps in steps(), length in 0..40i64) {
        let length = length + 1;
        let sql = format!("SELECT g, count(*) AS n, sum(x) AS s FROM s GROUP BY g, SLIDINGWINDOW(ms, {length}) ORDER BY g");
        let mut trial = trial(&sql, RuleOptions::default());
        let (mut now, mut rows, mut expect) = (0, Vec::new(), Vec::new());
        for (step, group, x) in steps {
            now += step;
            rows.push((now, group, x));
            trial.push("s", row(now, group, x), now);
            expect.push(summary(&rows, now - length, now + 1));
        }
        prop_assert_eq!(drain(&mut trial), expect);
    }
}
