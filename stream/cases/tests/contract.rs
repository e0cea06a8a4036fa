//! What `edgeward rule test --json` answers, sentence by sentence of its contract: the line of each case.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use edgeward_cases::{Outcome, Session, documents};

const STREAM: &str = "streams: {s: 'CREATE STREAM s () WITH (DATASOURCE=\"s\")'}";

/// Runs the cases of a text and compares their lines; `S` stands for the definition of a schemaless stream `s`, and `…` in a line
/// for anything.
fn check(cases: &str, expect: &[&str]) -> Outcome {
    let mut session = Session::default();
    let (cases, broken) = documents(&cases.replace("S;", STREAM));
    let mut lines: Vec<String> =
        (1..).zip(cases).map(|(at, case)| session.run(&format!("f#{at}"), case).json_line()).collect();
    lines.extend(broken);
    assert_eq!(lines.len(), expect.len(), "{lines:#?}");
    for (line, expect) in lines.iter().zip(expect) {
        let same = match expect.split_once('…') {
            Some((head, tail)) => line.starts_with(head) && line.ends_with(tail),
            None => line == expect,
        };
        assert!(same, "\n got {line}\nwant {expect}");
    }
    session.outcome()
}

#[test]
fn names() {
    let ran = |name: &str| format!("{{\"name\":\"{name}\",\"ok\":true,\"messages\":[],\"errors\":[]}}");
    check("[{S;}, {name: b, S;}]", &[&ran("f#1"), &ran("b")]);
    let twice = check("[{name: a, S;}, {name: a, S;}]", &[&ran("a"), "{\"name\":\"a\",\"ok\":false,\"invalid\":\"…"]);
    assert_eq!(twice, Outcome::Invalid);
}

#[test]
fn messages_and_errors() {
    check(
        "[{S;, input: [{at: 5, stream: s, row: {a: 1, b: 2.0}}, {stream: s, row: {a: 0}}], rule: {sql: 'SELECT 1 / a AS x, b FROM s'}}]",
        &[
            "{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":5,\"rows\":[{\"b\":2,\"x\":1}]}],\"errors\":[{\"at\":5,\"error\":\"…divided by zero\"}]}",
        ],
    );
    check(
        "[{S;, input: [{stream: s, row: {a: 0}}], rule: {sql: 'SELECT 1 / a AS x FROM s', options: {sendError: true}}}]",
        &[
            "{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":0,\"rows\":[{\"error\":\"…divided by zero\"}]}],\"errors\":[]}",
        ],
    );
    check(
        "[{S;, input: [{stream: s, row: {a: 1}}], rule: {sql: 'SELECT a FROM s', sink: {sendSingle: true, dataTemplate: 'a={{.a}}'}}}]",
        &["{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":0,\"text\":\"a=1\"}],\"errors\":[]}"],
    );
}

#[test]
fn values() {
    let typed = "input: [{stream: s, row: {a: 1, b: 1.0, c: 1e21, d: {$bytes: YWI=}, e: {$time: 0}, f: {$float: 2}, g: null, h: '1970-01-01'}}]";
    check(
        &format!("[{{S;, {typed}, rule: {{sql: 'SELECT * FROM s', options: {{sendNilField: true}}}}, show: [types]}}]"),
        &[
            "{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":0,\"rows\":[{\"a\":1,\"b\":1.0,\"c\":1e+21,\"d\":{\"$bytes\":\"YWI=\"},\"e\":{\"$time\":0},\"f\":2.0,\"g\":null,\"h\":\"1970-01-01\"}]}],\"errors\":[]}",
        ],
    );
    check(
        &format!("[{{S;, timezone: Asia/Shanghai, {typed}, rule: {{sql: 'SELECT a, b, c, d, e, f FROM s'}}}}]"),
        &[
            "{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":0,\"rows\":[{\"a\":1,\"b\":1,\"c\":1e+21,\"d\":\"YWI=\",\"e\":\"1970-01-01T08:00:00+08:00\",\"f\":2}]}],\"errors\":[]}",
        ],
    );
    for wrong in [
        "{a: 9223372036854775808}",
        "{a: -9223372036854775809}",
        "{a: {$float: x}}",
        "{a: {$bytes: '%'}}",
        "{a: {$time: yesterday}}",
        "[1]",
        "7",
    ] {
        let case = format!("[{{S;, input: [{{stream: s, row: {wrong}}}], rule: {{sql: 'SELECT * FROM s'}}}}]");
        assert_eq!(check(&case, &["{\"name\":\"f#1\",\"ok\":false,\"invalid\":\"…"]), Outcome::Invalid);
    }
}

