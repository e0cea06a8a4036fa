//! `log` refuses what it cannot print.

use edgeward_engine::{Emission, OutRow, SinkError, Value};
use edgeward_service::Tasks;

use crate::{Hosts, Props, SinkRequest, registry};

#[tokio::test]
async fn prints_or_refuses() {
    for (value, good) in [(Value::Float(1.0), true), (Value::Float(f64::INFINITY), false)] {
        let row: edgeward_engine::Map = [("a".into(), value)].into();
        let emission = Emission::of_rows(0, vec![OutRow::Free(row.into())]);
        let request = SinkRequest { rule: "r".into(), props: Props::default(), tasks: Tasks::root("test") };
        let mut input = registry::sink("log", &request, &Hosts::default()).unwrap();
        match input.sink.send(&emission).await {
            Ok(()) => assert!(good),
            Err(SinkError::Rejected(_)) => assert!(!good),
            Err(other) => panic!("{other}"),
        }
    }
}
