//! A WHERE decided by the stream's index keeps the same rows as the condition itself, for every kind of value.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

use std::sync::Arc;

use edgeward_engine::trial::Trial;
use edgeward_engine::{Map, Message, Plan, RuleOptions, StreamDef, Value};
use edgeward_sql::ast::Statement;
use proptest::prelude::*;

/// How many messages a statement sends for one value of `x`; errors count.
fn messages(sql: &str, value: &Value) -> usize {
    let Ok(Statement::Create(create)) = edgeward_sql::parse(r#"CREATE STREAM s () WITH (DATASOURCE="s")"#) else {
        panic!()
    };
    let definition = StreamDef::new(&create);
    let options = RuleOptions { send_error: true, ..RuleOptions::default() };
    let plan = Plan::new(&edgeward_sql::parse_select(sql).unwrap(), &options, &|_| Some(definition.clone())).unwrap();
    let mut trial = Trial::start("p", plan, 0).unwrap();
    let row: Map = [("x".into(), value.clone())].into();
    trial.push("s", Message::row(Arc::new(row)), 0);
    trial.take().len()
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        (-5..5i64).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        (-5..5i64).prop_map(|int| Value::Float(int as f64 / 2.0)),
        Just(Value::Float(-0.0)),
        Just(Value::Float(f64::NAN)),
        any::<String>().prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn index_and_condition_agree(value in values(), op in proptest::sample::select(&["<", "<=", ">", ">=", "=", "!="][..]), number in prop_oneof![(-5..5i64).prop_map(|int| int.to_string()), (-5..5i64).prop_map(|int| format!("{:.1}", int as f64 / 2.0)), Just(i64::MAX.to_string())]) {
        let indexed = messages(&format!("SELECT x FROM s WHERE x {op} {number}"), &value);
        // What stands before it keeps a condition out of the index, what follows does not.
        let plain = messages(&format!("SELECT x FROM s WHERE TRUE AND (x {op} {number})"), &value);
        prop_assert_eq!(indexed, plain);
        let first = messages(&format!("SELECT x FROM s WHERE (x {op} {number}) AND TRUE"), &value);
        prop_assert_eq!(first, plain);
    }

    #[test]
    fn index_and_condition_agree_on_texts(value in values(), text in "[a-c]{0,1}", same in any::<bool>()) {
        let value = if same { Value::from(text.as_str()) } else { value };
        let indexed = messages(&format!("SELECT x FROM s WHERE x = \"{text}\""), &value);
        let plain = messages(&format!("SELECT x FROM s WHERE TRUE AND x = \"{text}\""), &value);
        prop_assert_eq!(indexed, plain);
    }
}
