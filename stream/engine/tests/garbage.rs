//! Whatever statement can be planned runs over whatever rows come: there are errors, never a panic.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::sync::Arc;

use edgeward_engine::json::Printer;
use edgeward_engine::trial::Trial;
use edgeward_engine::{Map, Message, Plan, RuleOptions, StreamDef, Value};
use edgeward_sql::ast::Statement;
use proptest::prelude::*;
use proptest::sample::select;

const STREAMS: [&str; 3] = [
    "CREATE STREAM s () WITH (DATASOURCE=\"s\", TIMESTAMP=\"a\")",
    "CREATE STREAM d (a BIGINT, b FLOAT, c STRING, l ARRAY(BIGINT), m STRUCT(x BIGINT), t DATETIME) WITH (DATASOURCE=\"d\", TIMESTAMP=\"a\", STRICT_VALIDATION=\"true\")",
    "CREATE TABLE k () WITH (DATASOURCE=\"k\", RETAIN_SIZE=\"3\")",
];

fn definition(name: &str) -> Option<StreamDef> {
    let created = STREAMS.iter().filter_map(|sql| match edgeward_sql::parse(sql) {
        Ok(Statement::Create(create)) => Some(StreamDef::new(&create)),
        _ => None,
    });
    created.into_iter().find(|definition| definition.name == name)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        (-5..5i64).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        ".{0,4}".prop_map(|text: String| Value::str(text.as_str())),
        any::<i64>().prop_map(|ms| Value::time_ms(ms % 4_000_000_000_000)),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::array),
            inner.prop_map(|value| Value::map([("x".into(), value)].into())),
        ]
    })
}

fn rows() -> impl Strategy<Value = Vec<(i64, bool, Map)>> {
    let row = proptest::collection::btree_map(
        select(vec!["a", "b", "c", "l", "m", "t"]).prop_map(Arc::<str>::from),
        value(),
        0..6,
    );
    proptest::collection::vec((0..40i64, any::<bool>(), row), 0..12)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = select(vec![
        "a", "b", "c", "l", "m", "t", "s.a", "x", "y", "m.x", "1", "-3", "2.5", "0", "\"t\"", "\"\"", "true",
        "nothing", "*",
    ]);
    let function = select(vec![
        "abs",
        "avg",
        "count",
        "sum",
        "max",
        "collect",
        "lag",
        "latest",
        "acc_sum",
        "last_value",
        "had_changed",
        "concat",
        "substring",
        "isnull",
        "cast",
        "unnest",
        "row_number",
        "window_start",
        "event_time",
        "meta",
        "element_at",
        "array_contains",
        "deduplicate",
        "changed_col",
        "format_time",
        "split_value",
        "power",
        "cardinality",
        "last_hit_count",
    ]);
    let operator = select(vec![
        "+", "-", "*", "/", "%", "&", "|", "^", "=", "!=", "<", "<=", ">", ">=", "AND", "OR", "LIKE", "IN", "NOT IN",
        "->",
    ]);
    leaf.prop_map(str::to_string).prop_recursive(3, 12, 3, move |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), operator.clone(), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (function.clone(), inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (function.clone(), inner.clone(), inner.clone()).prop_map(|(name, a, b)| format!("{name}({a}, {b})")),
            pair.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
            pair.clone().prop_map(|(a, b)| format!("{a}[{b}:]")),
            pair.clone().prop_map(|(a, b)| format!("CASE WHEN {a} = {b} THEN {a} ELSE {b} END")),
            pair.clone().prop_map(|(a, b)| format!("{a} NOT BETWEEN {b} AND {b}")),
            pair.prop_map(|(a, b)| format!("lag({a}) OVER (PARTITION BY {b} WHEN {a} > {b})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let from = select(vec![
        "s",
        "d",
        "s AS q",
        "s INNER JOIN k ON s.a = k.a",
        "s LEFT JOIN d ON s.a = d.a",
        "s RIGHT JOIN d ON s.b",
    ]);
    let window = select(vec![
        "",
        " GROUP BY a, TUMBLINGWINDOW(ms, 10)",
        " GROUP BY HOPPINGWINDOW(ms, 20, 7) FILTER(WHERE a > 1)",
        " GROUP BY SLIDINGWINDOW(ms, 10, 3) OVER(WHEN b > 1)",
        " GROUP BY c, SESSIONWINDOW(ms, 50, 9)",
        " GROUP BY COUNTWINDOW(3, 2)",
        " GROUP BY STATEWINDOW(a > 1, b < 1) OVER(PARTITION BY c)",
    ]);
    let clause = |word: &'static str| {
        prop_oneof![Just(String::new()), expression().prop_map(move |expr| format!(" {word} {expr}"))]
    };
    let order = select(vec!["", " ORDER BY a DESC, b", " ORDER BY x LIMIT 1"]);
    let fields = prop_oneof![Just("*".to_string()), expression(), Just("* EXCEPT(a) REPLACE(b + 1 AS b)".to_string())];
    (fields, expression(), from, clause("WHERE"), window, clause("HAVING"), order).prop_map(
        |(fields, expr, from, condition, window, having, order)| {
            format!("SELECT {fields}, {expr} AS x FROM {from}{condition}{window}{having}{order}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics(sql in statement(), rows in rows(), event_time in any::<bool>(), incremental in any::<bool>()) {
        let options = RuleOptions { is_event_time: event_time, send_error: true, incremental_window: incremental, ..RuleOptions::default() };
        let Ok(select) = edgeward_sql::parse_select(&sql) else { return Ok(()) };
        let Ok(plan) = Plan::new(&select, &options, &definition) else { return Ok(()) };
        plan.explain().unwrap();
        let mut trial = Trial::start("g", plan, 0).unwrap();
        let mut now = 0;
        for (step, second, row) in rows {
            now += step;
            let stream = if second { "d" } else { "s" };
            trial.push(stream, Message::row(Arc::new(row.clone())), now);
            trial.push("k", Message::row(Arc::new(row)), now);
        }
        trial.advance(now + 100);
        for emission in trial.take() {
            // What JSON cannot say is refused.
            let _ = emission.write_json(&Printer::default(), &mut Vec::new());
        }
        trial.topology_json();
    }
}
