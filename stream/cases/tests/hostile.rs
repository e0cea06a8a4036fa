//! No case makes the engine panic, whatever it calls with whatever arguments, and no file makes the reader panic.

use edgeward_cases::{Session, Verdict, documents};
use edgeward_functions::names;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

const ARGS: &[&str] = &[
    "a",
    "f",
    "t",
    "l",
    "m",
    "z",
    "n",
    "*",
    "0",
    "1",
    "-1",
    "2.5",
    "9223372036854775807",
    "\"\"",
    "\"x\"",
    "\"1h\"",
    "\"bigint\"",
    "\"$.a\"",
    "true",
    "false",
    "a + f",
    "l[0]",
    "m->k",
    "l[1:]",
    "count(a)",
    "lag(a)",
    "CASE WHEN a > 1 THEN t END",
];
const AFTER: &[&str] = &["", "", "", " OVER (PARTITION BY t)", " OVER (WHEN a > 1)", " FILTER (WHERE a > 1)"];
const CLAUSES: &[&str] = &[
    "",
    " WHERE x",
    " GROUP BY TUMBLINGWINDOW(ms, 10)",
    " GROUP BY t, COUNTWINDOW(2)",
    " GROUP BY SLIDINGWINDOW(ms, 5) HAVING x",
    " GROUP BY SESSIONWINDOW(ms, 50, 5)",
    " GROUP BY STATEWINDOW(a > 0)",
    " GROUP BY COUNTWINDOW(2) ORDER BY x",
    " LIMIT 1",
];

/// Runs a rule over rows of every type.
fn run(sql: &str) -> Result<(), TestCaseError> {
    let row = |a: i64| {
        json!({"a": a, "f": 0.5 * a as f64, "t": format!("t{}", a % 2), "l": [a, "x", null], "m": {"k": a, "l": [1]}, "z": {"$time": a},
            "n": null, "b": {"$bytes": "YWI="}})
    };
    let input: Vec<_> = (0..4).map(|at| json!({"at": at * 4, "stream": "s", "row": row(at)})).collect();
    let case = json!({"streams": {"s": "CREATE STREAM s () WITH (DATASOURCE=\"s\")"}, "input": input, "until": 40,
        "rule": {"sql": sql, "options": {"sendError": true, "qos": 1}}});
    let report = Session::default().run("case", case);
    prop_assert!(matches!(report.verdict, Verdict::Ran | Verdict::Refused(..)), "{}: {:?}", sql, report.verdict);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_call_runs_or_is_refused(
        name in select(names()),
        args in proptest::collection::vec(select(ARGS), 0..4),
        after in select(AFTER),
        clause in select(CLAUSES),
    ) {
        run(&format!("SELECT {name}({}){after} AS x, a FROM s{clause}", args.join(", ")))?;
    }

    #[test]
    fn any_file_is_read_or_refused(text in "(name|streams|input|rule|expect|\\{|\\}|\\[|\\]|: |, |- |\n|\"|'|&a|\\*a|<<|1|1e999|99999999999999999999|\\$float|\\$time|---|é){0,30}") {
        let mut session = Session::default();
        let (cases, _) = documents(&text);
        for case in cases {
            let report = session.run("case", case);
            prop_assert!(!matches!(report.verdict, Verdict::Panicked(_)), "{}: {:?}", text, report.verdict);
        }
    }
}
