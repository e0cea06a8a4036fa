//! Whatever is read prints back to itself, and whatever comes is read or refused.

use proptest::prelude::*;

use super::parse;
use crate::ast::Expr;

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

/// Text of a random SELECT with every clause there is.
fn statement() -> impl Strategy<Value = String> {
    let fields = prop_oneof![
        Just("*".to_string()),
        Just("* EXCEPT(a, `b c`) REPLACE(a + 1 AS d), e".to_string()),
        expression().prop_map(|expr| format!("{expr}, ({expr}) AS x INVISIBLE")),
        Just("s.*, count(*) FILTER(WHERE a > 1) AS n".to_string()),
    ];
    let from = proptest::sample::select(vec![
        "s",
        "s AS t",
        "dev/+/x/#",
        "s LEFT JOIN t AS u ON s.a = u.a",
        "s FULL JOIN t ON a CROSS JOIN v",
    ]);
    let window = proptest::sample::select(vec![
        "",
        ", TUMBLINGWINDOW(dd, 1)",
        ", hoppingwindow(SS, 10, 3) FILTER(WHERE a)",
        ", SLIDINGWINDOW(ms, 5, 0) OVER(WHEN a > 1)",
        ", SESSIONWINDOW(mi, 10, 5)",
        ", COUNTWINDOW(3, 1) OVER(PARTITION BY a, b)",
        ", STATEWINDOW(a, NOT_A) FILTER(WHERE a) OVER(PARTITION BY c -> d)",
    ]);
    let order =
        proptest::sample::select(vec!["", " ORDER BY a DESC b, c ASC", " ORDER BY a -> b", " LIMIT 0", " LIMIT 7"]);
    (fields, from, expression(), window, order).prop_map(|(fields, from, expr, window, order)| {
        format!("SELECT {fields} FROM {from} WHERE {expr} GROUP BY a, {expr}{window} HAVING {expr}{order}")
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

    #[test]
    fn statements_survive_printing(text in statement()) {
        prop_assert!(parse(&text).is_ok(), "{}: {:?}", text, parse(&text));
        round_trip(&text)?;
    }
}
