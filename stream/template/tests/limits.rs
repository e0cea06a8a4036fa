//! Hostile templates: bounded memory, steps and depth, and no panic on any text or data.

use edgeward_functions::json::{Numbers, parse};
use edgeward_template::Template;
use proptest::prelude::*;

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "if ",
    "range ",
    "with ",
    "end",
    "else",
    "else if ",
    "define \"a\"",
    "template \"a\" .",
    "block \"b\" .",
    "break",
    "continue",
    ".",
    ".a",
    ".a.b",
    "$",
    "$x",
    " := ",
    " = ",
    " | ",
    "(",
    ")",
    " ",
    ",",
    "1",
    "-1",
    "2.5",
    "'c'",
    "\"s\"",
    "`r`",
    "nil",
    "true",
    "printf \"%5.2f %v %q\" ",
    "index ",
    "len ",
    "slice ",
    "and ",
    "or ",
    "not ",
    "eq ",
    "lt ",
    "json ",
    "base64 ",
    "until ",
    "repeat 3 ",
    "dict ",
    "set ",
    "list ",
    "first ",
    "merge ",
    "trunc 3 ",
    "substr 1 2 ",
    "split \",\" ",
    "join \",\" ",
    "default ",
    "ternary ",
    "seq ",
    "round ",
    "date \"2006\" ",
    "snakecase ",
    "camelcase ",
    "kebabcase ",
    "regexSplit \"a\" ",
    "toPrettyJson ",
    "toRawJson ",
    "html ",
    "js ",
    "untilStep 1 9 2",
    "dig \"a\" ",
    "chunk 2 ",
    "title ",
    "{{/*",
    "*/}}",
    "text",
    "\n",
    "é",
];

const DATA: &[&str] =
    &["null", "{}", r#"{"a":{"b":[1,"x",null,true]},"c":2.5}"#, r#"[{"a":1},{"a":"é<>"}]"#, "3", r#""text""#];

fn run(text: &str) {
    if let Ok(template) = Template::parse("sink", text) {
        for data in DATA {
            let mut out = Vec::new();
            let data = parse(data.as_bytes(), Numbers::Float).unwrap_or_default();
            let _ = template.execute(&data, &mut out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_text_is_a_template_or_an_error(text in "\\PC{0,60}") {
        run(&text);
        run(&format!("{{{{{text}}}}}"));
    }

    #[test]
    fn any_tokens_run_or_fail(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..25)) {
        run(&pieces.concat());
    }

    #[test]
    fn any_call_runs_or_fails(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..6)) {
        run(&format!("{{{{{}}}}}", pieces.join(" ")));
    }
}

#[test]
fn bombs_are_refused() {
    for (text, reason) in [
        ("{{until 1000000000}}", "memory"),
        ("{{range until 100000000000}}{{end}}", "memory"),
        ("{{repeat 1000000000 \"x\"}}", "memory"),
        ("{{seq 1 1000000000}}", "memory"),
        ("{{range 1000000000000}}{{end}}", "steps"),
        ("{{range 1000000}}{{repeat 1000 \"x\"}}{{end}}", "limit"),
        ("{{$x := \"xx\"}}{{range 100}}{{$x = print $x $x}}{{end}}", "limit"),
        ("{{$x := list}}{{range 1000}}{{$x = list $x}}{{end}}", "nested deeper"),
        ("{{$d := dict}}{{$_ := set $d \"d\" $d}}{{$d}}", "nested deeper"),
        ("{{$d := dict}}{{$_ := set $d \"d\" $d}}{{json $d}}", "nested deeper"),
        ("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}", "exceeded maximum template depth"),
        ("{{replace \"\" (repeat 100000 \"y\") (repeat 100000 \"x\")}}", "memory"),
    ] {
        let template = Template::parse("sink", text).unwrap();
        let error = template.execute(&edgeward_functions::Value::Nil, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let deep = format!("{}1{}", "{{if true}}".repeat(1000), "{{end}}".repeat(1000));
    assert!(Template::parse("sink", &deep).unwrap_err().to_string().contains("nested deeper"));
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Template::parse("sink", &parens).unwrap_err().to_string().contains("nested deeper"));
}
