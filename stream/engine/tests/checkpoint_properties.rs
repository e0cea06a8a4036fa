//! Any rule of a generated family: a checkpoint at any point changes nothing, and a restart from one says again exactly what was
//! said since.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::sync::Arc;

use edgeward_engine::json::Printer;
use edgeward_engine::trial::Trial;
use edgeward_engine::{Map, Message, Plan, RuleOptions, StreamDef, Value};
use edgeward_sql::ast::Statement;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// A statement, and whether its messages depend on when rows arrive.
#[derive(Debug, Clone)]
struct Rule {
    sql: String,
    clocked: bool,
    /// It may run in event time.
    timed: bool,
}

const REMEMBERING: [&str; 14] = [
    "lag(s.x) AS f0",
    "lag(s.x, 2, 0) OVER (PARTITION BY s.g) AS f1",
    "lag(s.x, 1, -1, false) OVER (WHEN s.x > 0) AS f2",
    "latest(s.x, 0) AS f3",
    "acc_sum(s.x) OVER (PARTITION BY s.g) AS f4",
    "acc_count(s.x) AS f5",
    "acc_avg(s.x) OVER (PARTITION BY s.g WHEN s.x > 0) AS f6",
    "acc_max(s.x, s.x > 50, s.x < -50) AS f7",
    "acc_min(s.x) AS f8",
    "changed_col(true, s.g) AS f9",
    "changed_col(false, s.x) AS f10",
    "had_changed(true, s.g, s.x) AS f11",
    "had_changed(false, s.x) OVER (PARTITION BY s.g) AS f12",
    "s.x AS f13",
];
const AGGREGATES: [&str; 14] = [
    "count(*) AS a0",
    "count(s.x) AS a1",
    "sum(s.x) AS a2",
    "avg(s.x) AS a3",
    "min(s.x) AS a4",
    "max(s.x) AS a5",
    "collect(s.x) AS a6",
    "stddev(s.x) AS a7",
    "percentile_cont(s.x, 0.5) AS a8",
    "last_value(s.x, true) AS a9",
    "deduplicate(s.x, true) AS a10",
    "max(lag(s.x)) AS a11",
    "sum(s.x) FILTER (WHERE s.x > 0) AS a12",
    "merge_agg(*) AS a13",
];
const WHERE: [&str; 6] = [
    "",
    "",
    " WHERE s.x > -50",
    " WHERE s.x > lag(s.x)",
    " WHERE changed_col(true, s.g) >= 0",
    " WHERE last_hit_count() < 20 AND s.x > 0",
];

fn window() -> impl Strategy<Value = (String, bool)> {
    let filter = select(&["", "", " FILTER (WHERE s.x > -80)"]);
    let kinds = prop_oneof![
        (1..30i64).prop_map(|length| (format!("TUMBLINGWINDOW(ms, {length})"), true)),
        (1..10i64, 1..4i64).prop_map(|(step, times)| (format!("HOPPINGWINDOW(ms, {}, {step})", step * times), true)),
        (1..40i64).prop_map(|length| (format!("SLIDINGWINDOW(ms, {length})"), true)),
        (1..40i64, 1..20i64).prop_map(|(length, delay)| (format!("SLIDINGWINDOW(ms, {length}, {delay})"), true)),
        (1..60i64, 1..20i64).prop_map(|(length, timeout)| (format!("SESSIONWINDOW(ms, {length}, {timeout})"), true)),
        (1..6i64, 0..6i64).prop_map(|(step, more)| (format!("COUNTWINDOW({}, {step})", step + more), false)),
    ];
    (kinds, filter).prop_map(|((kind, clocked), filter)| (format!("{kind}{filter}"), clocked))
}

/// Each row by itself.
fn of_rows() -> impl Strategy<Value = Rule> {
    (subsequence(REMEMBERING.to_vec(), 1..6), select(&WHERE)).prop_map(|(fields, filter)| Rule {
        sql: format!("SELECT {} FROM s{filter}", fields.join(", ")),
        clocked: false,
        timed: true,
    })
}

