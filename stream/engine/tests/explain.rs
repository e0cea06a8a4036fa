//! Plans as `GET /rules/{id}/explain` tells them.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use edgeward_engine::{Plan, RuleOptions, StreamDef};
use edgeward_sql::ast::Statement;

const STREAMS: [&str; 3] = [
    "CREATE STREAM s () WITH (DATASOURCE=\"s\")",
    "CREATE STREAM e (a BIGINT, b FLOAT, ts BIGINT) WITH (DATASOURCE=\"e\", TIMESTAMP=\"ts\")",
    "CREATE TABLE t () WITH (DATASOURCE=\"t\", TYPE=\"memory\", KIND=\"lookup\", KEY=\"id\")",
];

fn check(sql: &str, options: &str, expect: &[&str]) {
    let streams = STREAMS.map(|sql| match edgeward_sql::parse(sql) {
        Ok(Statement::Create(create)) => StreamDef::new(&create),
        other => panic!("{other:?}"),
    });
    let options = RuleOptions::from_json(&serde_json::from_str(options).unwrap()).unwrap();
    let select = edgeward_sql::parse_select(sql).unwrap();
    let found = |name: &str| streams.iter().find(|stream| stream.name == name).cloned();
    let explained = Plan::new(&select, &options, &found).unwrap().explain().unwrap();
    let lines: Vec<String> = expect
        .iter()
        .enumerate()
        .map(|(depth, line)| {
            let (op, info) = line.split_once(' ').unwrap();
            format!("{}{{\"op\":\"{op}_{depth}\",\"info\":\"{info}\"}}", "\t".repeat(depth))
        })
        .collect();
    assert_eq!(explained, lines.join("\n"), "{sql}");
}

#[test]
fn every_step_is_told() {
    check("SELECT * FROM s", "{}", &["ProjectPlan Fields:[ * ]", "DataSourcePlan StreamName: s"]);
    check(
        "SELECT a, avg(b) AS c FROM s WHERE d > 1 GROUP BY a, TUMBLINGWINDOW(ss, 10) HAVING c > 1 ORDER BY a DESC",
        "{}",
        &[
            "ProjectPlan Fields:[ s.a, $$alias.c,aliasRef:Call:{ name:avg, args:[s.b] } ]",
            "OrderPlan SortFields:[ sortField:{ name:a, ascending:false, fieldExpr:{ s.a } } ]",
            "HavingPlan Condition:{ binaryExpr:{ $$alias.c,aliasRef:Call:{ name:avg, args:[s.b] } > 1 } }, ",
            "AggregatePlan Dimension:{ s.a }",
            "WindowPlan { length:10, windowType:TUMBLING_WINDOW, limit: 0 }",
            "FilterPlan Condition:{ binaryExpr:{ s.d > 1 } }, ",
            "DataSourcePlan StreamName: s, StreamFields:[ a, b, d ]",
        ],
    );
    check(
        "SELECT lag(a) OVER (PARTITION BY b WHEN a > 1) AS l FROM e LEFT JOIN t ON e.a = t.id WHERE b > 1",
        "{\"isEventTime\": true}",
        &[
            "ProjectPlan Fields:[ $$alias.l,aliasRef:Call:{ name:lag, args:[e.a], partition:{ PartitionExpr:[ e.b ] }, when:{ binaryExpr:{ e.a > 1 } } } ]",
            "FilterPlan Condition:{ binaryExpr:{ e.b > 1 } }, ",
            "LookupPlan Join:{ joinType:LEFT_JOIN, binaryExpr:{ e.a = t.id } }, Keys:[ id ]",
            "AnalyticFuncsPlan Funcs:[ Call:{ name:lag, args:[e.a], partition:{ PartitionExpr:[ e.b ] }, when:{ binaryExpr:{ e.a > 1 } } } ]",
            "WatermarkPlan Emitters:[ e ], SendWatermark:false",
            "DataSourcePlan StreamName: e, StreamFields:[ a, b, ts ]",
        ],
    );
    check(
        "SELECT count(*), a FROM s GROUP BY a, COUNTWINDOW(4)",
        "{\"planOptimizeStrategy\": {\"enableIncrementalWindow\": true}}",
        &[
            "ProjectPlan Fields:[ Call:{ name:count, args:[*] }, s.a ]",
            "IncAggWindowPlan wType:COUNT_WINDOW, Dimension:[s.a], funcs:[Call:{ name:inc_count, args:[*] }->inc_agg_col_1]",
            "DataSourcePlan StreamName: s, StreamFields:[ a ]",
        ],
    );
}
