//! The scanner, which reads only the columns a rule needs and guesses keys by the message before, against reading everything.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use edgeward_engine::json::{Numbers, Printer, parse};
use edgeward_engine::trial::Trial;
use edgeward_engine::{Message, Plan, RuleOptions, StreamDef};
use edgeward_sql::ast::Statement;
use proptest::prelude::*;

fn trial(sql: &str) -> Trial {
    let Ok(Statement::Create(create)) = edgeward_sql::parse(r#"CREATE STREAM s () WITH (DATASOURCE="s")"#) else {
        panic!()
    };
    let definition = StreamDef::new(&create);
    let options = RuleOptions { send_error: true, send_nil_field: true, ..RuleOptions::default() };
    let plan = Plan::new(&edgeward_sql::parse_select(sql).unwrap(), &options, &|_| Some(definition.clone())).unwrap();
    Trial::start("p", plan, 0).unwrap()
}

fn outcome(trial: &mut Trial, payload: &[u8]) -> Vec<String> {
    trial.push("s", Message::payload(payload.to_vec()), 0);
    let print = |emission: &edgeward_engine::Emission| {
        let mut out = Vec::new();
        emission.write_json(&Printer::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    trial.take().iter().map(print).collect()
}

/// JSON texts of a value, with white space and escapes.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        any::<i32>().prop_map(|int| int.to_string()),
        (-1e6..1e6f64).prop_map(|float| float.to_string()),
        "[a-z ]{0,6}".prop_map(|text| format!("{text:?}")),
        Just(r#""\u0041\n\"\ud83d\ude00""#.to_string()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[ {}]", items.join(" , "))),
            proptest::collection::vec(("[a-d]", inner), 0..3).prop_map(|items| {
                let members: Vec<String> = items.iter().map(|(key, value)| format!("\"{key}\" :{value}")).collect();
                format!("{{{} }}", members.join(","))
            }),
        ]
    })
}

/// An object with some of the columns a to e, in any order, maybe twice, spaced in one of several ways.
fn object() -> impl Strategy<Value = String> {
    let blanks = proptest::sample::select(&[("", ""), (" ", " "), ("", " "), ("\n\t", "  ")][..]);
    (proptest::collection::vec(("[a-e]", value()), 0..7), blanks).prop_map(|(members, (before, after))| {
        let members: Vec<String> =
            members.iter().map(|(key, value)| format!("{before}\"{key}\":{after}{value}")).collect();
        format!("{{{}{before}}}", members.join(&format!(",{before}")))
    })
}

proptest! {
    #[test]
    fn needed_columns_are_what_reading_everything_gives(payloads in proptest::collection::vec(object(), 1..6)) {
        let mut trial = trial("SELECT a, b, d FROM s");
        for payload in payloads {
            let all = parse(payload.as_bytes(), Numbers::Float).unwrap();
            let column = |name: &str| all.as_map().unwrap().get(name).cloned().unwrap_or_default();
            let print = |name: &str| format!("\"{name}\":{}", Printer::default().text(&column(name)).unwrap());
            let expect = format!("[{{{},{},{}}}]", print("a"), print("b"), print("d"));
            prop_assert_eq!(outcome(&mut trial, payload.as_bytes()), [expect], "{}", payload);
        }
    }

    #[test]
    fn any_payload_is_a_row_or_an_error(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..4), good in object(), cut in any::<prop::sample::Index>()) {
        let mut trial = trial("SELECT a, b FROM s");
        for payload in payloads {
            outcome(&mut trial, &payload);
        }
        let cut = cut.index(good.len());
        if let Some(head) = good.get(..cut) {
            let messages = outcome(&mut trial, head.as_bytes());
            prop_assert!(messages.len() == 1 && messages[0].contains("error"), "{} gave {:?}", head, messages);
        }
        // What came before does not spoil what comes after.
        let messages = outcome(&mut trial, good.as_bytes());
        prop_assert!(messages.len() == 1 && !messages[0].contains("error"), "{} gave {:?}", good, messages);
    }
}