/// What only a few statements have.
fn special() -> impl Strategy<Value = Rule> {
    let statements = [
        ("SELECT changed_cols('c_', true, x, g) FROM s", true),
        ("SELECT g, unnest(l) FROM s WHERE x > lag(x)", true),
        ("SELECT count(*) AS n, last_agg_hit_count() AS h FROM s GROUP BY COUNTWINDOW(3)", false),
        ("SELECT collect(x) AS c FROM s GROUP BY STATEWINDOW(x > 50, x < 0) OVER (PARTITION BY g)", true),
        ("SELECT collect(x) AS c, count(*) AS n FROM s GROUP BY STATEWINDOW(x > 50)", true),
        ("SELECT row_number() OVER (PARTITION BY g ORDER BY x) AS n, x FROM s GROUP BY COUNTWINDOW(5, 2)", false),
        ("SELECT x, s.t FROM s GROUP BY COUNTWINDOW(4) ORDER BY x DESC LIMIT 2", false),
        ("SELECT * FROM s GROUP BY COUNTWINDOW(3, 1)", false),
        ("SELECT sum(x / g) AS v FROM s GROUP BY COUNTWINDOW(4)", false),
        ("SELECT s.x, r.x AS y FROM s FULL JOIN r ON s.g = r.g GROUP BY COUNTWINDOW(6, 3)", false),
        ("SELECT count(*) AS n FROM s CROSS JOIN r GROUP BY COUNTWINDOW(5)", false),
    ];
    select(statements.to_vec()).prop_map(|(sql, timed)| Rule { sql: sql.into(), clocked: false, timed })
}

