use proptest::prelude::*;

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

/// Text of a random expression of the grammar.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-z]{1,3}_",
        any::<i64>().prop_map(|int| int.to_string()),
        (-1e9..1e9f64).prop_map(|float| Expr::Float(float).to_string()),
        any::<String>().prop_map(|text| Expr::Str(text).to_string()),
        Just("TRUE".to_string()),
        Just("s.`from`".to_string()),
        Just("count(*)".to_string()),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let op = prop_oneof![
            Just("OR"),
            Just("AND"),
            Just("="),
            Just("!="),
            Just("<"),
            Just("<="),
            Just(">"),
            Just(">="),
            Just("+"),
            Just("-"),
            Just("|"),
            Just("^"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("&"),
            Just("LIKE"),
            Just("NOT LIKE")
        ];
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), op, inner.clone(), any::<bool>()).prop_map(|(a, op, b, wrap)| if wrap {
                format!("({a} {op} {b})")
            } else {
                format!("({a}) {op} ({b})")
            }),
            pair.clone().prop_map(|(a, b)| format!("f({a}, {b}) FILTER(WHERE {a})")),
            pair.clone().prop_map(|(a, b)| format!("({a})[({b})]")),
            pair.clone().prop_map(|(a, b)| format!("({a}) IN ({b})")),
            pair.clone().prop_map(|(a, b)| format!("({a})[({b}):]")),
            pair.clone().prop_map(|(a, b)| format!("({a}) NOT BETWEEN ({b}) AND ({b})")),
            pair.clone().prop_map(|(a, b)| format!("({a}) NOT IN ({b}, {a})")),
            pair.clone().prop_map(|(a, b)| format!("CASE WHEN {a} = {a} THEN {b} ELSE {a} END")),
            pair.prop_map(|(a, b)| format!("lag({a}) OVER(PARTITION BY {b} WHEN {a})")),
            inner.prop_map(|a| format!("({a}) -> x")),
        ]
    })
}

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "LIMIT",
    "AS",
    "a",
    "b",
    "s",
    "`x y`",
    "1",
    "-2",
    "1.5",
    "\"t\"",
    "(",
    ")",
    ",",
    "*",
    "+",
    "-",
    "=",
    "->",
    ".",
    "[",
    "]",
    ":",
    ";",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "IN",
    "NOT",
    "BETWEEN",
    "AND",
    "OR",
    "LIKE",
    "OVER",
    "PARTITION",
    "FILTER",
    "EXCEPT",
    "REPLACE",
    "INVISIBLE",
    "TUMBLINGWINDOW",
    "COUNTWINDOW",
    "STATEWINDOW",
    "SLIDINGWINDOW",
    "ss",
    "TRUE",
    "INNER",
    "JOIN",
    "ON",
    "CROSS",
    "CREATE",
    "STREAM",
    "TABLE",
    "WITH",
    "DATASOURCE",
    "BIGINT",
    "STRUCT",
    "ARRAY",
    "SHOW",
    "STREAMS",
    "DROP",
    "f",
];

fn round_trip(text: &str) -> std::result::Result<(), TestCaseError> {
    if let Ok(statement) = parse(text) {
        let printed = statement.to_string();
        prop_assert_eq!(parse(&printed), Ok(statement), "{} printed as {}", text, printed);
    }
    Ok(())
}

/// Text of a random declared type.
fn declared_type() -> impl Strategy<Value = String> {
    let simple = proptest::sample::select(vec!["BIGINT", "float", "STRING", "BYTEA", "DATETIME", "boolean"]);
    simple.prop_map(str::to_string).prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| format!("ARRAY({item})")),
            proptest::collection::vec(("[a-z]{1,4}_", inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(name, of)| format!("{name} {of}")).collect();
                format!("STRUCT({})", fields.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn definitions_survive_printing(types in proptest::collection::vec(declared_type(), 0..5), source in any::<String>()) {
        let fields: Vec<String> = types.iter().enumerate().map(|(at, of)| format!("c{at} {of}")).collect();
        let source = Expr::Str(source).to_string();
        let sql = format!("CREATE STREAM s ({}) WITH (DATASOURCE={source}, SHARED=TRUE)", fields.join(", "));
        prop_assert!(parse(&sql).is_ok(), "{}: {:?}", sql, parse(&sql));
        round_trip(&sql)?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        round_trip(&text)?;
    }

    #[test]
    fn any_words_are_read_or_refused(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        round_trip(&words.join(" "))?;
        round_trip(&format!("SELECT {}", words.join(" ")))?;
        round_trip(&format!("SELECT a FROM s GROUP BY {}", words.join(" ")))?;
        round_trip(&format!("CREATE STREAM s ({}) WITH (DATASOURCE=\"x\")", words.join(" ")))?;
        round_trip(&format!("CREATE TABLE s () WITH ({})", words.join(" ")))?;
    }

    #[test]
    fn expressions_survive_printing(text in expression()) {
        let sql = format!("SELECT a, {text} AS x FROM s WHERE {text}");
        prop_assert!(parse(&sql).is_ok(), "{}: {:?}", sql, parse(&sql));
        round_trip(&sql)?;
    }
}