#[test]
fn refusals() {
    for (case, line) in [
        (
            "{S;, rule: {sql: 'SELECT'}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"Parse SQL SELECT error: found \\\"EOF\\\", expected expression..\",\"stage\":\"parse\"}",
        ),
        (
            "{S;, rule: {sql: 'SELECT nope(a) FROM s'}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"Parse SQL SELECT nope(a) FROM s error: function nope not found.\",\"stage\":\"parse\"}",
        ),
        (
            "{streams: {s: CREATE STREAM s}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"found \\\"EOF\\\", expected lparen after stream name.\",\"stage\":\"ddl\"}",
        ),
        ("{S;, rule: {sql: 'SELECT a FROM t'}}", "{\"name\":\"f#1\",\"ok\":false,\"error\":\"…\",\"stage\":\"plan\"}"),
        (
            "{S;, rule: {sql: 'SELECT a FROM s', actions: [{nope: {}}]}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"sink nope not found\",\"stage\":\"plan\"}",
        ),
        (
            "{S;, rule: {sql: 'SELECT a FROM s', sink: {sendSingle: 'yes'}}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"…\",\"stage\":\"plan\"}",
        ),
        (
            "{S;, rule: {sql: 'SELECT a FROM s', sink: {dataTemplate: '{{'}}}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"…\",\"stage\":\"plan\"}",
        ),
        (
            "{parse: 'SELECT'}",
            "{\"name\":\"f#1\",\"ok\":false,\"error\":\"found \\\"EOF\\\", expected expression.\",\"stage\":\"parse\"}",
        ),
    ] {
        assert_eq!(check(&format!("[{case}]"), &[line]), Outcome::Refused, "{case}");
        let met = line.replacen("\"ok\":false", "\"ok\":true", 1);
        let expecting = case.replacen('{', "{expect_error: '', ", 1);
        assert_eq!(check(&format!("[{expecting}]"), &[&met]), Outcome::Ok, "{case}");
    }
    let other =
        "[{S;, rule: {sql: 'SELECT'}, expect_error: nope}, {S;, rule: {sql: 'SELECT a FROM s'}, expect_error: nope}]";
    let lines =
        ["{\"name\":\"f#1\",\"ok\":false,\"error\":…", "{\"name\":\"f#2\",\"ok\":false,\"messages\":[],\"errors\":[]}"];
    assert_eq!(check(other, &lines), Outcome::Failed);
}

#[test]
fn cases_that_are_not_understood() {
    for case in [
        "7",
        "{nope: 1}",
        "{S;, rule: {sql: 'SELECT a FROM s', nope: 1}}",
        "{S;, rule: {}}",
        "{S;, rule: {sql: 'SELECT a FROM s', graph: {}}}",
        "{S;, input: [{stream: s, row: {}, nope: 1}]}",
        "{S;, input: [{stream: s}]}",
        "{S;, input: [{row: {}}]}",
        "{S;, input: [{stream: s, row: {}, payload: ''}]}",
        "{S;, input: [{stream: t, row: {}}]}",
        "{S;, input: [{at: 5, stream: s, row: {}}, {at: 4, stream: s, row: {}}]}",
        "{S;, input: [{do: nothing}]}",
        "{S;, input: [{do: restart, stream: s}]}",
        "{S;, input: [{stream: s, payload_base64: '%'}], rule: {sql: 'SELECT a FROM s'}}",
        "{S;, tables: {s: [{a: 1}]}}",
        "{S;, tables: {t: [{a: 1}]}}",
        "{S;, timezone: Mars/Base}",
        "{S;, show: [nope]}",
        "{S;, expect: [7]}",
        "{S;, expect: 7}",
        "{streams: {a: 'CREATE STREAM b () WITH (DATASOURCE=\"b\")'}}",
        "{streams: {a: SHOW STREAMS}}",
        "{S;, parse: 'SELECT a FROM s', rule: {sql: 'SELECT a FROM s'}}",
        "{S;, statements: []}",
        "{statements: [{sql: SHOW STREAMS, nope: 1}]}",
    ] {
        let outcome = check(&format!("[{case}]"), &["{\"name\":\"f#1\",\"ok\":false,\"invalid\":\"…"]);
        assert_eq!(outcome, Outcome::Invalid, "{case}");
    }
}

