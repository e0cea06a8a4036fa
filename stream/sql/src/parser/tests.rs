use super::*;

/// Parses and prints; an error prints as its text.
fn check(text: &str, expect: &str) {
    let got = match parse(text) {
        Ok(statement) => statement.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(got, expect, "{text}");
}

fn check_expr(text: &str, expect: &str) {
    check(&format!("SELECT {text} FROM s"), &format!("SELECT {expect} FROM s"));
}

fn same(text: &str) {
    check(text, text);
}

#[test]
fn precedence() {
    check_expr("a+b*c", "a + b * c");
    check_expr("(a+b)*c", "(a + b) * c");
    check_expr("a-(b-c)-d", "a - (b - c) - d");
    check_expr("a or b and c = d + e", "a OR b AND c = d + e");
    check_expr("(a or b) and c", "(a OR b) AND c");
    check_expr("a & b | c", "a & b | c");
    check_expr("a * b[0]", "a * b[0]");
    check_expr("(a * b)[0]", "(a * b)[0]");
    check_expr("a between 1 and 2 and b", "a BETWEEN 1 AND 2 AND b");
    check_expr("a not in (1, 'x') or b in c", "a NOT IN (1, \"x\") OR b IN c");
    check_expr("a not like 'x%' ", "a NOT LIKE \"x%\"");
    check_expr("a - -1", "a - -1");
    check_expr("a -1", "a - 1");
}

#[test]
fn access() {
    check_expr("a.b", "a.b");
    check_expr("a.b.c", "a.b -> c");
    check_expr("a->b[1]->c[1:-2]", "a -> b[1] -> c[1:-2]");
    check_expr("a[:]", "a[:]");
    check_expr("a[x+1]", "a[x + 1]");
    check_expr("`select`.`b c`", "`select`.`b c`");
    check_expr("s.*", "s.*");
}

#[test]
fn selects() {
    same("SELECT * FROM demo");
    same("SELECT * EXCEPT(a, b) REPLACE(a + 1 AS c), d AS e INVISIBLE FROM demo AS x WHERE a > 1");
    same(
        "SELECT count(*) FILTER(WHERE a > 1) AS n FROM demo GROUP BY a, TUMBLINGWINDOW(ss, 10) HAVING n > 1 ORDER BY a DESC, b LIMIT 3",
    );
    same("SELECT lag(a, 1) OVER(PARTITION BY b, c WHEN d > 1) FROM demo");
    same("SELECT row_number() OVER(PARTITION BY a ORDER BY b DESC) FROM demo GROUP BY COUNTWINDOW(3, 1)");
    same("SELECT CASE a WHEN 1 THEN \"x\" ELSE \"y\" END, CASE WHEN a > 1 THEN 1 END FROM demo");
    same("SELECT a.x, b.y FROM a LEFT JOIN b ON a.i = b.i CROSS JOIN c GROUP BY HOPPINGWINDOW(mi, 10, 5)");
    same("SELECT * FROM demo GROUP BY SLIDINGWINDOW(ms, 10, 5) FILTER(WHERE a > 1) OVER(WHEN b PARTITION BY c)");
    same("SELECT * FROM demo GROUP BY STATEWINDOW(a > 1, a < 1) OVER(PARTITION BY c)");
    check("select * from devices/+/temp/# where a", "SELECT * FROM `devices/+/temp/#` WHERE a");
    check("select a from s order by a b desc;", "SELECT a FROM s ORDER BY a, b DESC");
    check("select meta(*) from s", "SELECT meta(*) FROM s");
}

#[test]
fn definitions() {
    same("CREATE STREAM demo () WITH (DATASOURCE=\"topic\", TYPE=\"mqtt\", FORMAT=\"json\", SHARED=\"true\")");
    same(
        "CREATE TABLE t (a BIGINT, b ARRAY(STRUCT(c STRING, d FLOAT DEFAULT 1.5))) WITH (DATASOURCE=\"x\", KEY=\"a\", RETAIN_SIZE=\"3\", KIND=\"lookup\")",
    );
    check(
        "create stream s (id string) with (datasource = 'a' strict_validation=TRUE,)",
        "CREATE STREAM s (id STRING) WITH (DATASOURCE=\"a\", STRICT_VALIDATION=\"true\")",
    );
    for text in ["SHOW STREAMS", "SHOW TABLES", "DESCRIBE STREAM a", "EXPLAIN TABLE b", "DROP STREAM `a-b`"] {
        same(text);
    }
    check(
        "create stream s (a int) with ()",
        "found \"int\", expect valid stream field types(BIGINT | FLOAT | STRINGS | DATETIME | BOOLEAN | BYTEA | ARRAY | STRUCT).",
    );
    check("create stream s () with (format=\"binary\", kind=\"scan\")", "'kind' property is only supported for table.");
    check(
        "create stream s (a bigint) with (format=\"binary\")",
        "'binary' format stream can have only 'bytea' type field",
    );
}

// Texts are tested in the case files under `tests/sql/parser`; here are the ways they are put together.
#[test]
fn refusals() {
    check("", "Found \"EOF\", Expected SELECT.\n");
    check("SELECT FROM s", "found \"FROM\", expected expression.");
    check("SELECT \"a\tb\" \"\u{1}\" FROM s", "found \"\\x01\", expected FROM.");
    check("SELECT \"a FROM s", "found \"\\\"a FROM s\", expected expression.");
    check("SELECT 99999999999999999999 FROM s", "found \"99999999999999999999\", invalid integer value.");
    check("SELECT a IN (b FROM s", "expect ) for IN expression, but got \"FROM\"");
    check(
        "CREATE STREAM s (a) WITH ()",
        "found \")\", expect valid stream field types(BIGINT | FLOAT | STRINGS | DATETIME | BOOLEAN | BYTEA | ARRAY | STRUCT).",
    );
}

struct Only;

impl crate::Functions for Only {
    fn knows(&self, name: &str) -> bool {
        name == "f" || name == "only"
    }

    fn select_only(&self, name: &str) -> bool {
        name == "only"
    }

    fn check(&self, call: &crate::ast::Call) -> std::result::Result<(), String> {
        if call.args.len() == 1 { Ok(()) } else { Err(format!("Expect 1 arguments but found {}.", call.args.len())) }
    }
}

#[test]
fn calls_are_checked_where_they_stand() {
    for (text, expect) in [
        ("SELECT f(a) FROM s", ""),
        ("SELECT g(a,) FROM", "function g not found"),
        ("SELECT f(a, b) FROM", "Expect 1 arguments but found 2."),
        ("SELECT f(g()) FROM s", "function g not found"),
        ("SELECT only(a) FROM s", ""),
        ("SELECT a FROM s WHERE only(a)", "function only can only be used inside the select clause"),
        ("SELECT f(a) FROM", "found \"EOF\", expected source name."),
    ] {
        let found = crate::parse_all_with(text, &Only).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(found, expect, "{text}");
    }
}

#[test]
fn several_statements() {
    let all = parse_all("SELECT a FROM s; SHOW STREAMS; ").unwrap();
    assert_eq!(all.len(), 2);
    assert!(parse_all("SELECT a FROM s SHOW STREAMS").is_err());
}

#[test]
fn nesting_is_limited() {
    for text in [
        "(".repeat(5000),
        "a[".repeat(5000),
        "f(".repeat(5000),
        "CASE ".repeat(5000),
        "a + ".repeat(5000),
        "a -> ".repeat(5000),
    ] {
        assert!(parse(&format!("SELECT {text}")).is_err());
    }
    let long = vec!["a"; 400].join(" + ");
    assert!(parse(&format!("SELECT {long} FROM s")).is_ok());
    let longer = vec!["a"; 4000].join(" + ");
    assert_eq!(parse(&format!("SELECT {longer} FROM s")), Err(SqlError::Nesting(MAX_HEIGHT)));
    assert!(parse(&format!("CREATE STREAM s (a {}", "ARRAY(".repeat(5000))).is_err());
}
