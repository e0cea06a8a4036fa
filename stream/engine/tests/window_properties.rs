//! Windows against a naive model, and: a checkpoint at any point followed by a restore changes nothing.

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

    #[test]
    fn a_restore_at_any_point_changes_nothing(steps in steps(), cut in 0..60usize, which in 0..7usize, event_time in any::<bool>()) {
        let window = ["TUMBLINGWINDOW(ms, 25)", "HOPPINGWINDOW(ms, 30, 7)", "SLIDINGWINDOW(ms, 20)", "SLIDINGWINDOW(ms, 20, 5)", "SESSIONWINDOW(ms, 60, 10)", "STATEWINDOW(x > 50)", "COUNTWINDOW(4, 3)"][which];
        prop_assume!(!(event_time && which == 6));
        let sql = format!("SELECT g, count(*) AS n, avg(x) AS a, collect(x) AS c, max(lag(x)) AS l FROM s GROUP BY g, {window} ORDER BY g");
        let options = RuleOptions { is_event_time: event_time, late_tolerance: 15, qos: 1, ..RuleOptions::default() };
        let (mut plain, mut cut_off) = (trial(&sql, options.clone()), trial(&sql, options));
        let mut now = 0;
        for (index, (step, group, x)) in steps.into_iter().enumerate() {
            if index == cut {
                cut_off.checkpoint_at(now);
                cut_off.restart_at(now).unwrap();
            }
            now += step;
            // In event time rows come a little out of order.
            let t = now - i64::from(group) * 4;
            plain.push("s", row(t, group, x), now);
            cut_off.push("s", row(t, group, x), now);
        }
        plain.advance(now + 100);
        cut_off.advance(now + 100);
        prop_assert_eq!(drain(&mut plain), drain(&mut cut_off));
    }

    #[test]
    fn functions_with_state_survive_a_restore_at_any_point(steps in steps(), cut in 0..60usize, which in 0..7usize) {
        let sql = [
            "SELECT x, lag(x, 2) OVER (PARTITION BY g) AS l, acc_sum(x) AS s, latest(x) AS k FROM s WHERE x > lag(x)",
            "SELECT changed_cols('', true, x, g) FROM s",
            "SELECT x, last_hit_count() AS n FROM s WHERE x > 0 AND last_hit_count() < 20",
            "SELECT had_changed(true, g) AS h, changed_col(true, x) AS c, acc_avg(x) OVER (PARTITION BY g WHEN x > 0) AS a FROM s",
            "SELECT count(*) AS n, last_agg_hit_count() AS h FROM s GROUP BY COUNTWINDOW(3)",
            "SELECT collect(x) AS c FROM s GROUP BY STATEWINDOW(x > 50, x < 0) OVER (PARTITION BY g)",
            "SELECT row_number() OVER (PARTITION BY g ORDER BY x) AS n, x FROM s GROUP BY COUNTWINDOW(5, 2)",
        ][which];
        let options = RuleOptions { qos: 1, ..RuleOptions::default() };
        let (mut plain, mut cut_off) = (trial(sql, options.clone()), trial(sql, options));
        let mut now = 0;
        for (index, (step, group, x)) in steps.into_iter().enumerate() {
            if index == cut {
                cut_off.checkpoint_at(now);
                cut_off.restart_at(now).unwrap();
            }
            now += step;
            plain.push("s", row(now, group, x), now);
            cut_off.push("s", row(now, group, x), now);
        }
        prop_assert_eq!(drain(&mut plain), drain(&mut cut_off));
    }
}