/// A window over a stream, or over a join of two.
fn of_windows() -> impl Strategy<Value = Rule> {
    let join =
        select(&["", "", " INNER JOIN r ON s.g = r.g", " LEFT JOIN r ON s.g = r.g", " RIGHT JOIN r ON s.g = r.g"]);
    let having = select(&["", "", " HAVING count(*) > 1"]);
    let (fields, order) = (subsequence(AGGREGATES.to_vec(), 1..6), select(&["", " ORDER BY s.g DESC", " LIMIT 1"]));
    let filter = select(&WHERE[..4]);
    (fields, join, filter, any::<bool>(), window(), having, order).prop_map(
        |(fields, join, filter, grouped, (window, clocked), having, order)| {
            let group = if grouped { "s.g, " } else { "" };
            let fields = fields.join(", ");
            let sql = format!("SELECT {group}{fields} FROM s{join}{filter} GROUP BY {group}{window}{having}{order}");
            Rule { sql, clocked, timed: clocked }
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![2 => of_rows(), 2 => special(), 5 => of_windows()]
}

/// A row: time since the one before, its stream, group and value.
type Step = (i64, bool, u8, Option<i64>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = proptest::option::weighted(0.9, -100..100i64);
    proptest::collection::vec((0..30i64, proptest::bool::weighted(0.7), 0..3u8, value), 1..50)
}

/// How a rule runs.
#[derive(Debug, Clone, Copy)]
struct Way {
    event_time: bool,
    incremental: bool,
    /// Columns are declared, and rows come as JSON.
    typed: bool,
}

fn way() -> impl Strategy<Value = Way> {
    any::<(bool, bool, bool)>().prop_map(|(event_time, incremental, typed)| Way { event_time, incremental, typed })
}

fn trial(rule: &Rule, way: Way) -> Trial {
    let definition = |name: &str| {
        let columns = if way.typed { "t BIGINT, g BIGINT, x BIGINT, l ARRAY(STRUCT(e BIGINT))" } else { "" };
        let sql = format!(r#"CREATE STREAM {name} ({columns}) WITH (DATASOURCE="{name}", TIMESTAMP="t")"#);
        let Ok(Statement::Create(create)) = edgeward_sql::parse(&sql) else { panic!("{sql}") };
        Some(StreamDef::new(&create))
    };
    let options = RuleOptions {
        is_event_time: way.event_time,
        late_tolerance: 15,
        qos: 2,
        incremental_window: way.incremental,
        send_error: true,
        checkpoint_interval: i64::MAX,
        ..RuleOptions::default()
    };
    let select = edgeward_sql::parse_select(&rule.sql).unwrap_or_else(|error| panic!("{}: {error}", rule.sql));
    let plan = Plan::new(&select, &options, &definition).unwrap_or_else(|error| panic!("{}: {error}", rule.sql));
    Trial::start("p", plan, 0).unwrap()
}

/// Delivers a row at `now`. In event time rows come a little out of order.
fn push(trial: &mut Trial, (_, is_left, group, x): Step, now: i64, way: Way) {
    let stream = if is_left { "s" } else { "r" };
    let t = now - i64::from(group) * 4;
    if way.typed {
        let x = x.map_or(String::new(), |x| format!(",\"x\":{x}"));
        let text = format!("{{\"t\":{t},\"g\":{group},\"l\":[{{\"e\":{now}}},{{}}]{x}}}");
        return trial.push(stream, Message::payload(text), now);
    }
    let list =
        Value::array(vec![Value::map([("e".into(), Value::Int(now))].into()), Value::Nil, Value::map(Map::new())]);
    let row: Map = [
        ("t".into(), Value::Int(t)),
        ("g".into(), Value::Int(group.into())),
        ("x".into(), x.map_or(Value::Nil, Value::Int)),
        ("l".into(), list),
    ]
    .into();
    trial.push(stream, Message::row(Arc::new(row)), now);
}

/// Messages since the last call as text.
fn drain(trial: &mut Trial) -> Vec<String> {
    let print = |emission: &edgeward_engine::Emission| {
        let mut out = Vec::new();
        emission.write_json(&Printer::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    trial.take().iter().map(print).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_restart_from_a_checkpoint_of_now_changes_nothing(
        rule in rule(), steps in steps(), cuts in proptest::collection::vec(0..50usize, 1..4), way in way()
    ) {
        let way = Way { event_time: way.event_time && rule.timed, ..way };
        let (mut plain, mut cut_off) = (trial(&rule, way), trial(&rule, way));
        let mut now = 0;
        for (index, step) in steps.into_iter().enumerate() {
            for _ in cuts.iter().filter(|cut| **cut == index) {
                cut_off.checkpoint_at(now);
                cut_off.restart_at(now).unwrap();
            }
            now += step.0;
            push(&mut plain, step, now, way);
            push(&mut cut_off, step, now, way);
        }
        plain.advance(now + 100);
        cut_off.advance(now + 100);
        prop_assert_eq!(drain(&mut plain), drain(&mut cut_off));
    }

    #[test]
    fn a_restart_from_an_older_checkpoint_repeats_what_was_said_since(
        rule in rule(), steps in steps(), saved in 0..50usize, lost in 0..50usize, way in way()
    ) {
        let way = Way { event_time: rule.clocked || (way.event_time && rule.timed), ..way };
        let (mut plain, mut cut_off) = (trial(&rule, way), trial(&rule, way));
        let (saved, lost) = (saved.min(steps.len()), saved.saturating_add(lost).min(steps.len()));
        let (mut now, mut since, mut expect) = (0, 0, Vec::new());
        for (index, step) in steps.iter().enumerate() {
            if index == saved {
                cut_off.checkpoint_at(now);
                since = expect.len();
            }
            if index == lost {
                cut_off.restart_at(now).unwrap();
                expect.extend_from_within(since..);
            }
            now += step.0;
            push(&mut plain, *step, now, way);
            push(&mut cut_off, *step, now, way);
            expect.extend(drain(&mut plain));
        }
        prop_assert_eq!(drain(&mut cut_off), expect);
    }
}