#[test]
fn one_bad_case_stops_no_other() {
    let cases = "nope: 1\n---\nparse: SELECT\n---\nparse: SELECT a FROM s\n";
    let lines =
        ["{\"name\":\"f#1\",…", "{\"name\":\"f#2\",\"ok\":false,\"error\":…", "{\"name\":\"f#3\",\"ok\":true,…"];
    assert_eq!(check(cases, &lines), Outcome::Invalid);
}

#[test]
fn statements_answer_results() {
    check(
        "[{statements: [{sql: SHOW STREAMS}, {sql: DROP STREAM a}]}]",
        &[
            "{\"name\":\"f#1\",\"ok\":true,\"messages\":[],\"errors\":[],\"results\":[{\"result\":[\"No stream definitions are found.\"]},{\"error\":\"Drop stream fails: Stream a is not found..\"}]}",
        ],
    );
}

#[test]
fn shows() {
    let case = "[{S;, input: [{stream: s, row: {a: 1}}], rule: {sql: 'SELECT a FROM s'}, show: [SHOWN]}]";
    let begin = "{\"name\":\"f#1\",\"ok\":true,\"messages\":[{\"at\":0,\"rows\":[{\"a\":1}]}],\"errors\":[],";
    check(
        &case.replace("SHOWN", "topo"),
        &[&format!("{begin}\"topo\":{{\"sources\":[\"source_s\"],…sink_memory_0\"]}}}}}}")],
    );
    check(
        &case.replace("SHOWN", "status"),
        &[&format!("{begin}\"status\":{{…\"sink_memory_0_0_last_exception_time\":0}}}}")],
    );
    check(&case.replace("SHOWN", "explain"), &[&format!("{begin}\"explain\":\"…\"}}")]);
}

/// Each step of the plan counts what it took, handed on and failed at, and knows when it worked last.
#[test]
fn every_step_has_its_own_figures() {
    let case = "[{S;, input: [{stream: s, row: {a: 1}}, {stream: s, row: {a: x}}, {stream: s, row: {a: 5}},
          {at: 1200, stream: s, row: {a: 2}}], until: 2000, show: [status],
        rule: {sql: 'SELECT count(*) AS c FROM s WHERE a > 0 GROUP BY TUMBLINGWINDOW(ss, 1) HAVING count(*) > 1'}}]";
    let (case, _) = documents(&case.replace("S;", STREAM));
    let line = Session::default().run("f#1", case.into_iter().next().unwrap()).json_line();
    let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
    let figure = |name: &str| answer["status"][name].as_i64().unwrap_or_else(|| panic!("{name} in {line}"));
    for (node, took, sent, failed, last) in [
        ("source_s_0", 4, 4, 0, 1200),
        ("op_3_filter_0", 4, 3, 1, 1200),
        ("op_4_window_0", 3, 2, 0, 1200),
        ("op_5_having_0", 2, 1, 0, 2000),
        ("op_6_project_0", 1, 1, 0, 2000),
    ] {
        let found = ["records_in_total", "records_out_total", "exceptions_total", "last_invocation"]
            .map(|metric| figure(&format!("{node}_{metric}")));
        assert_eq!(found, [took, sent, failed, last], "{node}");
    }
    let text = &answer["status"]["op_3_filter_0_last_exception"];
    assert_eq!(text, "run Where error: invalid operation string(x) > int64(0)");
}

#[test]
fn outcomes() {
    let (good, bad) = ("{S;, expect: []}", "{S;, expect: [[{a: 1}]]}");
    let any = |count: usize| vec!["{…}"; count];
    assert_eq!(check("[]", &[]), Outcome::Ok);
    assert_eq!(check(&format!("[{good}, {good}]"), &any(2)), Outcome::Ok);
    assert_eq!(check(&format!("[{good}, {bad}]"), &any(2)), Outcome::Failed);
    assert_eq!(check("[{parse: SELECT}, {parse: SELECT}]", &any(2)), Outcome::Failed);
    assert_eq!(check(&format!("[{bad}, {{nope: 1}}]"), &any(2)), Outcome::Invalid);
}
